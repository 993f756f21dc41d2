"""The sounds behind a file of results: its targets again, and the patches that were found for them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from unsynth.base import Audio, NotFoundError, Synth, UsageError
from unsynth.evaluate import play
from unsynth.scores import Row
from unsynth.targets import HELD_OUT, Key, Presets, by_id, named, recording

OWN = re.compile(r"id-([0-9]{1,18})")
PRESET = re.compile(r"preset-([0-9]{1,9})")


@dataclass(frozen=True)
class Replay:
    """Plays targets and matches.

    Args:
        synth: what the patches are of.
        folder: where the targets are that are not the synth's own sounds; nowhere if empty.
        presets: the facts of targets that are presets, as :class:`unsynth.targets.Presets` has them.
    """

    synth: Synth
    folder: str = ""
    presets: Mapping[str, Any] | None = None
    _known: dict[Key, Audio] = field(default_factory=dict)

    def target(self, row: Row) -> Audio:
        """The sound that was to be matched, ``(1, time)``.

        Raises:
            UsageError: it is a recording, and no folder is known.
            NotFoundError: the folder does not hold it.
        """
        if row.key not in self._known:
            self._known[row.key] = self._target(row)
        return self._known[row.key]

    def match(self, row: Row) -> Audio:
        """What the row's patch sounds like at the level of its target, ``(1, time)``; UsageError where it has none."""
        if row.params is None:
            raise UsageError(f"The results of {row.arm} have no patches to play; run `unsynth evaluate` again.")
        return play(self.synth, self.target(row), torch.tensor([row.params]), row.noise)

    def _target(self, row: Row) -> Audio:
        own = OWN.fullmatch(row.target)
        if own and row.family == HELD_OUT:
            return by_id(self.synth, int(own[1])).sound
        if not self.folder:
            raise UsageError(f"The target {row.target} is a recording; name the folder it is in with --sounds.")
        preset = PRESET.fullmatch(row.target)
        if preset and self.presets:
            found = self._banks.target(int(preset[1]))
            assert found is not None  # or it would have been no target
            return found.sound
        if row.key not in self._paths:
            raise NotFoundError(f"{self.folder} does not hold {row.family}/{row.target}; name another with --sounds.")
        return recording(self.synth, self._paths[row.key]).sound

    @cached_property
    def _banks(self) -> Presets:
        assert self.presets is not None
        banks = Presets(self.synth, Path(self.folder), self.presets["split"], self.presets["seed"])
        if banks.facts != self.presets:
            raise NotFoundError(
                f"{self.folder} no longer holds the presets of these results; name another with --sounds."
            )
        return banks

    @cached_property
    def _paths(self) -> dict[Key, Path]:
        return named(Path(self.folder))


def replay(header: dict[str, object], rows: Iterable[Row], synth: Synth, sounds: str = "") -> Replay:
    """What plays the sounds of results; ``sounds`` is where the targets are now, if they were moved.

    Raises:
        UsageError: the results have no patches, or those of another version of the synth.
    """
    rows = list(rows)
    if not any(row.params for row in rows):
        raise UsageError("These results have no patches to play (of --private, or an older version); evaluate again.")
    if header.get("spec") != synth.spec.hash or any(len(row.params or synth.spec) != len(synth.spec) for row in rows):
        raise UsageError(f"The patches of these results are not of this {synth.name}; run `unsynth evaluate` again.")
    presets: Any = header.get("presets")
    return Replay(synth, sounds or str(header.get("sounds") or ""), presets)
