"""Folders of presets into a library: what is new or changed is rendered, what is gone is forgotten."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int8
from torch import Tensor

from unsynth import folders
from unsynth.audio import SILENT
from unsynth.base import EngineError, NotFoundError, OutputError, Synth, UnsynthError, UsageError
from unsynth.native import torch_on_one_thread
from unsynth.presets.saved import ALL, ENDINGS, Preset, find, read
from unsynth.search.library import NOTHING, OCTAVE, Bytes, File, Heard, Library, Stamp, at_note, features
from unsynth.synths import synth as synth_of

Progress = Callable[[int, int], None]  # files that are done, of how many
Skip = Callable[[UnsynthError], None]  # is told why a file, or a synth, is left out


@dataclass(frozen=True, eq=False)
class Read:
    """A file that was read, as it was at that time."""

    path: Path
    stamp: Stamp
    presets: list[Preset]


class Collector:
    """Brings a library up to date, and writes it now and then, so that it can be stopped at any time.

    Args:
        path: the library; a new one where there is none.
        synth: whose presets to take, or all.
        octaves: how far from its own note each preset is heard, up and down.
        every: seconds between the times that the library is written.
        group: presets that are rendered together at least, so that all cores have some.

    Raises:
        PatchError: ``path`` is no library.
    """

    def __init__(self, path: Path, synth: str = ALL, octaves: int = 1, *, every: float = 30.0, group: int = 32) -> None:
        self.path, self.synth, self.octaves = path, synth, octaves
        self.every, self.group = every, group
        self.files = Library.load(path).files if path.is_file() else {}
        self.rendered = self.skipped = 0
        """Presets that were rendered, and files that were left out, by the last call."""
        self._lacking: set[str] = set()  # synths without an engine
        self._synths: dict[str, Synth] = {}

    def __call__(self, paths: Iterable[str | Path], on_progress: Progress, on_skip: Skip) -> Library:
        """Take in the presets that ``paths`` name, and forget those whose files are gone, wherever they were.

        Raises:
            UsageError, NotFoundError: as :func:`unsynth.presets.saved.find`.
            OutputError: the library cannot be written.
        """
        found = find(paths, self.synth)
        _require_writable(self.path)
        new = sorted((file for file in found if not self._knows(file)), key=lambda file: ENDINGS.get(file.suffix, ""))
        place = {file: len(found) - len(new) + n for n, file in enumerate(new, start=1)}
        before, self.files = self.files, {path: file for path, file in self.files.items() if Path(path).is_file()}
        self.rendered = self.skipped = 0
        saved = time.monotonic()
        try:
            for group in self._groups(new, on_skip):
                self._take(group, on_skip)
                on_progress(place[group[-1].path], len(found))
                if time.monotonic() - saved >= self.every:
                    Library(self.files).save(self.path)
                    saved = time.monotonic()
        finally:
            if self.files != before:
                Library(self.files).save(self.path)
        return Library(self.files)

    def _knows(self, path: Path) -> bool:
        """Whether nothing changed since the file was heard."""
        file = self.files.get(str(path))
        try:
            return file is not None and file.stamp == self._stamp(path.stat(), file.stamp.synth)
        except (OSError, UnsynthError):
            return False

    def _stamp(self, facts: os.stat_result, synth: str) -> Stamp:
        if synth not in self._synths:
            self._synths[synth] = synth_of(synth)
        return Stamp(facts.st_size, facts.st_mtime_ns, synth, self._synths[synth].spec.hash, self.octaves)

    def _groups(self, files: list[Path], on_skip: Skip) -> Iterator[list[Read]]:
        """What is in ``files``, so much of the same synth together that it is worth a render."""
        group: list[Read] = []
        for file in (one for path in files if (one := self._read(path, on_skip))):
            enough = sum(len(one.presets) for one in group) >= self.group
            if group and (enough or file.stamp.synth != group[0].stamp.synth):
                yield group
                group = []
            group.append(file)
        if group:
            yield group

    def _read(self, path: Path, on_skip: Skip) -> Read | None:
        """None where the file cannot be read, or is of another synth than those that are wanted."""
        try:
            facts, presets = path.stat(), read(path)
            stamp = self._stamp(facts, presets[0].synth)
        except OSError as error:
            self._skip(1, NotFoundError(f"{path} cannot be read ({error.strerror})."), on_skip)
        except UnsynthError as error:
            self._skip(1, error, on_skip)
        else:
            return Read(path, stamp, presets) if self.synth in (ALL, stamp.synth) else None
        return None

    def _skip(self, files: int, error: UnsynthError, on_skip: Skip) -> None:
        self.skipped += files
        on_skip(error)

    def _take(self, group: list[Read], on_skip: Skip) -> None:
        """Hear what was read; where the engine fails on one of several files, each on its own."""
        name = group[0].stamp.synth
        if name in self._lacking:
            self.skipped += len(group)
            return
        try:
            heard = iter(hear(self._synths[name], [preset for file in group for preset in file.presets], self.octaves))
        except UsageError as error:  # there is no engine
            self._lacking.add(name)
            self._skip(len(group), error, on_skip)
        except EngineError as error:
            if len(group) == 1:
                return self._skip(1, EngineError(f"{group[0].path}: {error}"), on_skip)
            for file in group:
                self._take([file], on_skip)
        else:
            for file in group:
                self.files[str(file.path)] = File(file.stamp, [next(heard) for _ in file.presets])
                self.rendered += len(file.presets)


def _require_writable(path: Path) -> None:
    """OutputError before anything is rendered in vain."""
    folders.make(path.parent)
    if path.is_dir():
        raise OutputError(f"{path} cannot be written; name a file in a folder of yours as --out.")


def hear(synth: Synth, presets: list[Preset], octaves: int, part: int = 64) -> list[Heard]:
    """Each preset at its own note and up to ``octaves`` from it; ``part`` sounds are in memory at most.

    Raises:
        UsageError: the synth has no engine here.
        EngineError: the engine failed.
    """
    steps = [OCTAVE * n for n in range(-octaves, octaves + 1)]
    notes = [
        (n, step, params)
        for n, preset in enumerate(presets)
        for step in steps
        if (params := at_note(synth.spec, preset.params, step)) is not None
    ]
    found: list[list[tuple[int, Bytes]]] = [[] for _ in presets]
    with torch_on_one_thread():
        for first in range(0, len(notes), part):
            numbers, semitones, params = zip(*notes[first : first + part], strict=True)
            sounds = synth.render(torch.stack(params), torch.tensor([presets[n].noise for n in numbers]))
            loud = (sounds.abs().amax(1) > SILENT).tolist()
            for n, step, heard, row in zip(numbers, semitones, loud, features(sounds), strict=True):
                found[n] += [(step, row)] if heard else []
    return [Heard(preset, *_stacked(sounds)) for preset, sounds in zip(presets, found, strict=True)]


def _stacked(sounds: list[tuple[int, Bytes]]) -> tuple[Int8[Tensor, " note"], Bytes]:
    """Semitones and features of the notes at which a preset is heard, of which there may be none."""
    semitones = torch.tensor([step for step, _ in sounds], dtype=torch.int8)
    return semitones, torch.stack([row for _, row in sounds]) if sounds else NOTHING
