"""What a listener would note of each moment of a sound: seven statistics of a frame, and its cepstrum.

The features, besides spectrograms, of Chen, Jing, Chang, Yang, Xu, "Sound2Synth: interpreting sound via FM synthesizer
parameters estimation" (IJCAI 2022, https://arxiv.org/abs/2205.03043, section 4.1), each as librosa defines it.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from unsynth.base import Audio, Frontend
from unsynth.distances import DB_FLOOR, RATE, dct
from unsynth.frontends.mel import LogMel

Power = Float[Tensor, "batch bin frame"]
Series = Float[Tensor, "batch frame"]

STATISTICS = ("rms", "peak", "crossings", "flatness", "centroid", "bandwidth", "rolloff")
ROLLOFF = 0.85  # the share of the magnitude that lies under the roll-off
QUIET = 1e-10  # a sample this small has no sign
NARROW = 1e-3  # no bandwidth is below this, where float32 rounds

# Mean and standard deviation of each statistic and cepstral coefficient over 1,024 random sounds of the Voice.
MEAN = (-37.1, -32.4, 0.083, -42.1, 0.194, 0.157, 0.323)
DEVIATION = (29.9, 31.2, 0.145, 23.6, 0.175, 0.084, 0.284)
CEPSTRUM_MEAN = (-52.9, 6.1, -0.6, 1.6, 0.1, 0.9, 0.0, 0.5, 0.0, 0.2, 0.1, 0.2, 0.2, 0.1, 0.2, 0.0, 0.1, 0.0, 0.1, 0.1)
CEPSTRUM_DEVIATION = (
    29.8,
    9.0,
    4.1,
    3.3,
    2.7,
    2.3,
    2.2,
    2.1,
    2.0,
    1.9,
    1.9,
    1.9,
    1.9,
    1.8,
    1.9,
    1.8,
    1.6,
    1.4,
    1.3,
    1.3,
)


class Statistics(Frontend):
    """Seven statistics of each frame, in the order of ``STATISTICS``, less ``mean``, over ``deviation``.

    Before that, RMS and peak are in dB (at least -100), spectral flatness in dB (0 for white noise), zero crossings a
    share of the samples, and spectral centroid, bandwidth and 85 % roll-off shares of the Nyquist frequency. No bin has
    less than -100 dB, so silence has the spectrum of white noise. Crossings and roll-off are counts without gradient.

    Args:
        n_fft: samples of a frame; frames are centred, with zeros beyond the ends.
        hop: samples between frames.
        rate: samples per second.

    Shape: ``(batch, time)`` in, ``(batch, 7, 1 + time // hop)`` out, for an odd ``n_fft`` ``1 + (time - 1) // hop``.
    """

    def __init__(
        self,
        n_fft: int = 2048,
        hop: int = 441,
        rate: int = RATE,
        mean: tuple[float, ...] = MEAN,
        deviation: tuple[float, ...] = DEVIATION,
    ) -> None:
        super().__init__()
        self.bands, self.frame_rate, self.n_fft, self.hop = len(STATISTICS), rate / hop, n_fft, hop
        self.window: Tensor
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.register_buffer("mean", torch.tensor(mean)[:, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation)[:, None], persistent=False)

    def analyse(self, audio: Audio) -> Float[Tensor, "batch statistic frame"]:
        spectra = torch.stft(audio, self.n_fft, self.hop, window=self.window, pad_mode="constant", return_complex=True)
        power = torch.view_as_real(spectra).square().sum(-1).clamp(min=DB_FLOOR)
        magnitude = power.sqrt()
        padded, frame = F.pad(audio, (self.n_fft // 2,) * 2), (self.n_fft, self.hop)
        temporal = (rms(padded, *frame), peak(padded, *frame), crossings(padded, *frame))
        spectral = (flatness(power), *centroid_and_bandwidth(magnitude), rolloff(magnitude))
        return (torch.stack((*temporal, *spectral), 1) - self.mean) / self.deviation


class Mfcc(Frontend):
    """Mel-frequency cepstral coefficients: the DCT of the log-mel spectrum, less ``mean``, over ``deviation``.

    The DCT-II is scaled to a mean over the bands: coefficient 0 is the mean dB, whatever the number of bands. (That is
    librosa.feature.mfcc over the square root of the number of bands, without its cut at 80 dB under the loudest.)

    Args:
        coefficients: how many; for more than 20 give a ``mean`` and ``deviation`` of that many.
        n_fft: samples of a frame.
        hop: samples between frames.
        mels: number of mel bands.
        rate: samples per second.

    Shape: ``(batch, time)`` in, ``(batch, coefficients, 1 + time // hop)`` out, as for :class:`LogMel`.
    """

    def __init__(
        self,
        coefficients: int = 20,
        n_fft: int = 2048,
        hop: int = 441,
        mels: int = 128,
        rate: int = RATE,
        mean: tuple[float, ...] = CEPSTRUM_MEAN,
        deviation: tuple[float, ...] = CEPSTRUM_DEVIATION,
    ) -> None:
        super().__init__()
        self.mel = LogMel(n_fft, hop, mels, rate, offset=0, scale=1)
        self.bands, self.frame_rate = coefficients, self.mel.frame_rate
        rows = dct(mels, coefficients) / torch.tensor(deviation[:coefficients])[:, None] / mels**0.5
        self.rows: Tensor
        self.shift: Tensor
        self.register_buffer("rows", rows.float(), persistent=False)
        shift = torch.tensor(mean[:coefficients]) / torch.tensor(deviation[:coefficients])
        self.register_buffer("shift", shift[:, None], persistent=False)

    def analyse(self, audio: Audio) -> Float[Tensor, "batch coefficient frame"]:
        return self.rows @ self.mel.analyse(audio) - self.shift


def decibels(power: Tensor) -> Tensor:
    """10 log10 of power, at least -100."""
    return 10 * power.clamp(min=DB_FLOOR).log10()


def rms(audio: Audio, size: int, hop: int) -> Series:
    """Root mean square of frames of ``size`` samples, in dB."""
    return decibels(F.avg_pool1d(audio.square(), size, hop))


def peak(audio: Audio, size: int, hop: int) -> Series:
    """Largest magnitude of a sample of each frame, in dB."""
    return decibels(F.max_pool1d(audio.abs(), size, hop).square())


def crossings(audio: Audio, size: int, hop: int) -> Series:
    """The share of a frame's samples whose sign is not that of the one before; no gradient."""
    negative = audio < -QUIET
    changes = (negative[:, 1:] ^ negative[:, :-1]).float()
    return F.avg_pool1d(changes, size - 1, hop) * ((size - 1) / size)


def flatness(power: Power) -> Series:
    """Geometric over arithmetic mean of the power spectrum, in dB."""
    return decibels(power).mean(1) - decibels(power.mean(1))


def centroid_and_bandwidth(magnitude: Power) -> tuple[Series, Series]:
    """Mean and standard deviation of frequency, weighted by magnitude, as shares of the Nyquist frequency."""
    frequency = torch.linspace(0, 1, magnitude.shape[1], device=magnitude.device)
    total, first, second = (frequency ** torch.arange(3, device=frequency.device)[:, None] @ magnitude).unbind(1)
    centroid = first / total
    return centroid, (second / total - centroid.square()).clamp(min=NARROW**2).sqrt()


def rolloff(magnitude: Power, share: float = ROLLOFF) -> Series:
    """The lowest frequency under which this share of the magnitude lies; no gradient."""
    total = magnitude.detach().cumsum(1)
    below = (total < share * total[:, -1:]).sum(1)
    return below / (magnitude.shape[1] - 1)
