"""What a match is: the target, the candidates that came nearest to it, and how the search went."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from unsynth import __version__, audio, report
from unsynth.base import OutputError
from unsynth.params import ParamSpec
from unsynth.presets import patch


@dataclass
class Candidate:
    """One patch that sounds like the target.

    Args:
        params: unit-interval parameters, shape ``(param,)``.
        noise: the noise row (a sound id) it was rendered with.
        audio: the rendered sound at the target's level, shape ``(time,)``.
        gain_db: decibels from the synth's own output to that level.
        distance: what the search minimised.
        metrics: named scores, such as ``MSS``.
    """

    params: Float[Tensor, " param"]
    noise: int
    audio: Float[Tensor, " time"]
    gain_db: float
    distance: float
    metrics: dict[str, float]


@dataclass
class Match:
    """The answer to "which patch makes this sound?".

    Args:
        name: what to call the target, usually its file name.
        spec: the parameters of the synth.
        rate: samples per second of the target and of the candidates.
        target: the sound to match, shape ``(time,)``.
        candidates: at least one, best first.
        curve: the best distance so far as ``(seconds, renders, distance)``.
        seconds: wall clock of the search.
        renders: sounds rendered by the search.
        seed: seed of the search.
    """

    name: str
    spec: ParamSpec
    rate: int
    target: Float[Tensor, " time"]
    candidates: list[Candidate]
    curve: list[tuple[float, int, float]]
    seconds: float
    renders: int
    seed: int

    @property
    def synth(self) -> str:
        return self.spec.synth

    def patch(self, candidate: Candidate) -> patch.Patch:
        """``candidate`` as a patch that can be written to a file."""
        return patch.Patch(
            synth=self.synth,
            spec_hash=self.spec.hash,
            params=tuple(candidate.params.float().tolist()),
            noise=candidate.noise,
            gain_db=candidate.gain_db,
            distance=candidate.distance,
            metrics=candidate.metrics,
            seconds=self.seconds,
            renders=self.renders,
            seed=self.seed,
            version=__version__,
        )

    def save(self, folder: Path) -> None:
        """Write match.wav, patch.json, the other candidates as candidate-2.wav and .json ..., and report.html.

        Every file appears whole or not at all, and the report comes last.

        Raises:
            OutputError: ``folder`` cannot be made or written to.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder}: {error.strerror}.") from error
        for rank, candidate in enumerate(self.candidates, start=1):
            sound, settings = report.stems(rank)
            audio.write(folder / f"{sound}.wav", candidate.audio, self.rate)
            audio.write_text(folder / f"{settings}.json", patch.to_json(self.patch(candidate), self.spec))
        audio.write_text(folder / "report.html", report.page(self))
