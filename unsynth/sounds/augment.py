"""What happens to recordings and never to rendered sounds: changes of a sound that leave its patch the right answer.

Each effect is a function of sounds and a generator; :class:`Augment` applies each to some of a batch.
"""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from unsynth.base import Audio

Rows = Float[Tensor, "batch 1"]
Draws = torch.Generator | None


def between(low: float, high: float, x: Audio, draws: Draws) -> Rows:
    """One uniform number for each sound."""
    return low + (high - low) * torch.rand(len(x), 1, generator=draws, device=x.device)


def decibels(x: Tensor) -> Tensor:
    """The factor of a level."""
    return 10 ** (x / 20)


def delayed(x: Audio, samples: int) -> Audio:
    """``x`` later by so many samples, with silence before it."""
    return torch.nn.functional.pad(x, (samples, 0))[:, : x.shape[-1]]


def gain(x: Audio, draws: Draws, low: float = -24.0, high: float = 6.0) -> Audio:
    """Another level, in dB."""
    return x * decibels(between(low, high, x, draws))


def equalise(x: Audio, draws: Draws, taps: int = 6, depth: float = 0.5) -> Audio:
    """A random short filter: a smooth change of the spectrum of some dB."""
    weights = depth * torch.randn(taps, len(x), 1, generator=draws, device=x.device)
    filtered = x.clone()
    for delay, weight in enumerate(weights, start=1):
        filtered += weight / delay * delayed(x, delay)
    return filtered


def noise(x: Audio, draws: Draws, low: float = 30.0, high: float = 70.0) -> Audio:
    """White noise, so many dB under the peak of the sound."""
    level = x.abs().amax(1, keepdim=True) * decibels(-between(low, high, x, draws))
    return x + level * torch.randn(x.shape, generator=draws, device=x.device)


def reverberate(
    x: Audio, draws: Draws, echoes: int = 12, longest: int = 6000, low: float = -30.0, high: float = -10.0
) -> Audio:
    """Sparse early reflections, exponentially weaker the later they come, with random signs."""
    level = decibels(between(low, high, x, draws))
    delays = torch.randint(200, longest, (echoes,), generator=draws, device=x.device).tolist()
    wet = x.clone()
    for delay in delays:
        sign = torch.randint(0, 2, (len(x), 1), generator=draws, device=x.device) * 2 - 1
        wet += level * sign * (0.1 ** (delay / longest)) * delayed(x, delay)
    return wet


def saturate(x: Audio, draws: Draws, low: float = 0.0, high: float = 12.0) -> Audio:
    """Soft clipping, so many dB into it; the peak stays."""
    peak = x.abs().amax(1, keepdim=True).clamp(min=1e-9)
    drive = decibels(between(low, high, x, draws))
    return peak * torch.tanh(drive * x / peak) / torch.tanh(drive)


def degrade(x: Audio, draws: Draws, low: float = 8.0, high: float = 14.0) -> Audio:
    """As a poor codec does: rounded to a few bits of its peak, the top of the band averaged away."""
    step = x.abs().amax(1, keepdim=True).clamp(min=1e-9) * 2 ** -between(low, high, x, draws)
    return torch.round((x + delayed(x, 1)) / (2 * step)) * step


def late(x: Audio, draws: Draws, longest: int = 900) -> Audio:
    """The onset later by the same number of samples for all (at most ``longest``)."""
    return delayed(x, int(torch.randint(0, longest, (1,), generator=draws, device=x.device)))


def cut(x: Audio, draws: Draws, shortest: float = 0.1, fade: float = 0.005) -> Audio:
    """An end before the end: a linear fade of a share of the length, from a random share on."""
    end = between(shortest, 1.0, x, draws)
    time = torch.linspace(0, 1, x.shape[-1], device=x.device)
    return x * ((end - time) / fade + 1).clamp(0, 1)


@final
class Augment:
    """Each effect on a random part of the batch, one after another, in the order in which recordings suffer them.

    Args:
        probability: that an effect is applied to a sound.
        untouched: share of the batch that no effect touches.
    """

    effects = (equalise, saturate, reverberate, cut, late, noise, degrade, gain)

    def __init__(self, probability: float = 0.25, untouched: float = 0.5) -> None:
        self.probability, self.untouched = probability, untouched

    def __call__(self, audio: Audio, draws: Draws = None) -> Audio:
        """Changed sounds, of the same shape; the ones given are not written to."""
        audio = audio.clone()
        first = round(self.untouched * len(audio))
        for effect in self.effects:
            drawn = torch.rand(len(audio), generator=draws, device=audio.device) < self.probability
            drawn[:first] = False
            if drawn.any():
                audio[drawn] = effect(audio[drawn], draws)
        return audio
