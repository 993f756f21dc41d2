"""Sounds that were rendered beforehand by ``unsynth shards build``: a folder of tar files and a manifest.

A shard is ``SPLIT-NNNNN.tar``: ``params.npy`` (float32 in the unit interval, a row for each sound, in the order of the
synth's spec), then the sounds in that order, 16-bit FLAC whose names are the sounds' ids. ``manifest.json`` says what
they were made of, and has the number of sounds and the SHA-256 of each shard, and one of itself.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any, final

import soundfile
import torch

from unsynth import audio
from unsynth.base import Batch, NotFoundError, Params, PatchError, SoundIds, Synth, UnreadableError
from unsynth.sounds import tars
from unsynth.sounds.arrays import array
from unsynth.sounds.source import SPLITS, Source, Split, rounds

Json = dict[str, Any]

FORMAT = "unsynth.shards/1"
MANIFEST = "manifest.json"
PARAMS = "params.npy"
NAME = re.compile(rf"({'|'.join(SPLITS)})-[0-9]{{5,9}}")
SOUND = re.compile(r"([0-9]{1,18})\.flac")
MOST = 1 << 48  # sounds
LEAST = 1024  # bytes that a sound takes in a tar
FULL_SCALE = 1 << 15  # of 16 bits
AGAIN = "run the same `unsynth shards build` again"


@dataclass(frozen=True)
class Shard:
    """One tar, opened: its sounds' ids, parameters and places."""

    path: Path
    ids: SoundIds
    params: Params
    places: list[tars.Place]


@final
class Shards(Source):
    """Sounds from a folder that ``unsynth shards build`` has written.

    Args:
        synth: whose sounds they are.
        folder: what ``unsynth shards build`` has written; complete.

    Raises:
        NotFoundError: there are no shards, or not yet all of them.
        UnreadableError: the manifest is damaged; a shard, when it is first needed.
        PatchError: they are of another synth or version of it.
    """

    aside = True

    def __init__(self, synth: Synth, folder: str) -> None:
        self.synth, self.folder = synth, Path(folder).expanduser()
        self.manifest = load(self.folder)
        if not self.manifest:
            raise NotFoundError(f"There are no shards in {folder}; make some with `unsynth shards build`.")
        if (self.manifest["synth"], self.manifest["spec"]) != (synth.name, synth.spec.hash):
            raise PatchError(f"The shards in {folder} are not of this {synth.name}; build them again.")
        self.shards = self.manifest["shards"]
        there = sum(shard["sounds"] for shard in self.shards.values())
        if there != self.manifest["count"]:
            raise NotFoundError(f"{folder} has {there} of {self.manifest['count']} sounds yet; {AGAIN}.")
        self.names = {split: [name for name in self.shards if name.startswith(split)] for split in SPLITS}
        self.ends = {s: [*accumulate(self.shards[name]["sounds"] for name in self.names[s])] for s in SPLITS}
        self.opened, self.checked = cache(self._opened), cache(self._checked)

    def size(self, split: Split) -> float:
        return self.ends[split][-1] if self.ends[split] else 0

    def take(self, split: Split, start: int, count: int, device: torch.device | str = "cpu") -> Batch:
        self.checked(split)
        every = torch.arange(start, start + count)
        rows = rounds(start, count, int(self.size(split))) if split == "train" else every
        ends = torch.tensor(self.ends[split])
        found: list[tuple[Shard, int]] = []
        for row, number in zip(rows.tolist(), torch.bucketize(rows, ends, right=True).tolist(), strict=True):
            name = self.names[split][number]
            found.append((self.opened(name), row - self.ends[split][number] + self.shards[name]["sounds"]))
        ids, params = (torch.stack([getattr(shard, of)[i] for shard, i in found]) for of in ("ids", "params"))
        where = [(shard.path, shard.places[i]) for shard, i in found]
        samples = round(self.synth.rate * self.synth.seconds)
        return Batch(ids, params, tars.sounds(where, self.synth.rate, samples)).to(device)

    def _checked(self, split: Split) -> None:
        """UnreadableError unless the shards of a split are large enough for the sounds that the manifest has there."""
        for name in self.names[split]:
            path = self.folder / f"{name}.tar"
            if self.shards[name]["sounds"] * LEAST > (path.stat().st_size if path.is_file() else 0):
                raise UnreadableError(f"{path} is missing or damaged; {AGAIN}.")

    def _opened(self, name: str) -> Shard:
        path = self.folder / f"{name}.tar"
        if digest(path) != self.shards[name]["sha256"]:
            raise UnreadableError(f"{path} is missing or damaged; {AGAIN}.")
        where = tars.places(path)
        try:
            params = torch.from_numpy(array(tars.content(path, where.pop(PARAMS))))
            ids = [int(found[1]) for sound in where if (found := SOUND.fullmatch(sound))]
            fits = params.shape == (len(ids), len(self.synth.spec)) and params.dtype == torch.float32
            if not fits or not len(where) == len(ids) == self.shards[name]["sounds"] or not _is_unit(params):
                raise ValueError("it is not what the manifest says")
        except (KeyError, TypeError, ValueError) as error:
            raise UnreadableError(f"{path} is no shard, or damaged; {AGAIN}.") from error
        return Shard(path, torch.tensor(ids), params, list(where.values()))


def _is_unit(params: Params) -> bool:
    return bool(((params >= 0) & (params <= 1)).all())


def digest(path: Path) -> str:
    """SHA-256 of a file; empty where there is none that can be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def pack(batch: Batch, rate: int) -> dict[str, bytes]:
    """The sounds of a batch as the files of a shard, by name."""
    names = [f"{sound_id:012}.flac" for sound_id in batch.ids.tolist()]
    with ThreadPoolExecutor(tars.THREADS) as pool:
        return dict(zip(names, pool.map(lambda sound: _flac(sound, rate), batch.audio), strict=True))


def _flac(sound: torch.Tensor, rate: int) -> bytes:
    file = io.BytesIO()
    whole = (sound * FULL_SCALE).round().clamp(-FULL_SCALE, FULL_SCALE - 1).to(torch.int16)
    soundfile.write(file, whole.cpu().numpy(), rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def load(folder: Path) -> Json:
    """The manifest of a folder; empty where there is none.

    Raises:
        UnreadableError: it is damaged.
    """
    path = folder / MANIFEST
    if not path.exists():
        return {}
    try:
        manifest = json.loads(path.read_bytes())
        checked = manifest.pop("sha256") == _checksum(manifest)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise UnreadableError(f"{path} is no manifest of shards, or damaged; build them in another folder.") from error
    if not checked or manifest.get("format") != FORMAT or not _is_plan(manifest):
        raise UnreadableError(f"{path} is damaged, or of another version; build the shards in another folder.")
    return manifest


def _is_plan(manifest: Json) -> bool:
    """Whether a manifest says of what synth its shards are, and of each how many sounds it has."""
    told, texts = manifest.get("shards"), [manifest.get("synth"), manifest.get("spec")]
    if not isinstance(told, dict) or not all(NAME.fullmatch(name) and isinstance(told[name], dict) for name in told):
        return False
    texts += [shard.get("sha256") for shard in told.values()]
    counts = [manifest.get("count"), *(shard.get("sounds") for shard in told.values())]
    return all(isinstance(text, str) for text in texts) and all(type(n) is int and 0 < n < MOST for n in counts)


def save(folder: Path, manifest: Json) -> None:
    """Write the manifest with its checksum, whole or not at all; OutputError where it cannot be written."""
    text = json.dumps({**manifest, "sha256": _checksum(manifest)}, indent=1)
    audio.write_text(folder / MANIFEST, f"{text}\n")


def _checksum(manifest: Json) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
