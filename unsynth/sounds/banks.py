"""Banks of presets to start from, split by file: no bank, and no near-duplicate of its patches, is in two splits."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from unsynth.base import Params, PatchError, UnsynthError, UsageError
from unsynth.params import ParamSpec
from unsynth.presets import NOTES, Prior, saved
from unsynth.sounds.source import SPLITS, Split
from unsynth.synths.variation import near

FEWEST = 3  # banks: one for each split
HELD_OUT = 0.1  # share of the banks that is for testing, and again for validation
ALIKE = 0.005  # parameters that differ by less of their range count as the same
DIFFERENT = 0.05  # near-duplicates differ in at most this share of the parameters


@dataclass(frozen=True)
class Banks:
    """The patches of a folder by split.

    Args:
        patches: of each split, ``(patch, param)``, all different.
        files: of each split, the banks' names with the SHA-256 of their content.
        left_out: files that could not be used, and why.
    """

    patches: Mapping[Split, Params]
    files: Mapping[Split, Mapping[str, str]]
    left_out: Mapping[str, str]


def read(folder: Path, spec: ParamSpec) -> Banks:
    """The banks of a synth in a folder, however deep.

    Raises:
        NotFoundError: the folder has none.
        UsageError: fewer than three of them can be used, or those of a split are copies of another's.
    """
    root = folder.expanduser().resolve()
    paths = saved.find([root], spec.synth)
    found: dict[str, tuple[str, Params]] = {}
    left_out: dict[str, str] = {}
    for path in paths:
        name = Path(os.path.relpath(path, root)).as_posix()  # a link may lead elsewhere
        try:
            found.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), (name, _patches(path, spec.synth)))
        except (UnsynthError, OSError) as error:
            left_out[name] = str(error)
    digests = split(sorted(found))
    files: dict[Split, dict[str, str]] = {
        part: {found[digest][0]: digest for digest in digests[part]} for part in SPLITS
    }
    every: dict[Split, Params] = {part: torch.cat([found[d][1] for d in digests[part]]) for part in SPLITS}
    return Banks(different(every, [spec.index(name) for name in NOTES[spec.synth]]), files, left_out)


def around(patches: Params, spec: ParamSpec) -> Prior:
    """Cross-overs and moves of ``patches``, with other notes."""
    return lambda count, generator: near(patches, count, spec, NOTES[spec.synth], generator)


def _patches(path: Path, synth: str) -> Params:
    found = [preset.params for preset in saved.read(path) if preset.synth == synth]
    if not found:
        raise PatchError(f"{path} has no preset of {synth}.")
    return torch.stack(found)


def split(digests: list[str]) -> dict[Split, list[str]]:
    """The banks of each split, by the hash of what is in them: a tenth for testing, a tenth for validation.

    Neither the names of the files nor anything else about them has a say.
    """
    if len(digests) < FEWEST:
        raise UsageError(
            f"{len(digests)} different banks cannot be split; name a folder with {FEWEST} or more that can be read."
        )
    held = max(1, round(HELD_OUT * len(digests)))
    return {"test": digests[:held], "validation": digests[held : 2 * held], "train": digests[2 * held :]}


def different(every: Mapping[Split, Params], ignored: list[int]) -> dict[Split, Params]:
    """The patches of each split without near-duplicates; of several, one of the test split stays, else of validation.

    Two patches are near-duplicates where at most one in twenty of their parameters differs by more than half a percent
    of its range; the ``ignored`` columns (the note) do not count.
    """
    kept: dict[Split, Params] = {}
    before = torch.empty(0, every["test"].shape[1])
    for part in reversed(SPLITS):
        rows = _unlike(every[part], before, ignored)
        if not len(rows):
            raise UsageError(f"All presets for {part} are copies of others; name a folder with more different banks.")
        before, kept[part] = torch.cat([before, rows]), rows
    return kept


def _unlike(rows: Params, before: Params, ignored: list[int]) -> Params:
    """``rows`` that are near-duplicates neither of ``before`` nor of an earlier one."""
    known, count = torch.cat([before, torch.empty_like(rows)]), len(before)
    most = DIFFERENT * (rows.shape[1] - len(ignored))
    for row in rows:
        differs = (known[:count] - row).abs() > ALIKE
        differs[:, ignored] = False
        if (differs.sum(1) > most).all():
            known[count], count = row, count + 1
    return known[len(before) : count]
