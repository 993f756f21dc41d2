"""A pseudo-quadrature mirror filter bank: audio as critically sampled bands that add up to the audio again.

One low-pass prototype ``h`` of ``taps`` samples, moved to the middle of each of M bands by a cosine (Lin, Vaidyanathan,
"A Kaiser window approach for the design of prototype filters of cosine modulated filterbanks", IEEE Signal Processing
Letters 1998, https://doi.org/10.1109/97.681427, section II):

    h_k[n] = 2 h[n] cos((2k + 1) pi / 2M (n - (taps - 1) / 2) + (-1)^k pi / 4)

The phase cancels what neighbouring bands alias onto each other, and makes the synthesis filters the analysis filters
reversed in time. So analysis is a matrix A whose rows are shifted filters, synthesis is its transpose, and the
reconstruction ``A^T A x`` is near ``x`` where A is near orthonormal: energy in the bands is energy in the audio.
What remains is amplitude distortion, zero where ``h`` convolved with itself is zero at every other multiple of 2M:
the single number that decides it, the cutoff, is chosen to make the largest of these smallest (the same, section III).
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from unsynth.base import Audio, Frontend
from unsynth.distances import RATE

Subbands = Float[Tensor, "batch band frame"]

ATTENUATION = 86.0  # dB in the stop band; the reconstruction is best near here
CUTOFFS = (0.5, 0.75)  # in bandwidths; below the band's edge it loses power, above 1 there is a second, bad optimum
GRID, ZOOMS = 33, 8


class Pqmf(Frontend):
    """M bands at 1 / M of the rate, linear in the audio; :meth:`synthesise` gives the audio back with 60 dB SNR.

    Every frame that hears the sound is there, so that its first and last samples come back too: frame ``i`` is centred
    at ``(i + 1) / frame_rate`` seconds minus half a filter.

    Args:
        bands: M; band k is centred at ``(k + 1/2) / M`` of the Nyquist frequency.
        overlap: length of the filters in frames. From 10 on, more makes the bands steeper, not the reconstruction
            better; 4 are 18 dB, 2 are 6 dB.
        rate: samples per second.
        scale: the amplitude that becomes 1; the default is the RMS level of random sounds of the Voice.

    Shape: ``(batch, time)`` in, ``(batch, bands, ceil(time / bands) + overlap - 1)`` out.
    """

    def __init__(self, bands: int = 16, overlap: int = 10, rate: int = RATE, scale: float = 0.18) -> None:
        super().__init__()
        self.bands, self.frame_rate, self.scale = bands, rate / bands, scale
        self.filters: Tensor
        self.register_buffer("filters", filter_bank(bands, overlap * bands).float(), persistent=False)

    def analyse(self, audio: Audio) -> Subbands:
        return analyse(audio, self.filters) / self.scale

    def synthesise(self, subbands: Subbands, length: int) -> Audio:
        """The sounds of ``length`` samples whose bands these are."""
        return synthesise(self.scale * subbands, self.filters, length)


def analyse(audio: Audio, filters: Float[Tensor, "band tap"]) -> Subbands:
    """Each band of the audio, every M samples: a strided correlation with the filters.

    Shape: ``(batch, time)`` and ``(band, tap)`` in, ``(batch, band, frame)`` out.
    """
    bands, taps = filters.shape
    padded = F.pad(audio, (taps - bands, taps - bands + -audio.shape[-1] % bands))
    return filters @ padded.unfold(-1, taps, bands).mT


def synthesise(subbands: Subbands, filters: Float[Tensor, "band tap"], length: int) -> Audio:
    """The transpose of :func:`analyse`: filters weighted by the bands, added up at their places.

    Shape: ``(batch, band, frame)`` and ``(band, tap)`` in, ``(batch, length)`` out.
    """
    bands, taps = filters.shape
    pieces = filters.mT @ subbands
    total = taps + bands * (subbands.shape[-1] - 1)
    audio = F.fold(pieces, (1, total), (1, taps), stride=(1, bands))[:, 0, 0]
    return audio[:, taps - bands : taps - bands + length]


@cache
def filter_bank(bands: int, taps: int, attenuation: float = ATTENUATION) -> Float[Tensor, "band tap"]:
    """The analysis filters in float64, reversed in time (for correlation), of unit energy on average."""
    time = np.arange(taps) - (taps - 1) / 2
    prototype = kaiser_sinc(taps, _best_cutoff(bands, taps, attenuation), attenuation)
    band = np.arange(bands)[:, None]
    angles = (2 * band + 1) * np.pi / (2 * bands) * time - (-1.0) ** band * np.pi / 4
    filters = prototype * np.cos(angles)
    return torch.from_numpy(filters * math.sqrt(bands) / np.linalg.norm(filters))


def kaiser_sinc(taps: int, cutoff: float, attenuation: float) -> np.ndarray:
    """A low-pass filter, linear in phase, of unit gain; half amplitude at ``cutoff``, a share of the Nyquist frequency.

    The window is Kaiser's for that attenuation in dB (Oppenheim, Schafer, "Discrete-Time Signal Processing", 7.5).
    """
    time = np.arange(taps) - (taps - 1) / 2
    return cutoff * np.sinc(cutoff * time) * np.kaiser(taps, _kaiser_beta(attenuation))


def _kaiser_beta(attenuation: float) -> float:
    """Kaiser's fit, for more than 50 dB."""
    return 0.1102 * (attenuation - 8.7)


def _best_cutoff(bands: int, taps: int, attenuation: float) -> float:
    """The cutoff with the least amplitude distortion, by ever finer grids."""
    low, high = (edge / bands for edge in CUTOFFS)
    for _ in range(ZOOMS):
        grid = np.linspace(low, high, GRID)
        best = int(np.argmin([_distortion(kaiser_sinc(taps, c, attenuation), bands) for c in grid]))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, GRID - 1)]
    return (low + high) / 2


def _distortion(prototype: np.ndarray, bands: int) -> float:
    """Largest correlation of the prototype with itself at a multiple of 2M, relative to that at 0."""
    lags = range(2 * bands, len(prototype), 2 * bands)
    worst = max((abs(prototype[lag:] @ prototype[:-lag]) for lag in lags), default=0.0)
    return float(worst / (prototype @ prototype))
