"""The triton backend of the Voice: everything on one NVIDIA GPU; of intermediates, the control signals are the largest.

Six kernels: parameter curves, LFO increments, control signals, phase sums of each chunk, audio, peak limit. The running
sum of an oscillator's phase is exact in float64 in any order (increments are multiples of 2^-33, their sum is below
2^19), so the chunks of a sound run in parallel and give the bits of a sequential sum.

The one function whose last bit cannot be had on a GPU is MKL's cosine, by which the reference shapes its LFOs;
``exact`` asks the host for it. All else up to the phases rounds as :mod:`unsynth.synths.modules` does.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from unsynth.base import Audio, Params, SoundIds, UsageError
from unsynth.synths import modules as m, triton_math as f
from unsynth.synths.triton_control import (
    FRAMES,
    LEVEL_1,
    LEVEL_2,
    LEVEL_NOISE,
    PARAMS,
    PITCH_1,
    PITCH_2,
    TWO_PI,
    control,
    human_units,
    place,
)
from unsynth.synths.voice_torch import SPEC

RATE = tl.constexpr(float(m.RATE))
SAMPLES = tl.constexpr(m.SAMPLES)
SCALE = tl.constexpr((m.FRAMES - 1) / (m.SAMPLES - 1))  # control frames per sample
PI = tl.constexpr(m.PI)
LOG10_E = tl.constexpr(0.4342944819032518)
AUDIBLE = tl.constexpr(1e-9)  # of a mixer level: below it the noise is left out
MIDI = tl.constexpr(SPEC.index("keyboard.midi_f0"))
SHAPE = tl.constexpr(SPEC.index("vco_2.shape"))
MIXER = tl.constexpr(SPEC.index("mixer.vco_1"))
VCO_1, VCO_2 = (tl.constexpr(SPEC.index(f"{name}.tuning")) for name in ("vco_1", "vco_2"))


@triton.jit
def _between(i):  # left frame, right frame and weight of the right one; positions are rounded to float32
    position = i.to(tl.float32) * SCALE
    left = tl.minimum(tl.floor(position), FRAMES - 1.0)
    weight = tl.minimum(tl.maximum(position - left, 0.0), 1.0)
    left = left.to(tl.int32)
    return left, tl.minimum(left + 1, FRAMES - 1), weight


@triton.jit
def _silent(last, CHUNKS: tl.constexpr, CHUNK: tl.constexpr):  # whether this chunk begins after the last audible frame
    sound, chunk = tl.program_id(0) // CHUNKS, tl.program_id(0) % CHUNKS
    first, _, _ = _between(chunk * CHUNK)
    return first > tl.load(last + sound)


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
    sound, i = place(CHUNKS, CHUNK)
    left, right, weight = _between(i)
    if not _silent(last, CHUNKS, CHUNK):
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
    sound, i = place(CHUNKS, CHUNK)
    mask = i < SAMPLES
    left, right, weight = _between(i)
    out += sound * SAMPLES + i
    if _silent(last, CHUNKS, CHUNK):
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
    sound, i = place(CHUNKS, CHUNK)
    peak = tl.load(peaks + sound)
    if peak > 1:
        samples = out + sound * SAMPLES + i
        tl.store(samples, tl.load(samples, i < SAMPLES, 0.0) * (1.0 / peak), i < SAMPLES)


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
def render_triton(params: Params, noise: SoundIds, exact: bool = True, chunk: int = 1024) -> Audio:
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
