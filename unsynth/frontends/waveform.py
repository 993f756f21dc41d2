"""The waveform itself, at a lower rate if wanted, cut into frames for sequence models."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from unsynth.base import Audio, Frontend
from unsynth.distances import RATE
from unsynth.frontends.pqmf import kaiser_sinc

ATTENUATION = 80.0  # dB of what would alias


class Waveform(Frontend):
    """Successive samples, ``size`` in a frame, of the audio at ``rate / decimation``.

    Decimation by d keeps every d-th sample of the audio under a low-pass filter ``h``: ``y[m] = sum_n h[n] x[dm + n]``,
    with linear phase and no delay. All samples of a frame hear ``d (size - 1) + taps`` samples of audio, so filtering,
    decimation and framing are one product of that piece with a matrix that holds ``h`` shifted by d from row to row.

    Args:
        size: samples of a frame.
        decimation: d; 1 leaves the samples as they are.
        rate: samples per second of the audio.
        scale: the amplitude that becomes 1; the default is the RMS level of random sounds of the Voice.
        zeros: zero crossings of the filter on either side. The transition band is 5 / ``zeros`` of the new Nyquist
            frequency wide, and ends there.

    Shape: ``(batch, time)`` in, ``(batch, size, ceil(time / (decimation * size)))`` out.
    """

    def __init__(
        self, size: int = 16, decimation: int = 1, rate: int = RATE, scale: float = 0.18, zeros: int = 32
    ) -> None:
        super().__init__()
        self.bands, self.decimation, self.scale = size, decimation, scale
        self.frame_rate = rate / (decimation * size)
        self.filters: Tensor
        self.register_buffer("filters", decimating_filters(size, decimation, zeros).float(), persistent=False)

    def analyse(self, audio: Audio) -> Float[Tensor, "batch sample frame"]:
        hop, taps = self.decimation * self.bands, self.filters.shape[-1]
        before = (taps - self.decimation * (self.bands - 1) - 1) // 2
        padded = F.pad(audio, (before, taps - hop - before + -audio.shape[-1] % hop)) / self.scale
        frames = padded.unfold(-1, taps, hop).mT
        return frames if self.decimation == 1 else self.filters @ frames


def decimating_filters(size: int, decimation: int, zeros: int) -> Float[Tensor, "sample tap"]:
    """Row m holds the low-pass filter from tap ``m * decimation`` on; the identity where there is nothing to filter."""
    if decimation == 1:
        return torch.eye(size)
    taps = 2 * zeros * decimation + 1
    rows = np.zeros((size, taps + decimation * (size - 1)))
    cutoff = (1 - 5 / (2 * zeros)) / decimation
    for row, samples in enumerate(rows):
        samples[row * decimation :][:taps] = kaiser_sinc(taps, cutoff, ATTENUATION)
    return torch.from_numpy(rows)
