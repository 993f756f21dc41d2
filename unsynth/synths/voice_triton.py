"""The triton backend of the Voice: everything on one NVIDIA GPU; of intermediates, the control signals are the largest.

Six kernels: parameter curves, LFO increments, control signals, phase sums of each chunk, audio, peak limit. The running
sum of an oscillator's phase is exact in float64 in any order (increments are multiples of 2^-33, their sum is below
2^19), so the chunks of a sound run in parallel and give the bits of a sequential sum.

The one function whose last bit cannot be had on a GPU is MKL's cosine, by which the reference shapes its LFOs;
``exact`` asks the host for it. All else up to the phases rounds as :mod:`unsynth.synths.modules` does.
"""

from __future__ import annotations

from functools import cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from unsynth.base import Audio, Params, SoundIds, UsageError
from unsynth.synths import modules as m
from unsynth.synths import triton_math as f
from unsynth.synths.voice import ENVELOPES, SPEC

RATE = tl.constexpr(float(m.RATE))
SAMPLES = tl.constexpr(m.SAMPLES)
CONTROL_RATE = tl.constexpr(float(m.CONTROL_RATE))
FRAMES = tl.constexpr(m.FRAMES)
SCALE = tl.constexpr((m.FRAMES - 1) / (m.SAMPLES - 1))  # control frames per sample
PI = tl.constexpr(m.PI)
TWO_PI = tl.constexpr(2 * m.PI)
LOG10_E = tl.constexpr(0.4342944819032518)
EPS = tl.constexpr(m.EPS)
TINY = tl.constexpr(m.TINY)
LFO_POWER = tl.constexpr(2.718281828)
AUDIBLE = tl.constexpr(1e-9)  # of a mixer level: below it the noise is left out

PARAMS = tl.constexpr(len(SPEC))
MIDI = tl.constexpr(SPEC.index("keyboard.midi_f0"))
DURATION = tl.constexpr(SPEC.index("keyboard.duration"))
MATRIX = tl.constexpr(SPEC.index("mod_matrix.adsr_1->vco_1_pitch"))
SHAPE = tl.constexpr(SPEC.index("vco_2.shape"))
MIXER = tl.constexpr(SPEC.index("mixer.vco_1"))
ADSR_1, ADSR_2, AMP_1, AMP_2, RATE_1, RATE_2 = (tl.constexpr(SPEC.index(f"{name}.attack")) for name in ENVELOPES)
LFO_1, LFO_2 = (tl.constexpr(SPEC.index(f"{name}.frequency")) for name in ("lfo_1", "lfo_2"))
VCO_1, VCO_2 = (tl.constexpr(SPEC.index(f"{name}.tuning")) for name in ("vco_1", "vco_2"))
PITCH_1, LEVEL_1, PITCH_2, LEVEL_2, LEVEL_NOISE = (tl.constexpr(i * m.FRAMES) for i in range(5))  # control signals


@triton.jit
def _place(CHUNKS: tl.constexpr, CHUNK: tl.constexpr):  # which sound, and which of its samples or frames
    sound, chunk = tl.program_id(0) // CHUNKS, tl.program_id(0) % CHUNKS
    return sound.to(tl.int64), chunk * CHUNK + tl.arange(0, CHUNK)


@triton.jit
def curves_kernel(unit, low, high, curve, symmetric, out, WIDTH: tl.constexpr):
    """Unit interval to human units, one sound per program; ParamSpec.to_human with a correctly rounded log2."""
    column = tl.arange(0, WIDTH)
    mask = column < PARAMS
    row = tl.program_id(0).to(tl.int64) * PARAMS
    u, lo = tl.load(unit + row + column, mask, 0.0), tl.load(low + column, mask, 0.0)
    span, c = tl.load(high + column, mask, 1.0) - lo, tl.load(curve + column, mask, 1.0)
    both_sides = tl.load(symmetric + column, mask, 0.0) > 0
    both = 2 * u - 1
    base = tl.where(both_sides, tl.abs(both), u)
    log_hi, log_lo = f.log(tl.maximum(base, TINY))
    log_hi, log_lo = f.pair_mul(log_hi, log_lo, 1.44269502162933349609375, 1.92596299112661746887e-8)
    bent = tl.where(base > 0, f.exp2(tl.maximum(tl.div_rn(log_hi + log_lo, c), -125.0)), 0.0)
    bent = tl.where(c == 1, base, bent)
    signed = tl.where(both < 0, -bent, bent)
    value = tl.where(both_sides, lo + span * 0.5 * (signed + 1), lo + span * bent)
    tl.store(out + row + column, value, mask)


@triton.jit
def _ramp(t, seconds, start, alpha, inverse):
    frames = seconds * CONTROL_RATE
    elapsed = tl.maximum(t - start * CONTROL_RATE, 0.0) + EPS
    inside = elapsed < frames
    share = tl.minimum(tl.div_rn(elapsed, tl.where(inside, frames, 1.0)) + EPS, 1.0)
    share = tl.where(inside, share, 1.0)
    if inverse:
        share = tl.where(frames > 0, 1.0 - share, share)
    return f.pow(share, alpha)


@triton.jit
def _adsr(t, human, column):
    note, attack, decay = tl.load(human + DURATION), tl.load(human + column), tl.load(human + column + 1)
    sustain, release, alpha = tl.load(human + column + 2), tl.load(human + column + 3), tl.load(human + column + 4)
    rise_time = tl.minimum(attack, note)
    rise = _ramp(t, rise_time, 0.0, alpha, False)
    fall = _ramp(t, tl.minimum(tl.maximum(note - attack, 0.0), decay), rise_time, alpha, True)
    return rise * ((1.0 - sustain) * fall + sustain) * _ramp(t, release, note, alpha, True)


@triton.jit
def _lfo_step(t, human, lfo, rate_adsr):
    hertz = tl.maximum(tl.load(human + lfo) + tl.load(human + lfo + 1) * _adsr(t, human, rate_adsr), 0.0)
    return tl.div_rn(TWO_PI * hertz, CONTROL_RATE)


@triton.jit
def lfo_steps_kernel(human, out, CHUNKS: tl.constexpr, CHUNK: tl.constexpr):
    """Phase increments of both LFOs, (batch, 2, frame); one chunk of frames of one sound per program."""
    sound, frame = _place(CHUNKS, CHUNK)
    human, steps, t = human + sound * PARAMS, out + sound * 2 * FRAMES + frame, frame.to(tl.float32)
    tl.store(steps, _lfo_step(t, human, LFO_1, RATE_1), frame < FRAMES)
    tl.store(steps + FRAMES, _lfo_step(t, human, LFO_2, RATE_2), frame < FRAMES)


@triton.jit
def _weight(human, column):
    return f.pow(tl.load(human + column), LFO_POWER)


@triton.jit
def _lfo(angle, cosine, human, lfo):
    sin, tri, saw = _weight(human, lfo + 3), _weight(human, lfo + 4), _weight(human, lfo + 5)
    rsaw, sqr = _weight(human, lfo + 6), _weight(human, lfo + 7)
    total = sin + sqr + tri + saw + rsaw  # the order in which torch sums a row of five
    share = tl.where(total > TINY, total, float("inf"))
    turns = f.round(angle * (1.0 / TWO_PI))
    rest = tl.fma(turns, -TWO_PI, angle)
    x = tl.div_rn(tl.where(rest < 0, rest + TWO_PI, rest), TWO_PI)
    triangle = tl.where(2 * x > 1, 2 - 2 * x, 2 * x)
    square = tl.where(cosine > 0, 1.0, tl.where(cosine < 0, 0.0, 0.5))
    y = tl.div_rn(sin, share) * ((cosine + 1.0) * 0.5)
    y = tl.fma(tl.div_rn(tri, share), triangle, y)
    y = tl.fma(tl.div_rn(saw, share), x, y)
    y = tl.fma(tl.div_rn(rsaw, share), 1.0 - x, y)
    return tl.fma(tl.div_rn(sqr, share), square, y)


@triton.jit
def _mix(sources, human, destination):  # one forward chain of fused multiply-adds
    weights = human + MATRIX + destination
    total = tl.load(weights) * sources[0]
    total = tl.fma(tl.load(weights + 5), sources[1], total)
    total = tl.fma(tl.load(weights + 10), sources[2], total)
    return tl.fma(tl.load(weights + 15), sources[3], total)


@triton.jit
def control_kernel(human, angles, cosines, signals, last, CHUNKS: tl.constexpr, CHUNK: tl.constexpr):
    """Control signals, (batch, 5, frame), and the last frame that can be heard; one chunk of frames per program."""
    sound, frame = _place(CHUNKS, CHUNK)
    mask, t = frame < FRAMES, frame.to(tl.float32)
    human += sound * PARAMS
    signals += sound * 5 * FRAMES + frame
    phase = sound * 2 * FRAMES + frame
    angle_1, cosine_1 = tl.load(angles + phase, mask, 0.0), tl.load(cosines + phase, mask, 0.0)
    angle_2, cosine_2 = tl.load(angles + phase + FRAMES, mask, 0.0), tl.load(cosines + phase + FRAMES, mask, 0.0)
    lfo_1 = _lfo(angle_1, cosine_1, human, LFO_1) * _adsr(t, human, AMP_1)
    lfo_2 = _lfo(angle_2, cosine_2, human, LFO_2) * _adsr(t, human, AMP_2)
    sources = (_adsr(t, human, ADSR_1), _adsr(t, human, ADSR_2), lfo_1, lfo_2)
    level_1, level_2, noise = _mix(sources, human, 1), _mix(sources, human, 3), _mix(sources, human, 4)
    tl.store(signals + PITCH_1, _mix(sources, human, 0), mask)
    tl.store(signals + LEVEL_1, level_1, mask)
    tl.store(signals + PITCH_2, _mix(sources, human, 2), mask)
    tl.store(signals + LEVEL_2, level_2, mask)
    tl.store(signals + LEVEL_NOISE, noise, mask)
    heard = mask & ((level_1 != 0) | (level_2 != 0) | (noise != 0))
    tl.atomic_max(last + sound, tl.max(tl.where(heard, frame, -1), 0))


@triton.jit
def _between(i):  # left frame, right frame and weight of the right one; positions are rounded to float32
    position = i.to(tl.float32) * SCALE
    left = tl.minimum(tl.floor(position), FRAMES - 1.0)
    weight = tl.minimum(tl.maximum(position - left, 0.0), 1.0)
    left = left.to(tl.int32)
    return left, tl.minimum(left + 1, FRAMES - 1), weight


@triton.jit
def _upsample(signal, left, right, weight):
    return tl.fma(tl.load(signal + left), 1.0 - weight, tl.load(signal + right) * weight)


@triton.jit
def _step(signal, left, right, weight, human, vco):  # phase increment of each sample
    semitones = tl.load(human + MIDI) + tl.load(human + vco)
    semitones = semitones + tl.load(human + vco + 1) * _upsample(signal, left, right, weight)
    semitones = tl.minimum(tl.maximum(semitones, 0.0), 127.0)
    hertz = 440.0 * f.exp2(f.divide(semitones - 69.0, 12.0, 1.0 / 12.0))
    return f.divide(TWO_PI * hertz, RATE, 1.0 / RATE)


@triton.jit
def sums_kernel(human, signals, last, sums, CHUNKS: tl.constexpr, CHUNK: tl.constexpr):
    """Phase that both oscillators advance by in each chunk of samples, (batch, 2, chunk) in float64."""
    sound, i = _place(CHUNKS, CHUNK)
    left, right, weight = _between(i)
    if tl.min(left, 0) <= tl.load(last + sound):
        human += sound * PARAMS
        signals += sound * 5 * FRAMES
        out = sums + sound * 2 * CHUNKS + tl.program_id(0) % CHUNKS
        step_1 = _step(signals + PITCH_1, left, right, weight, human, VCO_1)
        step_2 = _step(signals + PITCH_2, left, right, weight, human, VCO_2)
        tl.store(out, tl.sum(step_1.to(tl.float64), 0))
        tl.store(out + CHUNKS, tl.sum(step_2.to(tl.float64), 0))


@triton.jit
def _hardness(human):  # modules.hardness
    top = tl.load(human + MIDI) + tl.load(human + VCO_2) + tl.maximum(tl.load(human + VCO_2 + 1), 0.0)
    hertz = 440.0 * f.exp2((top - 69.0) / 12.0)
    return PI * (12000.0 / (hertz * (tl.log(hertz) * LOG10_E)))


@triton.jit
def audio_kernel(human, signals, last, before, bank, rows, out, peaks, CHUNKS: tl.constexpr, CHUNK: tl.constexpr):
    """Audio before peak limiting, (batch, time), and its peak; one chunk of one sound per program."""
    sound, i = _place(CHUNKS, CHUNK)
    mask = i < SAMPLES
    left, right, weight = _between(i)
    out += sound * SAMPLES + i
    if tl.min(left, 0) > tl.load(last + sound):
        tl.store(out, tl.zeros([CHUNK], tl.float32), mask)
    else:
        human += sound * PARAMS
        signals += sound * 5 * FRAMES
        before += sound * 2 * CHUNKS + tl.program_id(0) % CHUNKS
        step_1 = _step(signals + PITCH_1, left, right, weight, human, VCO_1).to(tl.float64)
        step_2 = _step(signals + PITCH_2, left, right, weight, human, VCO_2).to(tl.float64)
        angle_1 = (tl.cumsum(step_1, 0) + tl.load(before)).to(tl.float32) + tl.load(human + VCO_1 + 2)
        angle_2 = (tl.cumsum(step_2, 0) + tl.load(before + CHUNKS)).to(tl.float32) + tl.load(human + VCO_2 + 2)
        _, wave_1 = f.sin_cos(angle_1)
        sine, cosine = f.sin_cos(angle_2)
        shape, level = tl.load(human + SHAPE), tl.load(human + MIXER + 2)
        wave_2 = (1.0 - shape * 0.5) * f.tanh_half(_hardness(human) * sine) * (1.0 + shape * cosine)
        noise = tl.load(bank + tl.load(rows + sound) * SAMPLES + i, i < tl.where(level > AUDIBLE, SAMPLES, 0), 0.0)
        y = tl.load(human + MIXER) * (wave_1 * _upsample(signals + LEVEL_1, left, right, weight))
        y += tl.load(human + MIXER + 1) * (wave_2 * _upsample(signals + LEVEL_2, left, right, weight))
        y += level * (noise * _upsample(signals + LEVEL_NOISE, left, right, weight))
        tl.store(out, y, mask)
        tl.atomic_max(peaks + sound, tl.max(tl.where(mask, tl.abs(y), 0.0), 0))


@triton.jit
def limit_kernel(out, peaks, CHUNKS: tl.constexpr, CHUNK: tl.constexpr):
    """Scale down each sound whose peak is above 1."""
    sound, i = _place(CHUNKS, CHUNK)
    peak = tl.load(peaks + sound)
    if peak > 1:
        samples = out + sound * SAMPLES + i
        tl.store(samples, tl.load(samples, i < SAMPLES, 0.0) * (1.0 / peak), i < SAMPLES)


@cache
def _columns(device: str) -> list[Tensor]:
    return [SPEC.column(field).to(device) for field in ("low", "high", "curve", "symmetric")]


def human_units(params: Params) -> Params:
    """:meth:`ParamSpec.to_human` of the Voice in one kernel; at most one unit in the last place beside it."""
    params = params.float().contiguous()
    human = torch.empty_like(params)
    f.launch(
        curves_kernel,
        len(params),
        params,
        *_columns(str(params.device)),
        human,
        WIDTH=triton.next_power_of_2(len(SPEC)),
    )
    return human


def control(human: Params, exact: bool, chunk: int) -> tuple[Tensor, Tensor]:
    """Control signals, ``(batch, 5, frame)``, and the last audible frame of each sound, from human units."""
    sizes = {"CHUNKS": triton.cdiv(m.FRAMES, chunk), "CHUNK": chunk}
    programs = len(human) * sizes["CHUNKS"]
    steps, signals = human.new_empty(len(human), 2, m.FRAMES), human.new_empty(len(human), 5, m.FRAMES)
    last = torch.full((len(human),), -1, dtype=torch.int32, device=human.device)
    f.launch(lfo_steps_kernel, programs, human, steps, **sizes)
    initial = torch.stack([human[:, LFO_1.value + 2], human[:, LFO_2.value + 2]], dim=1)
    angles = m.accumulate(steps) + initial[:, :, None]
    shifted = angles + m.PI
    cosines = torch.cos(shifted.cpu()).to(human.device) if exact else torch.cos(shifted.double()).float()
    f.launch(control_kernel, programs, human, angles, cosines, signals, last, **sizes)
    return signals, last


def audio(human: Params, signals: Tensor, last: Tensor, rows: Tensor, chunk: int) -> Audio:
    """Sound of control signals; ``rows`` of the noise bank, ``chunk`` samples (a power of two) per program."""
    chunks = triton.cdiv(m.SAMPLES, chunk)
    programs = len(human) * chunks
    sums = human.new_zeros(len(human), 2, chunks, dtype=torch.float64)
    out, peaks = human.new_empty(len(human), m.SAMPLES), human.new_zeros(len(human))
    f.launch(sums_kernel, programs, human, signals, last, sums, CHUNKS=chunks, CHUNK=chunk)
    before = sums.cumsum(-1) - sums
    bank = m.noise_rows(str(human.device))
    inputs = (human, signals, last, before, bank, rows)
    f.launch(audio_kernel, programs, *inputs, out, peaks, CHUNKS=chunks, CHUNK=chunk)
    f.launch(limit_kernel, programs, out, peaks, CHUNKS=chunks, CHUNK=chunk)
    return out


@torch.no_grad()
def render_triton(params: Params, noise: SoundIds, exact: bool = False, chunk: int = 1024) -> Audio:
    """Audio on the parameters' GPU, without gradient.

    Args:
        params: unit-interval parameters on an NVIDIA GPU (on the CPU in triton's interpreter only).
        noise: a sound id for each sound; it uses noise row ``id mod 32``.
        exact: evaluate parameter curves and LFO cosines on the host, by the library that the torch backend uses there;
            agrees with it within 1e-6. Without, about 5 % of the cosines differ in their last bit, and one sound in six
            by more than 1e-4, by its phase.
        chunk: samples per program at the audio rate, a power of two; a quarter as many frames at the control rate.

    Raises:
        UsageError: the parameters are not on a GPU.
    """
    if isinstance(audio_kernel, triton.JITFunction) and not params.is_cuda:
        raise UsageError("The triton backend needs params on an NVIDIA GPU; move them there or choose another backend.")
    with torch.cuda.device_of(params):
        human = SPEC.to_human(params.float().cpu()).to(params.device) if exact else human_units(params)
        rows = noise.to(params.device) % len(m.noise_rows(str(params.device)))
        return audio(human, *control(human, exact, chunk // 4), rows, chunk)
