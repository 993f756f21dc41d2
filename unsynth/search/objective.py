"""What a search makes small: spectral distance and spectral transport from one target, in a millisecond."""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from unsynth.base import Audio, UnusableError, UsageError
from unsynth.distances import DB_RANGE, MSS_SCALES, magnitudes, mss
from unsynth.frontends.mel import Decibels, log_mel, native_plan, runs_native
from unsynth.native import kernels, threads

GROUPED = 4  # bins whose magnitudes are moved as one; the kernel has the same
QUIET = 1e-5  # sum of a frame's magnitudes under which they count as less than 1; times the sound's peak
PADDING = 32  # frames of zeros that the kernel reads


@final
class MatchDistance:
    """:class:`SpectralDistance`, and what it is deaf to: where the loud partials are, and how a sound ends.

    Spectra in dB that do not overlap are equally far however far apart they are; every band counts the same; and
    nothing counts 80 dB under the maximum, so that a tail and silence are one. So ``transport`` times the spectral
    transport is added: per frame, how far magnitudes must move along the frequency axis (1: from 0 Hz to the Nyquist
    frequency; up to 1 too where one sound is silent). It is the published SOT (:func:`unsynth.distances.sot`) with
    frames of 100 ms, of which the spectra exist already.

    Args:
        target: the one sound, 44.1 kHz; shape ``(1, time)``.
        transport: dB for moving everything across the whole frequency axis.

    Raises:
        UsageError: the target is not one sound.
        UnusableError: the target has no samples.
    """

    measures = "MSS and spectral transport"

    def __init__(self, target: Audio, transport: float = 20.0) -> None:
        self.spectral, self.transport = SpectralDistance(target), transport

    def __call__(self, audio: Audio) -> Float[Tensor, " batch"]:
        """Distance of each sound in dB, lower is nearer; shapes and errors as of :class:`SpectralDistance`."""
        spectral, moved = self.spectral.both(audio)
        return spectral + self.transport * moved


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
        self._cumulated = torch.empty(0)
        self._length = 0  # that both are of

    def __call__(self, audio: Audio) -> Float[Tensor, " batch"]:
        """Distance of each sound in dB, lower is nearer; both sounds are cut to the shorter one.

        NaN for a sound with NaN or infinity.

        Raises:
            UsageError: the sounds are not ``(batch, time)``.
            UnusableError: the sounds have no samples.

        Shape: ``(batch, time)`` in, ``(batch,)`` out.
        """
        if self._runs_native(audio):
            return self._native(audio, moved=torch.empty(0))
        return torch.cat([mss(self.target.to(audio), part) for part in audio.split(self.part)])

    def both(self, audio: Audio) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        """Distance of each sound in dB, and its spectral transport; shapes and errors as of a call."""
        if self._runs_native(audio):
            moved = torch.empty(len(audio))
            return self._native(audio, moved), moved
        spectral, length = self(audio), min(audio.shape[-1], self.target.shape[-1])
        wanted = cumulated(self.target[:, :length].to(audio))
        moved = [(cumulated(part[:, :length]) - wanted).abs().mean((-2, -1)) for part in audio.split(self.part)]
        return spectral, torch.cat(moved)

    def _runs_native(self, audio: Audio) -> bool:
        return audio.ndim == 2 and audio.shape[-1] > 0 and runs_native(audio)

    def _native(self, audio: Audio, moved: Tensor) -> Float[Tensor, " batch"]:
        """Distances; transports are written where ``moved`` has room."""
        audio = audio[:, : self.target.shape[-1]].detach().contiguous()
        if self._length != audio.shape[-1]:
            self._length = audio.shape[-1]
            self._mels, self._cumulated = self._relative_mels(self._length), self._padded(self._length)
        out, plans = torch.empty(len(audio)), [native_plan(*scale) for scale in MSS_SCALES]
        targets, wanted = [mel[0].numpy() for mel in self._mels], self._cumulated.numpy()
        sounds, found, moves = audio.numpy(), out.numpy(), moved.numpy()
        kernels.mel_distance(plans, sounds, targets, DB_RANGE, found, wanted, QUIET, moves, threads(), self.isa)
        return out

    def _relative_mels(self, length: int) -> list[Decibels]:
        """The target's first ``length`` samples in dB under their own maximum, at most 80 under it, at each scale."""
        target = self.target[:, :length].cpu().float()
        mels = [log_mel(target, scale, isa=self.isa) for scale in MSS_SCALES]
        return [(mel - mel.amax()).clamp(min=-DB_RANGE) for mel in mels]

    def _padded(self, length: int) -> Float[Tensor, "group frame"]:
        return F.pad(cumulated(self.target[:, :length].cpu().float())[0], (0, PADDING)).contiguous()


def cumulated(audio: Audio) -> Float[Tensor, "batch group frame"]:
    """Share of each frame's magnitude up to each group of bins, at the longest frames of MSS; 0 for silence."""
    n_fft, hop, _ = MSS_SCALES[-1]
    bins = magnitudes(audio, n_fft, hop)
    groups = F.pad(bins, (0, 0, 0, -bins.shape[1] % GROUPED)).unflatten(1, (-1, GROUPED)).sum(2)
    least = (QUIET * audio.abs().amax(-1)).clamp(min=torch.finfo(audio.dtype).tiny)
    return (groups / groups.sum(1, keepdim=True).maximum(least[:, None, None])).cumsum(1)
