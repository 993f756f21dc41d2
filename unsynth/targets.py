"""What methods are compared on: held-out sounds of a synth, recordings, or held-out presets with notes drawn anew."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from unsynth import audio
from unsynth.base import Audio, Params, Synth, UsageError
from unsynth.presets import NOTES, Prior
from unsynth.presets.saved import Preset
from unsynth.search.collect import hear
from unsynth.search.library import File, Library, Stamp
from unsynth.sounds import banks
from unsynth.sounds.ids import held_out_ids, params_of
from unsynth.sounds.source import SPLITS, Split
from unsynth.synths.variation import with_notes

HELD_OUT = "held-out"
TRIES = 16  # notes that are drawn for a preset until one is heard
SEEDS = 1 << 20  # more than a folder has presets
OCTAVES = 1  # up and down, in which training presets are heard


@dataclass(frozen=True)
class Target:
    """One sound to match; ``params`` are known for the synth's own sounds."""

    name: str
    family: str
    sound: Audio
    params: Params | None = None
    noise: int = 0


def held_out(synth: Synth, count: int, start: int = 0) -> Iterator[Target]:
    """Held-out sounds of the synth, by id."""
    for sound_id in held_out_ids(start, count).tolist():
        yield by_id(synth, sound_id)


def by_id(synth: Synth, sound_id: int) -> Target:
    """One of the synth's own sounds."""
    ids = torch.tensor([sound_id])
    params = params_of(ids, synth.spec)
    return Target(f"id-{sound_id}", HELD_OUT, synth.render(params, ids), params, sound_id)


def recordings(synth: Synth, folder: Path, count: int) -> Iterator[Target]:
    """``count`` sounds spread evenly over those below ``folder``; the name of its own folder is a sound's family."""
    paths = audio.find([folder])
    for i in _spread(len(paths), count):
        yield recording(synth, paths[i])


def recording(synth: Synth, path: Path) -> Target:
    """The sound in a file, as long as the synth's; the name of its folder is its family."""
    sound = audio.read(path, synth.rate, synth.seconds)
    fitted = audio.fit(sound, synth.rate, round(synth.rate * synth.seconds))
    return Target(path.stem, path.parent.name, fitted[None])


class Presets:
    """The presets of a folder of banks: those of one split are targets, those for training are all that searches know.

    Args:
        synth: whose presets these are.
        folder: the banks, split by :func:`unsynth.sounds.banks.read`.
        split: ``test`` or ``validation``.
        seed: of the notes.

    Raises:
        UsageError: the synth has no presets with notes, there is no such split, or the banks cannot be split.
        NotFoundError: there are no banks.
    """

    def __init__(self, synth: Synth, folder: Path, split: str = "test", seed: int = 0) -> None:
        if synth.name not in NOTES:
            raise UsageError(f"There are no banks of presets for {synth.name}; choose one of: {', '.join(NOTES)}.")
        parts: dict[str, Split] = {part: part for part in SPLITS if part != "train"}
        if split not in parts:
            raise UsageError(f"There are no held-out presets called {split!r}; choose one of: {', '.join(parts)}.")
        self.synth, self.folder, self.seed = synth, folder, seed
        self.split: Split = parts[split]
        self.patches = banks.read(folder, synth.spec).patches

    @property
    def facts(self) -> dict[str, str | int]:
        """What decides which sounds the targets are and what searches know, but for where the folder is."""
        every = b"".join(self.patches[part].numpy().tobytes() for part in ("train", self.split))
        return {"split": self.split, "seed": self.seed, "patches": hashlib.sha256(every).hexdigest()[:12]}

    def targets(self, count: int) -> Iterator[Target]:
        """``count`` held-out presets spread evenly, without those that no note makes heard."""
        found = (self.target(n) for n in _spread(len(self.patches[self.split]), count))
        return (target for target in found if target is not None)

    def target(self, n: int) -> Target | None:
        """The n-th held-out preset with a note of its own; None where it is silent."""
        generator = torch.Generator().manual_seed(self.seed * SEEDS + n)
        rows, note = self.patches[self.split][n : n + 1], NOTES[self.synth.name]
        for _ in range(TRIES):
            params = self.synth.spec.snap(with_notes(rows, self.synth.spec, note, generator))
            sound = self.synth.render(params)
            if sound.abs().max() > audio.SILENT:
                return Target(f"preset-{n}", self.split, sound, params)
        return None

    @cached_property
    def prior(self) -> Prior:
        """Patches around those for training."""
        return banks.around(self.patches["train"], self.synth.spec)

    @cached_property
    def library(self) -> Library:
        """Those for training, as `unsynth index presets` hears them."""
        name, spec = self.synth.name, self.synth.spec
        presets = [Preset(name, "", None, row) for row in self.patches["train"]]
        stamp = Stamp(0, 0, name, spec.hash, OCTAVES)
        return Library({"": File(stamp, hear(self.synth, presets, OCTAVES))})


def _spread(size: int, count: int) -> list[int]:
    """``count`` numbers, evenly from 0 to ``size`` - 1; all where there are fewer."""
    return np.linspace(0, size - 1, min(count, size)).round().astype(int).tolist()
