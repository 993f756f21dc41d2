"""Renders shards: stopped at any moment and started again, it goes on, and every byte is the same."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from unsynth import audio, crew, folders
from unsynth.base import Batch, EngineError, Params, PatchError, SoundIds, Synth, UsageError
from unsynth.contract import Losses, forgiven, lost
from unsynth.native import torch_on_one_thread
from unsynth.sounds import shards, tars
from unsynth.sounds.live import Live
from unsynth.sounds.source import SPLITS, Split, ids_of
from unsynth.sounds.stream import ahead

LARGEST = 256  # sounds of a shard
TOGETHER = 32  # sounds that are rendered at once
HELD_OUT = 0.05  # share of the sounds that is for validation, and again for testing
TOLD = "Patches that crash or hang the engine, in whose place the shards have others: %d (manifest.json names them)."


@dataclass(frozen=True)
class Part:
    """The sounds of one shard: so many of a split, after its first ``start``.

    Those after the first ``spare``, which no shard has, stand in for those whose patches crash the engine.
    """

    name: str
    split: Split
    start: int
    count: int
    spare: int


@dataclass(frozen=True)
class Drawn:
    """The patches of one shard, to be rendered, and as many spare ones after them."""

    part: Part
    ids: SoundIds
    params: Params

    def told(self) -> str:
        return f"The shard {self.part.name}"


def plan(count: int, largest: int = LARGEST) -> list[Part]:
    """The shards of ``count`` sounds in all."""
    held = round(HELD_OUT * count)
    sizes: dict[Split, int] = {"train": count - 2 * held, "validation": held, "test": held}
    return [
        Part(f"{split}-{number:05}", split, start, min(largest, sizes[split] - start), sizes[split] + start)
        for split in SPLITS
        for number, start in enumerate(range(0, sizes[split], largest))
    ]


def build(
    folder: Path,
    source: Live,
    count: int,
    on_progress: Callable[[int], None] = lambda sounds: None,
    *,
    largest: int = LARGEST,
    who: crew.Crew | None = None,
) -> None:
    """Render ``count`` sounds into shards; those that are there already, and whole, stay.

    The sound of a patch that crashes the engine is left out, and the next spare one takes its place; the manifest has
    the ids that a shard lacks as its ``crashed``, and a warning is logged at the end.

    Args:
        folder: where to.
        source: of the sounds.
        count: of all splits together.
        on_progress: gets the number of sounds that are done.
        largest: sounds of a shard.
        who: renders; this process where None. Every byte is the same.

    Raises:
        UsageError: a count that makes no sense.
        PatchError: the folder has shards of something else.
        UnreadableError: its manifest is damaged.
        OutputError: it cannot be written.
        EngineError: the engine cannot be started, or fails on most patches.
        WorkerError: nobody can do the work.
    """
    if count < 1:
        raise UsageError(f"{count} sounds make no shards; give --count 1 or more.")
    parts, manifest, crashed = plan(count, largest), _begun(folder, source, count, largest), 0
    done = {part.name: manifest["shards"][part.name] for part in parts if _is_whole(folder, part.name, manifest)}
    todo = (_drawn(part, source) for part in parts if part.name not in done)
    for drawn, made in crew.share(partial(_rendered, source.synth), todo, who or crew.Alone(), name=Drawn.told):
        path, part, (tar, lacking) = folder / f"{drawn.part.name}.tar", drawn.part, made
        audio.write_bytes(path, tar)
        done[part.name] = {"sounds": part.count, "sha256": shards.digest(path)}
        done[part.name] |= {"crashed": lacking} if lacking else {}
        manifest["shards"] = {each.name: done[each.name] for each in parts if each.name in done}
        shards.save(folder, manifest)
        crashed += len(lacking)
        on_progress(sum(shard["sounds"] for shard in done.values()))
    if crashed:
        logging.getLogger(__name__).warning(TOLD, crashed)


def _drawn(part: Part, source: Live) -> Drawn:
    ids = torch.cat([ids_of(part.split, first, part.count) for first in (part.start, part.spare)])
    return Drawn(part, ids, source.params(part.split, ids))


def _rendered(synth: Synth, drawn: Drawn) -> tuple[bytes, list[int]]:
    """The tar of a shard, and the ids that it lacks."""
    files: dict[str, bytes] = {}
    params: list[Params] = []
    lacking: list[int] = []
    for batch in _batches(synth, drawn):
        good = ~lost(batch.audio)
        files |= shards.pack(Batch(batch.ids[good], batch.params[good], batch.audio[good]), synth.rate)
        params.append(batch.params[good])
        lacking += batch.ids[~good].tolist()
    return tars.packed({shards.PARAMS: _npy(torch.cat(params)), **files}), lacking


def _batches(synth: Synth, drawn: Drawn) -> Iterator[Batch]:
    """The sounds of a shard, and spare ones until there are enough that are not lost."""
    losses, first, wanted = Losses(), 0, drawn.part.count
    while wanted:
        rows = slice(first, first + wanted)
        first, wanted = rows.stop, 0
        if first > len(drawn.ids):
            raise EngineError(
                f"{drawn.told()} cannot be rendered: most patches crash the engine; choose another --prior."
            )
        pieces = zip(drawn.ids[rows].split(TOGETHER), drawn.params[rows].split(TOGETHER), strict=True)
        for batch in ahead(partial(_sounds, synth, losses, ids, params) for ids, params in pieces):
            wanted += int(lost(batch.audio).sum())
            yield batch


def _sounds(synth: Synth, losses: Losses, ids: SoundIds, params: Params) -> Batch:
    """On one thread of torch, of which others may split sums in another way."""
    with torch.no_grad(), torch_on_one_thread(), forgiven(losses):
        return Batch(ids, params, synth.render(params, ids))


def _begun(folder: Path, source: Live, count: int, largest: int) -> shards.Json:
    """The manifest of a folder that has this in it, or nothing yet; what a killed build left half is removed."""
    synth = source.synth
    told = {"format": shards.FORMAT, "synth": synth.name, "spec": synth.spec.hash, "rate": synth.rate}
    facts = {**told, "seconds": synth.seconds, "count": count, "largest": largest, **source.facts}
    found = shards.load(folder)
    if found and {name: value for name, value in found.items() if name != "shards"} != facts:
        raise PatchError(f"{folder} has shards of something else; name another --out folder.")
    folders.make(folder)
    folders.sweep(folder)
    return {**facts, "shards": found.get("shards", {})}


def _is_whole(folder: Path, name: str, manifest: shards.Json) -> bool:
    told = manifest["shards"].get(name)
    return bool(told) and shards.digest(folder / f"{name}.tar") == told["sha256"]


def _npy(params: torch.Tensor) -> bytes:
    file = io.BytesIO()
    np.save(file, params.numpy())
    return file.getvalue()
