"""What methods are compared on: held-out sounds of a synth, recordings, or held-out presets with notes drawn anew."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from unsynth import audio
from unsynth.base import Audio, Params, Synth, UnreadableError, UnusableError, UsageError
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
Key = tuple[str, str]  # family and name of a target
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


def recordings(
    synth: Synth, folder: Path, count: int, on_unusable: Callable[[str], None] = lambda why: None
) -> Iterator[Target]:
    """``count`` sounds spread evenly over those below ``folder``, without those that are no sounds.

    The name of its own folder is a sound's family.
    """
    found = named(folder)
    keys = list(found)
    for key in (keys[i] for i in _spread(len(keys), count)):
        try:
            yield recording(synth, found[key], key[1])
        except (UnreadableError, UnusableError) as error:
            on_unusable(str(error))


def named(folder: Path) -> dict[Key, Path]:
    """The sounds below a folder by family and name; a name has the path in it where it would not be the only one."""
    paths = audio.find([folder])
    often = Counter((path.parent.name, path.stem) for path in paths)

    def name(path: Path) -> str:
        alone = often[path.parent.name, path.stem] == 1
        return path.stem if alone else path.relative_to(folder).as_posix()

    return {(path.parent.name, name(path)): path for path in paths}


def recording(synth: Synth, path: Path, name: str = "") -> Target:
    """The sound in a file, as long as the synth's; it is called as the file is, and its family as the folder."""
    sound = audio.read(path, synth.rate, synth.seconds)
    fitted = audio.fit(sound, synth.rate, round(synth.rate * synth.seconds))
    return Target(name or path.stem, path.parent.name, fitted[None])


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
