"""Sounds of Surge XT rendered beforehand, to learn from where the synth is not: patches with their audio, from shards.

A shard is ``NAME.tar``, mono Ogg or FLAC files whose names are the sounds' ids, and ``NAME.npz``: ``params`` (a row of
raw values for each sound, in the order of the tar), ``names`` (their paths in surgepy's patch, ``note`` and ``hold_s``)
and ``gain`` (what the sound was multiplied with so that it did not clip).
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, final
from zipfile import BadZipFile, ZipFile

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from unsynth.base import Batch, NotFoundError, Params, PatchError, SoundIds, Synth, UnreadableError
from unsynth.params import ParamSpec
from unsynth.sounds import tars
from unsynth.sounds.arrays import File, array
from unsynth.sounds.source import SPLITS, Source, Split, rounds
from unsynth.synths import surge
from unsynth.synths.surge_patch import updated
from unsynth.synths.surge_values import facts, new_patch

ENGINE_REVISION = (
    28  # of the patches of the synth that rendered: it numbers some choices in another way than revision 22
)
LARGEST = 1 << 30  # bytes of the arrays of a shard, unpacked
HIGHEST = 1e9  # no raw value is above
EVERY = 10  # of so many sounds, by id, the last is for testing and the one before it for validation
ARRAYS = ("names", "params", "gain")
DIGITS = 18  # of an id
PATHS = {param.get("path") for param in facts()["params"]}
CORE = tuple(surge.SPEC.index(name) for name in facts()["core"])  # columns of the spec that the sounds differ in
CORE_SPEC = ParamSpec("surge-core", [surge.SPEC.params[column] for column in CORE])


@final
class SurgeRendered(Source):
    """Surge sounds from a folder of rendered shards.

    Args:
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
        names, raw, gain = _arrays(path)
        if raw.shape != (len(files), len(names)) or gain.shape != (len(files),):
            raise ValueError(f"it does not describe {len(files)} sounds")
        ids, values = [_id(Path(name).stem) for name in files], np.column_stack([raw, gain])
        if not (set(names) <= PATHS and (np.abs(values.astype(float)) <= HIGHEST).all() and (gain > 0).all()):
            raise ValueError("it has other parameters, or values that cannot be")
    except (
        OSError,
        KeyError,
        ValueError,
        EOFError,
        BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise UnreadableError(f"{path} is damaged or no description of {tar.name}; get it again.") from error
    return ids, [(tar, place) for place in files.values()], names, torch.from_numpy(values.astype(np.float32))


def _arrays(path: Path) -> tuple[list[str], npt.NDArray[Any], npt.NDArray[Any]]:
    """Names, raw values and gains as they are in the file; ValueError and what zipfile raises where it is damaged."""
    with File(path) as opened, ZipFile(opened) as file:
        if sum(file.getinfo(f"{name}.npy").file_size for name in ARRAYS) > LARGEST:
            raise ValueError("it unpacks to too much")
        names, raw, gain = (array(file.read(f"{name}.npy")) for name in ARRAYS)
    if names.dtype.kind != "U" or names.ndim != 1 or raw.dtype.kind not in "fiu" or gain.dtype.kind not in "fiu":
        raise ValueError("its arrays are of other kinds")
    return names.tolist(), raw, gain


def _id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS):
        raise ValueError(f"{text[:DIGITS]} is no id")
    return int(text)


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
