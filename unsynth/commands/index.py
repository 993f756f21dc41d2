"""The commands of indexes, of a synth's sounds and of the user's presets."""

from __future__ import annotations

import json as jsonlib
import re
from pathlib import Path
from typing import Any

from unsynth.errors import BatchError, NotFoundError, UsageError

LARGEST_INDEX = 100_000_000
MOST_OCTAVES = 4
MOST_FOUND = 10_000
KEYS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
OCTAVE_OF_0 = -1  # MIDI note 0 is C-1, 60 is C4


def build_index(
    *, synth: str = "voice", by: str = "", count: int = 1_000_000, workers: int = 1, ray: str = "", out: str = ""
) -> None:
    """Build an index of sounds of a synth for searches to start from.

    Run it again to go on where it stopped. Where OUT is not given, searches use the new index from then on (one by
    summary only where the synth has no joint space). With more than a million sounds and
    `pip install 'unsynth[faiss]'`, OUT gets a FAISS file beside it, and a query takes a millisecond.

    Args:
        synth: whose sounds to index.
        by: what sounds are compared by: space (their points in the joint space), which is what searches use where the
            synth has one, or summary (of their spectrum), which is what they use elsewhere.
        count: how many sounds; an entry takes 64 bytes.
        workers: processes on this machine that share the sounds, each with its part of the cores.
        ray: spread the sounds over a Ray cluster instead: auto, or its HOST:PORT (docs/scaling.md).
        out: the file to write.
    """
    from unsynth import crew
    from unsynth.checkpoint import own
    from unsynth.commands.display import Display
    from unsynth.search.embedding import feature_of
    from unsynth.search.index import build, name_of
    from unsynth.synths import synth as synth_of

    if not 0 < count <= LARGEST_INDEX:
        raise UsageError(f"An index of {count} sounds cannot be made; give a --count from 1 to {LARGEST_INDEX:,}.")
    who, instrument = crew.of(workers, ray), synth_of(synth)
    kind = feature_of(instrument, by)
    path = Path(out) if out else own(name_of(instrument, kind))
    with Display() as display:

        def tell(done: int) -> None:
            display.update(path.name, done / count, f"{done:,} of {count:,}")

        def fit(done: int, fitted: int) -> None:
            display.update(path.name, 0.0, f"fitting the projection: {done:,} of {fitted:,} sounds")

        build(path, instrument, count, feature=kind, on_progress=tell, on_fit=fit, who=who)
    print(path)


def index_presets(folder: list[str], *, synth: str = "all", octaves: int = 1, out: str = "") -> None:
    """Hear your own presets, so that `unsynth find` finds them by sound.

    Takes .syx and .dx7 banks and voices, .fxp of Surge XT, .vital and patch.json. Run it again after a change: only
    files that are new or changed are rendered, and those that are gone, wherever they were, are forgotten. Where OUT is
    not given, `unsynth match` starts from the presets too. docs/presets.md tells more.

    Args:
        folder: folders of presets, or files.
        synth: take presets of dexed, surge, vital, voice or drum only, or of all.
        octaves: how many octaves above and below its own note each preset is heard too.
        out: the index to write or bring up to date; your own one if not given.
    """
    from unsynth.commands.display import Display
    from unsynth.search.collect import Collector
    from unsynth.search.library import own

    if not 0 <= octaves <= MOST_OCTAVES:
        raise UsageError(f"Presets cannot be heard {octaves} octaves away; give --octaves from 0 to {MOST_OCTAVES}.")
    path = Path(out) if out else own()
    collector = Collector(path, synth, octaves)
    with Display() as display:
        library = collector(
            folder,
            lambda done, files: display.update(path.name, done / files, f"{done:,} of {files:,} files"),
            lambda error: display.line(f"unsynth: {error}"),
        )
        display.line(f"{len(library):,} presets of {len(library.files):,} files, {collector.rendered:,} rendered now.")
    if library.files:
        print(path)
    if collector.skipped:
        raise BatchError(f"{collector.skipped} files could not be used, for the reasons above.")


def find_presets(
    sound: str | None = None, *, index: str = "", count: int = 10, json: bool = False, play: str = ""
) -> None:
    """Find your own presets that sound most like a sound.

    `unsynth index presets FOLDER` makes the index that is searched. Presets of all synths are listed by how far they
    are from the sound, with the note at which they are nearest.

    Args:
        sound: a wav, flac, ogg, mp3, aiff ... file.
        index: an index of presets; your own one if not given.
        count: how many presets to list.
        json: print one JSON object for each preset on stdout.
        play: a folder for wav files of the presets, at the level of the sound.
    """
    from unsynth import audio
    from unsynth.distances import RATE
    from unsynth.search import library

    if sound is None:
        raise UsageError("Name a sound to look for.")
    if not 0 < count <= MOST_FOUND:
        raise UsageError(f"{count} presets cannot be listed; give a --count from 1 to {MOST_FOUND:,}.")
    path = Path(index) if index else library.own()
    presets = library.Library.load(path)
    if not len(presets):
        raise NotFoundError(f"There are no presets in {path}; `unsynth index presets FOLDER` adds some.")
    target = audio.fit(audio.read(sound, RATE, library.SECONDS), RATE, library.SAMPLES)
    for rank, near in enumerate(presets.nearest(target[None], count), start=1):
        facts = _facts(rank, near)
        if play:
            facts["wav"] = _play(Path(play), facts, near, target)
        print(jsonlib.dumps(facts, allow_nan=False) if json else _line(facts), flush=True)


def _facts(rank: int, near: Any) -> dict[str, Any]:
    """A preset that was found, as ``--json`` prints it."""
    from unsynth.search.library import note_of

    facts = {"rank": rank, "distance": near.distance, "synth": near.preset.synth, "name": near.preset.name}
    return {**facts, "note": note_of(near), "file": near.file, "slot": near.preset.slot}


def _line(facts: dict[str, Any]) -> str:
    file = facts["file"].encode(errors="replace").decode()  # a name may have bytes that are no text
    place = file if facts["slot"] is None else f"{file}, slot {facts['slot']}"
    note = "" if facts["note"] is None else key(facts["note"])
    name = "".join(letter if letter.isprintable() else " " for letter in facts["name"])
    return f"{facts['rank']:3} {facts['distance']:6.2f} dB  {name:20} {facts['synth']:7} {note:4} {place}"


def key(note: int) -> str:
    """``C4`` for MIDI note 60."""
    octave, step = divmod(note, len(KEYS))
    return f"{KEYS[step]}{octave + OCTAVE_OF_0}"


def _play(folder: Path, facts: dict[str, Any], near: Any, target: Any) -> str:
    """Write what a preset sounds like; the path of the file."""
    from unsynth import audio, folders
    from unsynth.distances import RATE
    from unsynth.search.known import play

    name = re.sub(r"[^\w#+-]+", " ", facts["name"]).strip() or "preset"
    folders.make(folder)
    path = folder / f"{facts['rank']:02} {name}.wav"
    audio.write(path, audio.match_level(play(near)[0], target)[0], RATE)
    return str(path)
