"""What a search makes small: the published multi-scale spectral distance from one target, in a millisecond."""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from unsynth.base import Audio, UnusableError, UsageError
from unsynth.distances import DB_RANGE, MSS_SCALES, SOT_HOP, mss
from unsynth.frontends.mel import Decibels, log_mel, native_plan, runs_native
from unsynth.native import kernels, threads

STRIDE = 63  # samples from one that is looked at to the next; a divisor of SOT_HOP
SILENT = 1e-8  # full scale is 1


@final
class MatchDistance:
    """:class:`SpectralDistance` plus ``silence`` times the share of frames in which only one of the sounds is silent.

    Spectra end 80 dB under the maximum, so they cannot tell silence from a tail that nearly is, and a search that sees
    spectra alone is as happy with sounds that end seconds late; spectral optimal transport is not. What the target has
    between silence and 80 dB under its peak, as the noise floor of a recording, may be either.

    Args:
        target: the one sound, 44.1 kHz; shape ``(1, time)``.
        silence: dB for a sound that is silent where the target is not, and not where the target is.

    Raises:
        UsageError: the target is not one sound.
        UnusableError: the target has no samples.
    """

    measures = "MSS, and frames that are silent on one side only"

    def __init__(self, target: Audio, silence: float = 2.0) -> None:
        self.spectral, self.silence = SpectralDistance(target), silence
        peaks = _peaks(target.detach())
        self._silent, self._heard = peaks < SILENT, peaks > peaks.amax() * 10 ** (-DB_RANGE / 20)

    def __call__(self, audio: Audio) -> Float[Tensor, " batch"]:
        """Distance of each sound in dB, lower is nearer; shapes and errors as of :class:`SpectralDistance`."""
        spectral = self.spectral(audio)
        silent = _peaks(audio.detach()) < SILENT
        frames = min(silent.shape[1], self._silent.shape[1])
        silent, wanted, heard = (x[:, :frames].to(audio.device) for x in (silent, self._silent, self._heard))
        return spectral + self.silence * torch.where(silent, heard, wanted).float().mean(1)


def _peaks(audio: Audio) -> Float[Tensor, "batch frame"]:
    """The largest of a few samples of each frame: enough to know silence, and twenty times as fast as all of them."""
    few, each = audio[:, ::STRIDE], SOT_HOP // STRIDE
    return F.pad(few, (0, -few.shape[1] % each)).unflatten(1, (-1, each)).abs().amax(-1)


@final
class SpectralDistance:
    """:func:`unsynth.distances.mss` from one target, to 0.01 dB, with the target's spectrograms computed once.

    Without gradient on the CPU a native kernel keeps everything but the distances to itself; otherwise torch compares
    ``part`` sounds at a time. Memory does not grow with the batch.

    Args:
        target: the one sound, 44.1 kHz; shape ``(1, time)``.
        part: sounds that torch compares at once.
        isa: names an instruction set of :func:`unsynth.native.instruction_sets`, the best one where empty.

    Raises:
        UsageError: the target is not one sound.
        UnusableError: the target has no samples.
    """

    def __init__(self, target: Audio, part: int = 16, isa: str = "") -> None:
        if target.ndim != 2 or len(target) != 1:
            raise UsageError(f"Give one target as (1, time), not {tuple(target.shape)}.")
        if target.shape[-1] == 0:
            raise UnusableError("A target without samples cannot be matched: give at least one sample.")
        self.target, self.part, self.isa = target.detach(), part, isa
        self._mels: list[Decibels] = []
        self._length = 0  # that _mels are of

    def __call__(self, audio: Audio) -> Float[Tensor, " batch"]:
        """Distance of each sound in dB, lower is nearer; both sounds are cut to the shorter one.

        Raises:
            UsageError: the sounds are not ``(batch, time)``.
            UnusableError: the sounds have no samples.

        Shape: ``(batch, time)`` in, ``(batch,)`` out.
        """
        if audio.ndim == 2 and audio.shape[-1] and runs_native(audio):
            return self._native(audio[:, : self.target.shape[-1]])
        target = self.target.to(audio)
        parts = [mss(target, part) for part in audio.split(self.part)]
        return torch.cat(parts)

    def _native(self, audio: Audio) -> Float[Tensor, " batch"]:
        plans = [native_plan(*scale) for scale in MSS_SCALES]
        if self._length != audio.shape[-1]:
            self._length, self._mels = audio.shape[-1], self._relative_mels(audio.shape[-1])
        targets = [mel[0].numpy() for mel in self._mels]
        out = torch.empty(len(audio))
        sounds = audio.detach().contiguous().numpy()
        kernels.mel_distance(plans, sounds, targets, DB_RANGE, out.numpy(), threads(), self.isa)
        return out

    def _relative_mels(self, length: int) -> list[Decibels]:
        """The target's first ``length`` samples in dB under their own maximum, at most 80 under it, at each scale."""
        target = self.target[:, :length].cpu().float()
        mels = [log_mel(target, scale, isa=self.isa) for scale in MSS_SCALES]
        return [(mel - mel.amax()).clamp(min=-DB_RANGE) for mel in mels]
