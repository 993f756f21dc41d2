"""Control rate of the triton backend: unit-interval parameters to human units to control signals (441 frames a second).

Rounds as :mod:`unsynth.synths.modules` does, operation by operation, except for the cosine (see ``control``).
"""

from __future__ import annotations

from functools import cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from unsynth.base import Params
from unsynth.synths import modules as m, triton_math as f
from unsynth.synths.voice_torch import ENVELOPES, SPEC

CONTROL_RATE = tl.constexpr(float(m.CONTROL_RATE))
FRAMES = tl.constexpr(m.FRAMES)
TWO_PI = tl.constexpr(2 * m.PI)
EPS = tl.constexpr(m.EPS)
TINY = tl.constexpr(m.TINY)
LFO_POWER = tl.constexpr(2.718281828)

PARAMS = tl.constexpr(len(SPEC))
DURATION = tl.constexpr(SPEC.index("keyboard.duration"))
MATRIX = tl.constexpr(SPEC.index("mod_matrix.adsr_1->vco_1_pitch"))
ADSR_1, ADSR_2, AMP_1, AMP_2, RATE_1, RATE_2 = (tl.constexpr(SPEC.index(f"{name}.attack")) for name in ENVELOPES)
LFO_1, LFO_2 = (tl.constexpr(SPEC.index(f"{name}.frequency")) for name in ("lfo_1", "lfo_2"))
PITCH_1, LEVEL_1, PITCH_2, LEVEL_2, LEVEL_NOISE = (tl.constexpr(i * m.FRAMES) for i in range(5))  # control signals


@triton.jit
def place(CHUNKS: tl.constexpr, CHUNK: tl.constexpr):  # which sound, and which of its samples or frames
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
    sound, frame = place(CHUNKS, CHUNK)
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
def _mix(adsr_1, adsr_2, lfo_1, lfo_2, human, destination):  # one forward chain of fused multiply-adds
    weights = human + MATRIX + destination
    total = tl.load(weights) * adsr_1
    total = tl.fma(tl.load(weights + 5), adsr_2, total)
    total = tl.fma(tl.load(weights + 10), lfo_1, total)
    return tl.fma(tl.load(weights + 15), lfo_2, total)


@triton.jit
def control_kernel(human, angles, cosines, signals, last, CHUNKS: tl.constexpr, CHUNK: tl.constexpr):
    """Control signals, (batch, 5, frame), and the last frame that can be heard; one chunk of frames per program."""
    sound, frame = place(CHUNKS, CHUNK)
    mask, t = frame < FRAMES, frame.to(tl.float32)
    human += sound * PARAMS
    signals += sound * 5 * FRAMES + frame
    phase = sound * 2 * FRAMES + frame
    angle_1, cosine_1 = tl.load(angles + phase, mask, 0.0), tl.load(cosines + phase, mask, 0.0)
    angle_2, cosine_2 = tl.load(angles + phase + FRAMES, mask, 0.0), tl.load(cosines + phase + FRAMES, mask, 0.0)
    lfo_1 = _lfo(angle_1, cosine_1, human, LFO_1) * _adsr(t, human, AMP_1)
    lfo_2 = _lfo(angle_2, cosine_2, human, LFO_2) * _adsr(t, human, AMP_2)
    adsr_1, adsr_2 = _adsr(t, human, ADSR_1), _adsr(t, human, ADSR_2)
    level_1 = _mix(adsr_1, adsr_2, lfo_1, lfo_2, human, 1)
    level_2 = _mix(adsr_1, adsr_2, lfo_1, lfo_2, human, 3)
    noise = _mix(adsr_1, adsr_2, lfo_1, lfo_2, human, 4)
    tl.store(signals + PITCH_1, _mix(adsr_1, adsr_2, lfo_1, lfo_2, human, 0), mask)
    tl.store(signals + LEVEL_1, level_1, mask)
    tl.store(signals + PITCH_2, _mix(adsr_1, adsr_2, lfo_1, lfo_2, human, 2), mask)
    tl.store(signals + LEVEL_2, level_2, mask)
    tl.store(signals + LEVEL_NOISE, noise, mask)
    heard = mask & ((level_1 != 0) | (level_2 != 0) | (noise != 0))
    tl.atomic_max(last + sound, tl.max(tl.where(heard, frame, -1), 0))


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
