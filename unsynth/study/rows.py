"""The rows of a study: one for each recipe and seed, as JSON lines in ``results/``."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unsynth import audio, folders
from unsynth.base import UsageError

Json = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One recipe with one seed."""

    recipe: str
    seed: int
    digest: str
    plan: Json
    trained: list[Json]  # one of each training: objective, sounds, seconds, sounds_per_second, steps, planned
    measured: Json
    seconds: float
    origin: Json  # version, machine, command

    @property
    def among(self) -> int:
        """How many sounds the recall is of: those that were asked for, or all where a set has fewer."""
        return self.measured.get("among", self.plan["measures"]["among"])

    def line(self) -> str:
        sounds = sum(one["sounds"] for one in self.trained)
        scores = "".join(f", MSS {name.replace('_', ' by ')} {mss:.2f}" for name, mss in self.measured["mss"].items())
        return f"{self.recipe}, seed {self.seed}: {sounds:,} sounds, recall@1 {self.measured['recall@1']:.3f}{scores}"


def read(path: Path) -> list[Row]:
    """Rows of a file of results, none where there is no file; UsageError where it has something else."""
    lines = path.read_text().splitlines() if path.is_file() else []
    try:
        return [Row(**json.loads(line)) for line in lines]
    except (ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"{path} is no file of a study, or is damaged; name one of `unsynth study`.") from error


def is_study(path: Path) -> bool:
    """Whether a file has rows of a study: its first line says which recipe it is of."""
    with suppress(OSError, ValueError, RecursionError), path.open(encoding="utf-8") as file:
        first = json.loads(file.readline())
        return isinstance(first, dict) and "recipe" in first
    return False


def append(path: Path, row: Row) -> None:
    """Add a row to a file of results, which is whole at any moment."""
    folders.make(path.parent)
    before = path.read_text() if path.is_file() else ""
    audio.write_text(path, f"{before}{json.dumps(asdict(row))}\n")
