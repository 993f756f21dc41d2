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

from unsynth.base import Audio, UnusableError
from unsynth.distances import DB_FLOOR, MSS_SCALES, RATE, mel_filterbank
from unsynth.synths.voice_native import threads

try:
    from unsynth import _native
except ImportError:  # built without a C++ compiler
    _native = None

Decibels = Float[Tensor, "batch mel frame"]
Scale = tuple[int, int, int]  # n_fft, hop, mels

__all__ = ["MSS_SCALES", "Decibels", "Scale", "log_mel", "native_plan", "runs_native"]


def log_mel(audio: Audio, scale: Scale, rate: int = RATE, isa: str = "") -> Decibels:
    """Mel spectrogram in dB (10 log10 of power, at least -100).

    Both ways of computing agree to 0.01 dB down to 80 dB under the loudest; further down float32 rounds, and two
    neighbouring frames share the rounding of the louder one. Frames of zeros are exactly the floor.

    Args:
        scale: samples of a frame, samples between frames, number of mel bands.
        rate: samples per second.
        isa: names an instruction set of :func:`unsynth.synths.voice_native.instruction_sets`, the best one where empty.

    Raises:
        UnusableError: the sounds have no samples.

    Shape: ``(batch, time)`` in, ``(batch, mel, 1 + time // hop)`` out, for an odd frame ``1 + (time - 1) // hop``.
    """
    if audio.shape[-1] == 0:
        raise UnusableError("A sound without samples has no spectrum: give at least one sample.")
    plan = native_plan(*scale, rate)
    return (
        _log_mel_native(audio, scale, plan, isa) if plan and runs_native(audio) else _log_mel_torch(audio, scale, rate)
    )


def runs_native(audio: Audio) -> bool:
    """Whether the native kernels can take these sounds."""
    needs_grad = torch.is_grad_enabled() and audio.requires_grad
    return _native is not None and audio.device.type == "cpu" and audio.dtype == torch.float32 and not needs_grad


@cache
def native_plan(n_fft: int, hop: int, mels: int, rate: int = RATE) -> Any:
    """Tables of the native kernel, or None where it was not built or ``n_fft`` has a prime factor that is too large."""
    if _native is None or not _native.mel_supports(n_fft):
        return None
    return _native.MelPlan(n_fft, hop, mel_filterbank(rate, n_fft, mels).float().numpy(), DB_FLOOR)


def _log_mel_native(audio: Audio, scale: Scale, plan: Any, isa: str) -> Decibels:
    assert _native is not None
    n_fft, hop, mels = scale
    out = torch.empty(len(audio), mels, 1 + (audio.shape[-1] - n_fft % 2) // hop)
    _native.log_mel(plan, audio.detach().contiguous().numpy(), out.numpy(), threads(), isa)
    return out


def _log_mel_torch(audio: Audio, scale: Scale, rate: int) -> Decibels:
    n_fft, hop, mels = scale
    window = torch.hann_window(n_fft, dtype=audio.dtype, device=audio.device)
    spectra = torch.stft(audio, n_fft, hop, window=window, pad_mode="constant", return_complex=True)
    power = mel_filterbank(rate, n_fft, mels).to(audio) @ torch.view_as_real(spectra).square().sum(-1)
    return 10 * power.clamp(min=DB_FLOOR).log10()
