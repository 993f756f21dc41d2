"""Sounds of Surge XT rendered beforehand, to learn from where the synth is not: patches with their audio, from shards.

A shard is ``NAME.tar``, mono Ogg or FLAC files whose names are the sounds' ids, and ``NAME.npz``: ``params`` (a row of
raw values for each sound, in the order of the tar), ``names`` (their paths in surgepy's patch, ``note`` and ``hold_s``)
and ``gain`` (what the sound was multiplied with so that it did not clip).
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import soundfile
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unsynth.base import Audio, NotFoundError, Params, SoundIds, UnreadableError
from unsynth.params import ParamSpec
from unsynth.synths import surge
from unsynth.synths.surge_patch import updated
from unsynth.synths.surge_values import facts, new_patch

ENGINE_REVISION = (
    28  # of the patches of the synth that rendered: it numbers some choices in another way than revision 22
)
TEST_EVERY = 10  # one sound in so many is for testing
CORE = tuple(surge.SPEC.index(name) for name in facts()["core"])  # columns of the spec that the sounds differ in
CORE_SPEC = ParamSpec("surge-core", [surge.SPEC.params[column] for column in CORE])

Sounds = tuple[SoundIds, Params, Audio]


def is_train(ids: SoundIds) -> Bool[Tensor, " batch"]:
    """Whether each sound may be trained on: nine in ten."""
    return ids % TEST_EVERY != TEST_EVERY - 1


def shards(folder: Path) -> list[Path]:
    """The tars of a folder that have their parameters beside them; NotFoundError where there is none."""
    found = sorted(tar for tar in folder.glob("*.tar") if tar.with_suffix(".npz").is_file())
    if not found:
        raise NotFoundError(f"{folder} has no rendered sounds; name a folder with pairs of NAME.tar and NAME.npz.")
    return found


def batches(
    folder: Path, size: int, *, train: bool = True, generator: torch.Generator | None = None
) -> Iterator[Sounds]:
    """All sounds of one split once: ids, parameters in the order of the spec (``[:, CORE]`` varies) and audio.

    Audio is decoded when its batch is due, and is as loud as :class:`unsynth.synths.surge.Surge` would render it.

    Args:
        folder: of shards.
        size: sounds in a batch; the last one of a shard may be smaller.
        train: the sounds to train on, or those to test on.
        generator: shuffles shards, and sounds within each; in order where None.

    Raises:
        NotFoundError: no shards.
        UnreadableError: a shard is damaged.

    Shape: ``(batch,)``, ``(batch, 120)``, ``(batch, 132300)``.
    """
    for shard in _shuffled(shards(folder), generator):
        yield from _of_shard(shard, size, train, generator)


def _of_shard(tar: Path, size: int, train: bool, generator: torch.Generator | None) -> Iterator[Sounds]:
    ids, files = _files(tar)
    params, gains = _params(tar.with_suffix(".npz"), len(files))
    rows = _shuffled(torch.nonzero(is_train(ids) == train).flatten().tolist(), generator)
    for first in range(0, len(rows), size):
        part = rows[first : first + size]
        yield ids[part], params[part], torch.stack([_audio(files[row], gains[row].item(), tar) for row in part])


def _files(path: Path) -> tuple[SoundIds, list[bytes]]:
    try:
        with tarfile.open(path) as tar:
            members = [member for member in tar if member.isfile()]
            files = [tar.extractfile(member).read() for member in members]  # pyright: ignore[reportOptionalMemberAccess]
        return torch.tensor([int(Path(member.name).stem) for member in members], dtype=torch.int64), files
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise UnreadableError(f"{path} is damaged ({error}); get it again.") from error


def _params(path: Path, count: int) -> tuple[Params, Float[Tensor, " sound"]]:
    try:
        with np.load(path) as arrays:
            names, raw, gain = arrays["names"].tolist(), arrays["params"], arrays["gain"]
        if raw.shape != (count, len(names)) or gain.shape != (count,):
            raise ValueError(f"it does not describe {count} sounds")
        return to_params(names, torch.from_numpy(raw)), torch.from_numpy(gain)
    except (OSError, KeyError, ValueError, EOFError, BadZipFile) as error:
        raise UnreadableError(f"{path} is damaged ({error}); get it again.") from error


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


def _audio(data: bytes, gain: float, tar: Path) -> Float[Tensor, " time"]:
    try:
        samples, rate = soundfile.read(io.BytesIO(data), frames=surge.SAMPLES, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise UnreadableError(f"{tar} has a damaged sound ({error}); get it again.") from error
    if rate != surge.RATE:
        raise UnreadableError(f"{tar} has a sound at {rate} Hz; render it again at {surge.RATE} Hz.")
    sound = torch.from_numpy(samples.mean(1)) / gain
    sound = torch.nn.functional.pad(sound, (0, surge.SAMPLES - len(sound)))
    return sound / sound.abs().max().clamp(min=1)


def _shuffled(items: list, generator: torch.Generator | None) -> list:
    order = torch.randperm(len(items), generator=generator).tolist() if generator else range(len(items))
    return [items[i] for i in order]
