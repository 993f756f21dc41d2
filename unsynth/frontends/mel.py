"""Log-mel spectrograms as the published multi-scale spectral distance defines them, fast enough to search with.

Without gradient on the CPU a native kernel computes them, otherwise torch, to the same values: the signal processing is
that of :mod:`unsynth.distances` (zero-padded centred frames, Hann window, power, Slaney mel scale and normalisation).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unsynth.base import Audio, Frontend, UnusableError
from unsynth.distances import DB_FLOOR, MSS_SCALES, RATE, mel_filterbank
from unsynth.native import kernels, threads

Decibels = Float[Tensor, "batch mel frame"]
Scale = tuple[int, int, int]  # n_fft, hop, mels

__all__ = ["MSS_SCALES", "Decibels", "LogMel", "RelativeLogMel", "Scale", "log_mel", "native_plan", "runs_native"]


class LogMel(Frontend):
    """:func:`log_mel` normalised by constants: ``(dB + offset) / scale``. Silence is exactly the floor of -100 dB.

    Args:
        n_fft: samples of a frame; with many mel bands it has to be long, or the lowest bands hold no bin at all.
        hop: samples between frames.
        mels: number of mel bands.
        rate: samples per second.
        offset: added to the dB; the default measured over 1,024 random sounds of the Voice, as is ``scale``. Other
            resolutions need up to 5 dB more.
        scale: the dB that become 1.

    Shape: ``(batch, time)`` in, ``(batch, mels, 1 + time // hop)`` out, for an odd ``n_fft`` ``1 + (time - 1) // hop``.
    """

    def __init__(
        self,
        n_fft: int = 2048,
        hop: int = 441,
        mels: int = 128,
        rate: int = RATE,
        offset: float = 53.0,
        scale: float = 34.0,
    ) -> None:
        super().__init__()
        self.resolution, self.rate, self.offset, self.scale = (n_fft, hop, mels), rate, offset, scale
        self.bands, self.frame_rate = mels, rate / hop
        self.window: Tensor
        self.filters: Tensor
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.register_buffer("filters", mel_filterbank(rate, n_fft, mels).float(), persistent=False)

    def analyse(self, audio: Audio) -> Decibels:
        plan = native_plan(*self.resolution, self.rate)
        if plan and runs_native(audio):
            decibels = _log_mel_native(audio, self.resolution, plan, isa="")
        else:
            decibels = _log_mel_torch(audio, self.resolution[1], self.window, self.filters)
        return (decibels + self.offset) / self.scale


class RelativeLogMel(Frontend):
    """:func:`log_mel` under the loudest of the sound, as the published MSS has it: a sound's level does not matter.

    Args:
        n_fft: samples of a frame.
        hop: samples between frames.
        mels: number of mel bands.
        rate: samples per second.
        reach: dB under the loudest that count; what is quieter is raised to it.
        offset: dB added before ``scale`` dB become 1.

    Shape: as :class:`LogMel`.
    """

    def __init__(
        self,
        n_fft: int = 2048,
        hop: int = 441,
        mels: int = 128,
        rate: int = RATE,
        reach: float = 80.0,
        offset: float = 55.0,
        scale: float = 25.0,
    ) -> None:
        super().__init__()
        self.mel = LogMel(n_fft, hop, mels, rate, offset=0.0, scale=1.0)
        self.bands, self.frame_rate = mels, rate / hop
        self.reach, self.offset, self.scale = reach, offset, scale

    def analyse(self, audio: Audio) -> Decibels:
        decibels = self.mel(audio)
        under = (decibels - decibels.amax((1, 2), keepdim=True)).clamp(min=-self.reach)
        return (under + self.offset) / self.scale


def log_mel(audio: Audio, scale: Scale, rate: int = RATE, isa: str = "") -> Decibels:
    """Mel spectrogram in dB (10 log10 of power, at least -100).

    Both ways of computing agree to 0.01 dB down to 80 dB under the loudest; further down float32 rounds, and two
    neighbouring frames share the rounding of the louder one. Frames of zeros are exactly the floor.

    Args:
        scale: samples of a frame, samples between frames, number of mel bands.
        rate: samples per second.
        isa: names an instruction set of :func:`unsynth.native.instruction_sets`, the best one where empty.

    Raises:
        UnusableError: the sounds have no samples.

    Shape: ``(batch, time)`` in, ``(batch, mel, 1 + time // hop)`` out, for an odd frame ``1 + (time - 1) // hop``.
    """
    if audio.shape[-1] == 0:
        raise UnusableError("A sound without samples has no spectrum: give at least one sample.")
    plan = native_plan(*scale, rate)
    if plan and runs_native(audio):
        return _log_mel_native(audio, scale, plan, isa)
    n_fft, hop, mels = scale
    window = torch.hann_window(n_fft, dtype=audio.dtype, device=audio.device)
    return _log_mel_torch(audio, hop, window, mel_filterbank(rate, n_fft, mels).to(audio))


def runs_native(audio: Audio) -> bool:
    """Whether the native kernels can take these sounds."""
    needs_grad = torch.is_grad_enabled() and audio.requires_grad
    return kernels is not None and audio.device.type == "cpu" and audio.dtype == torch.float32 and not needs_grad


@cache
def native_plan(n_fft: int, hop: int, mels: int, rate: int = RATE) -> Any:
    """Tables of the native kernel, or None where it was not built or ``n_fft`` has a prime factor that is too large."""
    if kernels is None or not kernels.mel_supports(n_fft):
        return None
    return kernels.MelPlan(n_fft, hop, mel_filterbank(rate, n_fft, mels).float().numpy(), DB_FLOOR)


def _log_mel_native(audio: Audio, scale: Scale, plan: Any, isa: str) -> Decibels:
    n_fft, hop, mels = scale
    out = torch.empty(len(audio), mels, 1 + (audio.shape[-1] - n_fft % 2) // hop)
    kernels.log_mel(plan, audio.detach().contiguous().numpy(), out.numpy(), threads(), isa)
    return out


def _log_mel_torch(
    audio: Audio, hop: int, window: Float[Tensor, " tap"], filters: Float[Tensor, "mel bin"]
) -> Decibels:
    spectra = torch.stft(audio, len(window), hop, window=window, pad_mode="constant", return_complex=True)
    power = filters @ torch.view_as_real(spectra).square().sum(-1)
    return 10 * power.clamp(min=DB_FLOOR).log10()
