"""What a search makes small: the published multi-scale spectral distance from one target, in a millisecond."""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from unsynth.base import Audio, UnusableError, UsageError
from unsynth.distances import DB_RANGE, MSS_SCALES, mss
from unsynth.frontends.mel import Decibels, log_mel, native_plan, runs_native
from unsynth.synths.voice_native import threads

try:
    from unsynth import _native
except ImportError:  # built without a C++ compiler
    _native = None


@final
class SpectralDistance:
    """:func:`unsynth.distances.mss` from one target, to 0.01 dB, with the target's spectrograms computed once.

    Without gradient on the CPU a native kernel keeps everything but the distances to itself; otherwise torch compares
    ``part`` sounds at a time. Memory does not grow with the batch.

    Args:
        target: the one sound, 44.1 kHz; shape ``(1, time)``.
        part: sounds that torch compares at once.
        isa: names an instruction set of :func:`unsynth.synths.voice_native.instruction_sets`, the best one where empty.

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
        assert _native is not None
        plans = [native_plan(*scale) for scale in MSS_SCALES]
        if self._length != audio.shape[-1]:
            self._length, self._mels = audio.shape[-1], self._relative_mels(audio.shape[-1])
        targets = [mel[0].numpy() for mel in self._mels]
        out = torch.empty(len(audio))
        sounds = audio.detach().contiguous().numpy()
        _native.mel_distance(plans, sounds, targets, DB_RANGE, out.numpy(), threads(), self.isa)
        return out

    def _relative_mels(self, length: int) -> list[Decibels]:
        """The target's first ``length`` samples in dB under their own maximum, at most 80 under it, at each scale."""
        target = self.target[:, :length].cpu().float()
        mels = [log_mel(target, scale, isa=self.isa) for scale in MSS_SCALES]
        return [(mel - mel.amax()).clamp(min=-DB_RANGE) for mel in mels]
