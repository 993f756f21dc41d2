"""Which pitch a sound has from moment to moment, quickly: YIN.

Source: de Cheveigné & Kawahara, "YIN, a fundamental frequency estimator for speech and music" (JASA 111, 2002,
https://doi.org/10.1121/1.1458024), steps 1 to 5; :mod:`unsynth.benchmark.pitch` is slower and surer.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Track = Float[Tensor, " frame"]  # Hz, NaN where there is no pitch

LOWEST, HIGHEST = 40.0, 4000.0  # Hz
FRAME_SECONDS = 0.02  # between frames
THRESHOLD = 0.15  # of the aperiodic power; the paper has 0.1
SOUNDING_DB = 40.0  # frames further under the loudest have no pitch
VOICED_SHARE, VOICED_FRAMES = 0.5, 5  # a sound has a pitch if this much of what sounds, and so many frames, have one
TINY = 1e-20


def track(sound: Float[Tensor, " time"], rate: int) -> Track:
    """Fundamental frequency in Hz of each frame; what is compared there is as long as the longest period, centred."""
    frames, shortest = _frames(sound, rate), max(2, math.floor(rate / HIGHEST))
    longest = frames.shape[1] // 2
    difference = _differences(frames, longest)
    lags = torch.arange(1, longest + 1)
    normal = difference[:, 1:] * lags / difference[:, 1:].cumsum(1).clamp(min=TINY)
    before, at, after = normal[:, :-2], normal[:, 1:-1], normal[:, 2:]
    dips = (at < before) & (at <= after) & (at < THRESHOLD) & (lags[1:-1] >= shortest)
    lag = dips.int().argmax(1) + 2  # lag 1 is never a dip
    voiced = dips.any(1) & _sounding(frames)
    return torch.where(voiced, rate / (lag + _shift(difference, lag)), torch.nan)


def is_pitched(found: Track, sound: Float[Tensor, " time"], rate: int) -> bool:
    """Whether enough of a sound with this track has a pitch."""
    sounding = int(_sounding(_frames(sound, rate)).sum())
    return int(found.isfinite().sum()) >= max(VOICED_FRAMES, VOICED_SHARE * sounding)


def clear_tracks(sounds: Float[Tensor, "sound time"], rate: int) -> list[Track]:
    """The track of each sound, without any pitch for those that have no clear one."""
    tracks = [track(sound, rate) for sound in sounds]
    clear = [is_pitched(found, sound, rate) for found, sound in zip(tracks, sounds, strict=True)]
    return [found if has else torch.full_like(found, torch.nan) for found, has in zip(tracks, clear, strict=True)]


def _frames(sound: Float[Tensor, " time"], rate: int) -> Float[Tensor, "frame time"]:
    longest = math.ceil(rate / LOWEST)
    return F.pad(sound, (longest // 2, 2 * longest)).unfold(0, 2 * longest, hop(rate))


def hop(rate: int) -> int:
    """Samples from one frame of a track to the next."""
    return max(1, round(rate * FRAME_SECONDS))


def _differences(frames: Float[Tensor, "frame time"], longest: int) -> Float[Tensor, "frame lag"]:
    """Equation 6 for all lags from 0 to ``longest`` at once, by its expansion in equation 7."""
    size = 1 << (frames.shape[1] - 1).bit_length()
    first = torch.fft.rfft(frames[:, :longest], size)
    products = torch.fft.irfft(first.conj() * torch.fft.rfft(frames, size), size)[:, : longest + 1]
    powers = F.pad(frames.double().square().cumsum(1), (1, 0))
    powers = (powers[:, longest:] - powers[:, : longest + 1]).float()
    return (powers[:, :1] + powers - 2 * products).clamp(min=0)


def _shift(difference: Float[Tensor, "frame lag"], lag: Tensor) -> Float[Tensor, " frame"]:
    """How far beside each lag the parabola through its difference and both neighbours has its minimum (step 5)."""
    before, at, after = (difference.gather(1, (lag + side)[:, None])[:, 0] for side in (-1, 0, 1))
    return ((before - after) / (2 * (before - 2 * at + after)).clamp(min=TINY)).clamp(-1, 1)


def _sounding(frames: Float[Tensor, "frame time"]) -> Tensor:
    power = frames.square().sum(1)
    return (power > 0) & (power >= power.max() * 10 ** (-SOUNDING_DB / 10))
