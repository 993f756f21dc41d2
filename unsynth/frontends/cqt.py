"""The constant-Q transform: a spectrogram whose bands are evenly spaced in pitch, each as wide as its pitch allows.

Band k hears the frequency ``f_k = f_min 2^(k / b)`` through a Gaussian window of constant shape, ``L_k`` samples long:

    C_k(t) = sqrt(L_k) sum_n x[n] w_k(n - t) exp(-2 pi i f_k (n - t) / rate),   sum_n w_k(n) = 1,   L_k = rate / B_k

(Brown, "Calculation of a constant Q spectral transform", JASA 1991, https://doi.org/10.1121/1.400476, eq. 5; the scale
and the bandwidths ``B_k = alpha f_k + gamma`` in Hz are those of librosa.vqt, with ``alpha = tanh(ln 2 / b)``.) The
Gaussian has the noise bandwidth of a Hann window of ``L_k`` samples, 1.5 B_k, and fades 100 dB in time and frequency.

In the frequency domain, ``x`` times a Gaussian around ``f_k`` is the spectrum of ``C_k``. We want only every hop-th
sample of it, and to sample in time is to fold in frequency: with a transform of N = F hop points, the bins that are
equal modulo F add up, and an inverse transform of F points gives the F frames, exactly. So each sound takes one large
transform, about eight products for each point of its spectrum, and a transform of F points for each band. The phase of
C_k is not kept, so the bins may be folded from wherever the Gaussian begins.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from jaxtyping import Complex64, Float
from torch import Tensor
from torch.nn import functional as F

from unsynth.base import Audio, Frontend, UsageError
from unsynth.distances import DB_FLOOR, RATE

Decibels = Float[Tensor, "batch band frame"]

SPREAD = 1.5 / math.sqrt(math.pi)  # standard deviation of the Gaussian in frequency, in bandwidths B_k
REACH = 4.8  # standard deviations at which it has faded by 100 dB
FRAMES = 64  # the number of frames that are transformed is a multiple of this


class Cqt(Frontend):
    """Constant-Q (or variable-Q) spectrogram, ``(10 log10 |C|^2 + offset) / scale``; at least -100 dB.

    Args:
        bands_per_octave: b.
        octaves: how far the bands reach; the default ends at 19.9 kHz.
        f_min: lowest frequency, Hz.
        hop: samples between frames.
        gamma: Hz by which every band is wider than constant-Q: sharpens the lowest bands, 1.5 s long, in time.
        rate: samples per second.
        offset: added to the dB; the default measured over 512 random sounds of the Voice, as is ``scale``.
        scale: the dB that become 1.

    Raises:
        UsageError: the highest band would pass the Nyquist frequency.

    Shape: ``(batch, time)`` in, ``(batch, round(octaves * bands_per_octave), 1 + (time - 1) // hop)`` out.
    """

    def __init__(
        self,
        bands_per_octave: int = 24,
        octaves: float = 9.5,
        f_min: float = 27.5,
        hop: int = 441,
        gamma: float = 0.0,
        rate: int = RATE,
        offset: float = 64.0,
        scale: float = 33.0,
    ) -> None:
        super().__init__()
        self.bands, self.frame_rate = round(octaves * bands_per_octave), rate / hop
        self.bands_per_octave, self.hop, self.rate, self.offset, self.scale = bands_per_octave, hop, rate, offset, scale
        self.centres = [f_min * 2 ** (band / bands_per_octave) for band in range(self.bands)]
        self.widths = [math.tanh(math.log(2) / bands_per_octave) * centre + gamma for centre in self.centres]
        if self.centres[-1] + self.widths[-1] > rate / 2:
            raise UsageError(
                f"The highest band, {self.centres[-1]:.0f} Hz, has to lie below {rate / 2:.0f} Hz: lower octaves."
            )

    def analyse(self, audio: Audio) -> Decibels:
        fade = REACH * self.rate / (2 * math.pi * SPREAD * self.widths[0])  # samples, of the longest window
        frames = math.ceil((audio.shape[-1] + fade) / (self.hop * FRAMES)) * FRAMES
        spectrum = torch.fft.rfft(audio, frames * self.hop)
        filters = gaussians(tuple(self.centres), tuple(self.widths), self.rate / (frames * self.hop), spectrum.device)
        last = spectrum.shape[-1]  # a filter may reach beyond it
        bands = [
            _fold(spectrum[:, first : first + len(gains)] * gains[: last - first], frames) for first, gains in filters
        ]
        samples = torch.fft.ifft(torch.stack(bands, 1))[..., : 1 + (audio.shape[-1] - 1) // self.hop]
        power = torch.view_as_real(samples).square().sum(-1) * (self.rate / self.hop**2)
        return (10 * power.clamp(min=DB_FLOOR).log10() + self.offset) / self.scale


@lru_cache(maxsize=4)
def gaussians(
    centres: tuple[float, ...], widths: tuple[float, ...], bin_hz: float, device: torch.device
) -> list[tuple[int, Float[Tensor, " bin"]]]:
    """For each band its first bin, and the Gaussian from there on, of height ``1 / sqrt(width)``."""
    return [_gaussian(*band, bin_hz, device) for band in zip(centres, widths, strict=True)]


def _gaussian(centre: float, width: float, bin_hz: float, device: torch.device) -> tuple[int, Float[Tensor, " bin"]]:
    first, last = (math.ceil((centre + sign * REACH * SPREAD * width) / bin_hz) for sign in (-1, 1))
    bins = torch.arange(max(0, first), last, device=device)
    deviations = (bins * bin_hz - centre) / (SPREAD * width)
    return max(0, first), torch.exp(-deviations.square() / 2) / math.sqrt(width)


def _fold(bins: Complex64[Tensor, "batch bin"], frames: int) -> Complex64[Tensor, "batch frame"]:
    """The bins that are equal modulo ``frames`` added up."""
    turns, rest = divmod(bins.shape[-1], frames)
    whole, part = bins.split([turns * frames, rest], -1)
    return whole.unflatten(-1, (turns, frames)).sum(-2) + F.pad(part, (0, frames - rest))
