"""The Voice's modules as pure, differentiable torch functions, exact to the bit where it is audible.

A phase reaches 3e5 radians, where one float32 step is 0.03 rad: an error of one unit in the last place of a *control*
signal is heard as a phase error at the end of the sound. So everything up to the phase repeats torchsynth's operations
one by one (float32, float64 accumulation, explicit fused multiply-adds), and gradients are kept finite by masking the
*inputs* of an operation rather than its result ("double where"), which leaves the forward pass unchanged.

Source: torchsynth 1.0.2, module.py (Turian et al., "One Billion Audio Sounds from GPU-enabled Modular Synthesis",
https://arxiv.org/abs/2104.12922); same graph, own code.
"""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

RATE = 44100
SAMPLES = 176400
CONTROL_RATE = 441
FRAMES = 1764
PI = 3.1415927410125732  # float32 pi
EPS = 1e-6
LANES = 64  # rows of so many go through torch's vector code; its scalar code for shorter rests rounds otherwise
TINY = 1e-30  # below this a sum of LFO weights counts as zero, so that its reciprocal squared stays finite

Scalar = Float[Tensor, "batch 1"]
Control = Float[Tensor, "batch frame"]


def fma(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """``a * b + c`` with one rounding: the product of two float32 is exact in float64."""
    return (a.double() * b.double() + c.double()).float()


def fma_chain(weights: Float[Tensor, "batch source"], sources: Float[Tensor, "batch source frame"]) -> Control:
    """Weighted sum of the sources, as one forward chain of fused multiply-adds (independent of the batch size)."""
    total = weights[:, :1] * sources[:, 0]
    for i in range(1, sources.shape[1]):
        total = fma(weights[:, i : i + 1], sources[:, i], total)
    return total


def ramp(seconds: Scalar, start: Scalar | None, alpha: Scalar, inverse: bool) -> Control:
    """Monotone curve from 0 to 1 (from 1 to 0 if ``inverse``) over ``seconds``, beginning at ``start`` seconds."""
    frames = seconds * CONTROL_RATE
    time = torch.arange(FRAMES, dtype=torch.float32, device=seconds.device)
    elapsed = (time - (0 if start is None else start * CONTROL_RATE)).clamp(min=0) + EPS
    inside = elapsed < frames
    share = torch.where(inside, elapsed, 0) / torch.where(inside, frames, 1) + EPS
    share = torch.where(inside, share.clamp(max=1), 1)
    if inverse:
        share = torch.where(frames > 0, 1 - share, share)
    positive = share > 0
    return torch.where(positive, torch.pow(torch.where(positive, share, 1), alpha), 0)


def adsr(note: Scalar, attack: Scalar, decay: Scalar, sustain: Scalar, release: Scalar, alpha: Scalar) -> Control:
    """Envelope of a note of ``note`` seconds; the release multiplies the running attack-decay curve."""
    rise = ramp(torch.minimum(attack, note), None, alpha, inverse=False)
    fall = ramp(torch.minimum((note - attack).clamp(min=0), decay), attack.minimum(note), alpha, inverse=True)
    return rise * ((1 - sustain) * fall + sustain) * ramp(release, note, alpha, inverse=True)


def accumulate(step: Float[Tensor, "batch time"]) -> Float[Tensor, "batch time"]:
    """Running sum, inclusive, accumulated in float64 and stored in float32."""
    return step.double().cumsum(-1).float()


def lfo(frequency: Scalar, depth: Scalar, phase: Scalar, rate: Control, weights: Float[Tensor, "batch 5"]) -> Control:
    """Mix of five unipolar shapes (sine, triangle, saw, reversed saw, square) at ``frequency + depth * rate`` Hz."""
    hertz = (frequency + depth * rate).clamp(min=0)
    angle = accumulate(2 * PI * hertz / CONTROL_RATE) + phase
    cosine = torch.cos(angle + PI)
    saw = torch.remainder(angle, 2 * PI) / (2 * PI)
    triangle = torch.where(2 * saw <= 1, 2 * saw, 2 - 2 * saw)
    shapes = torch.stack([(cosine + 1) / 2, triangle, saw, 1 - saw, (cosine.sign() + 1) / 2], dim=1)
    powers = torch.pow(torch.nn.functional.pad(weights, (0, LANES - 5)), 2.718281828)[:, :5]
    total = powers.sum(-1, keepdim=True)
    audible = total > TINY
    return fma_chain(torch.where(audible, powers, 0) / torch.where(audible, total, 1), shapes)


@cache
def upsampling(device: str = "cpu") -> tuple[Tensor, Tensor, Tensor]:
    """Left index, right index and weight of the right one for every sample; positions are rounded to float32."""
    scale = torch.tensor((FRAMES - 1) / (SAMPLES - 1), dtype=torch.float32)
    position = scale * torch.arange(SAMPLES, dtype=torch.float32)
    left = position.floor().clamp(max=FRAMES - 1)
    lam = (position - left).clamp(0, 1)
    left = left.long()
    return left.to(device), (left + 1).clamp(max=FRAMES - 1).to(device), lam.to(device)


def upsample(control: Float[Tensor, "*batch frame"]) -> Float[Tensor, "*batch time"]:
    """Linear interpolation from the control rate to the audio rate, ends aligned."""
    left, right, lam = upsampling(str(control.device))
    return fma(control[..., left], 1 - lam, control[..., right] * lam)


def hertz(midi: Tensor) -> Tensor:
    return 440 * torch.exp2((midi - 69) / 12)


def phase(
    midi: Scalar, depth: Scalar, initial: Scalar, pitch: Float[Tensor, "batch time"]
) -> Float[Tensor, "batch time"]:
    """Phase in radians of an oscillator at ``midi`` modulated by ``depth`` semitones times ``pitch``."""
    frequency = hertz((midi + depth * pitch).clamp(0, 127))
    return accumulate(2 * PI * frequency / RATE) + initial


def hardness(midi: Scalar, depth: Scalar) -> Scalar:
    """Argument scale of the square-saw's tanh: pi times the number of partials at the highest unclamped pitch."""
    top = hertz(midi + depth.clamp(min=0))
    return PI * (12000 / (top * torch.log10(top)))


def square_saw(angle: Float[Tensor, "batch time"], shape: Scalar, hard: Scalar) -> Float[Tensor, "batch time"]:
    """Square (shape 0) to saw (shape 1), after Lazzarini & Timoney, "New Perspectives on Distortion Synthesis for
    Virtual Analog Oscillators", https://doi.org/10.1162/comj.2010.34.1.28."""
    square = torch.tanh(hard * torch.sin(angle) / 2)
    return (1 - shape / 2) * square * (1 + shape * torch.cos(angle))


@cache
def noise_rows(device: str = "cpu", rows: int = 32, seed: int = 13) -> Float[Tensor, "rows time"]:
    """The fixed bank of uniform noise; a sound uses row ``id mod 32``."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.empty(rows, SAMPLES).uniform_(-1, 1, generator=generator).to(device)


def limit_peak(audio: Float[Tensor, "batch time"]) -> Float[Tensor, "batch time"]:
    """Scale down each sound whose peak is above 1."""
    return audio / audio.abs().amax(-1, keepdim=True).clamp(min=1)
