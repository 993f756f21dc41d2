"""Sounds of Surge XT rendered beforehand, to learn from where the synth is not: patches with their audio, from shards.

A shard is ``NAME.tar``, mono Ogg or FLAC files whose names are the sounds' ids, and ``NAME.npz``: ``params`` (a row of
raw values for each sound, in the order of the tar), ``names`` (their paths in surgepy's patch, ``note`` and ``hold_s``)
and ``gain`` (what the sound was multiplied with so that it did not clip).
"""

from __future__ import annotations

from pathlib import Path
from typing import final
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unsynth.base import Batch, NotFoundError, Params, PatchError, SoundIds, Synth, UnreadableError
from unsynth.params import ParamSpec
from unsynth.sounds import tars
from unsynth.sounds.source import SPLITS, Source, Split, rounds
from unsynth.synths import surge
from unsynth.synths.surge_patch import updated
from unsynth.synths.surge_values import facts, new_patch

ENGINE_REVISION = (
    28  # of the patches of the synth that rendered: it numbers some choices in another way than revision 22
)
EVERY = 10  # of so many sounds, by id, the last is for testing and the one before it for validation
CORE = tuple(surge.SPEC.index(name) for name in facts()["core"])  # columns of the spec that the sounds differ in
CORE_SPEC = ParamSpec("surge-core", [surge.SPEC.params[column] for column in CORE])


@final
class SurgeRendered(Source):
    """Args:
    synth: surge.
    folder: of the shards. Of the parameters of their sounds ``[:, CORE]`` vary.

    Raises:
        PatchError: another synth.
        NotFoundError: no shards.
        UnreadableError: a shard is damaged, or they do not belong together.
    """

    aside = True

    def __init__(self, synth: Synth, folder: str) -> None:
        if synth.spec.hash != surge.SPEC.hash:
            raise PatchError(f"Sounds of surge teach nothing about the synth {synth.name}; set synth to surge.")
        self.synth = synth
        opened = [_opened(tar) for tar in shards(Path(folder).expanduser())]
        self.ids = torch.tensor([sound_id for ids, *_ in opened for sound_id in ids])
        self.where = [place for _, places, *_ in opened for place in places]
        self.names = opened[0][2]
        if any(names != self.names for _, _, names, _ in opened):
            raise UnreadableError(f"The shards in {folder} have different parameters; keep those of one set there.")
        self.values = torch.cat([values for *_, values in opened])
        self.rows = {split: torch.nonzero(_of_split(self.ids, split)).flatten() for split in SPLITS}

    def size(self, split: Split) -> float:
        return len(self.rows[split])

    def take(self, split: Split, start: int, count: int, device: torch.device | str = "cpu") -> Batch:
        every = torch.arange(start, start + count)
        order = rounds(start, count, len(self.rows[split])) if split == "train" else every
        rows = self.rows[split][order]
        raw, gain = self.values[rows].split([len(self.names), 1], dim=1)
        sounds = tars.sounds([self.where[row] for row in rows.tolist()], surge.RATE, surge.SAMPLES) / gain
        sounds = sounds / sounds.abs().amax(1, keepdim=True).clamp(min=1)
        return Batch(self.ids[rows], to_params(self.names, raw), sounds).to(device)


def _of_split(ids: SoundIds, split: Split) -> Tensor:
    place = ids % EVERY - EVERY
    return place == -1 if split == "test" else place == -2 if split == "validation" else place < -2


def shards(folder: Path) -> list[Path]:
    """The tars of a folder that have their parameters beside them; NotFoundError where there is none."""
    found = sorted(tar for tar in folder.glob("*.tar") if tar.with_suffix(".npz").is_file())
    if not found:
        raise NotFoundError(f"{folder} has no rendered sounds; name a folder with pairs of NAME.tar and NAME.npz.")
    return found


def _opened(tar: Path) -> tuple[list[int], list[tuple[Path, tars.Place]], list[str], Float[Tensor, "sound value"]]:
    """Ids and places of the sounds of a shard, the names of its raw values, and these with the gain as the last."""
    files, path = tars.places(tar), tar.with_suffix(".npz")
    try:
        with np.load(path) as arrays:
            names, raw, gain = arrays["names"].tolist(), arrays["params"], arrays["gain"]
        if raw.shape != (len(files), len(names)) or gain.shape != (len(files),):
            raise ValueError(f"it does not describe {len(files)} sounds")
        ids, values = [int(Path(name).stem) for name in files], np.column_stack([raw, gain])
    except (OSError, KeyError, ValueError, EOFError, BadZipFile) as error:
        raise UnreadableError(f"{path} is damaged ({error}); get it again.") from error
    return ids, [(tar, place) for place in files.values()], names, torch.from_numpy(values)


def to_params(names: list[str], raw: Float[Tensor, "batch value"]) -> Params:
    """Parameters in the order of the spec, of raw values whose paths in surgepy's patch are ``names``.

    What is not named is as in a new patch. ValueError where a name is no parameter of the spec.
    """
    told = facts()["params"]
    paths = [param.get("path") for param in told]
    columns = [paths.index(name) for name in names]
    rows = torch.tensor(new_patch()).repeat(len(raw), 1)
    rows[:, columns] = raw.float()
    elements = [param["element"] for param in told]
    drawn = [column for column in columns if elements[column]]
    for row in rows:
        values = updated({elements[column]: row[column].item() for column in drawn}, ENGINE_REVISION)
        row[drawn] = torch.tensor([values[elements[column]] for column in drawn])
    return surge.to_params(rows)
