"""A musician's own presets, searchable by sound: where each lies, its parameters, and what it sounds like.

A preset is heard at its own note and some octaves from it, as a sound that is looked for may be at any pitch. What is
kept of each sound are the segments of :func:`unsynth.search.index.summary`, each value in a byte, and no audio. Sounds
are compared by the mean absolute difference of these, the short segments of the onset counting as much as the long ones
after it: with squares, or by the published distances of the audio, a preset that is held longer becomes another (LOG.md
has the figures).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int8, UInt8
from torch import Tensor
from torch.nn import functional as F

from unsynth.base import Audio, NotFoundError, PatchError, UnsynthError
from unsynth.checkpoint import read, write
from unsynth.distances import RATE
from unsynth.folders import data_folder
from unsynth.params import ParamSpec
from unsynth.presets import NOTES, PITCH
from unsynth.presets.saved import Preset
from unsynth.search.index import COMPARED, EDGES, RANGE_DB, SCALE, segments
from unsynth.synths import known

FORMAT = "unsynth.presets/1"
SECONDS = 4.0  # of each sound that are compared, whatever its synth makes; shorter ones end in silence
SAMPLES = round(RATE * SECONDS)
WIDTH = SCALE[2] * len(EDGES)  # values of a sound
SILENCE = 255  # steps under the loudest
STEP_DB = RANGE_DB / SILENCE
NOTHING = torch.empty(0, WIDTH, dtype=torch.uint8)
PITCHES = {*PITCH.values(), *(note[0] for note in NOTES.values())}  # the knobs that say which note is played
OCTAVE = 12

MEND = "index of presets; remove it, and `unsynth index presets FOLDER` makes a new one"

Json = dict[str, Any]
Bytes = UInt8[Tensor, "note feature"]


@dataclass(frozen=True, eq=False)
class Heard:
    """A preset with its sound at each of the notes at which it is not silent.

    Args:
        preset: the preset.
        semitones: how far each note is from the preset's own.
        features: of the sounds, as :func:`features` has them.
    """

    preset: Preset
    semitones: Int8[Tensor, " note"]
    features: Bytes


@dataclass(frozen=True)
class Stamp:
    """What decides what a file's presets sound like: if nothing of it changes, nothing is rendered again.

    Args:
        size: bytes of the file.
        changed_ns: when it was changed.
        synth: name of the synth.
        spec: hash of its parameters.
        octaves: how far from its own note each preset is heard, up and down.
    """

    size: int
    changed_ns: int
    synth: str
    spec: str
    octaves: int


@dataclass(frozen=True, eq=False)
class File:
    """A file with presets of one synth."""

    stamp: Stamp
    presets: list[Heard]


@dataclass(frozen=True, eq=False)
class Near:
    """A preset that is near to a sound.

    Args:
        file: path of its file.
        spec: hash of the parameters of its synth, as they were when it was heard.
        preset: the preset.
        semitones: how far from its own note it is near.
        distance: from the sound, in dB.
    """

    file: str
    spec: str
    preset: Preset
    semitones: int
    distance: float


class Library:
    """Presets by file.

    Args:
        files: what was heard of each file, by its full path.
    """

    def __init__(self, files: Mapping[str, File]) -> None:
        self.files = dict(files)

    def __len__(self) -> int:
        """How many presets are heard at one note at least."""
        return sum(len(heard.semitones) > 0 for file in self.files.values() for heard in file.presets)

    def nearest(self, audio: Audio, count: int, synth: str = "") -> list[Near]:
        """The ``count`` presets nearest to one sound ``(1, time)``, each once, nearest first.

        Args:
            audio: the sound.
            count: how many.
            synth: whose presets; those of all where empty.
        """
        found: dict[tuple[str, bytes, int], Near] = {}
        distances = self._distances(audio)
        for i in distances.argsort(stable=True).tolist():
            path, preset, semitones = self._sounds[i]
            if synth not in ("", preset.synth):
                continue
            key = (preset.synth, preset.params.numpy().tobytes(), preset.noise)
            if key not in found and len(found) == count:
                break
            spec = self.files[path].stamp.spec
            found.setdefault(key, Near(path, spec, preset, semitones, float(distances[i])))
        return list(found.values())

    def _distances(self, audio: Audio) -> Float[Tensor, " sound"]:
        """How far each sound is from one, in dB. What is softer than that ever is may be under its noise."""
        stacked = [heard.features for file in self.files.values() for heard in file.presets]
        query, known = features(audio), torch.cat([NOTHING, *stacked])
        parts = (part.clamp(max=_softest(query)).float() for part in known.split(COMPARED))
        return torch.cat([torch.cdist(query.float(), part, p=1)[0] for part in parts]) * STEP_DB / WIDTH

    @cached_property
    def _sounds(self) -> list[tuple[str, Preset, int]]:
        """File, preset and semitones of every sound, in the order of the features."""
        heard = [(path, heard) for path, file in self.files.items() for heard in file.presets]
        return [(path, one.preset, step) for path, one in heard for step in one.semitones.tolist()]

    def save(self, path: Path) -> None:
        """Write the library whole or not at all; OutputError where it cannot be written."""
        heard = [heard for file in self.files.values() for heard in file.presets]
        notes, values = torch.empty(0, dtype=torch.int8), torch.empty(0)
        tensors = {
            "features": torch.cat([NOTHING, *(h.features for h in heard)]),
            "semitones": torch.cat([notes, *(h.semitones for h in heard)]),
            "params": torch.cat([values, *(h.preset.params for h in heard)]),
            "noise": torch.tensor([h.preset.noise for h in heard], dtype=torch.int64),
            "notes": torch.tensor([len(h.semitones) for h in heard], dtype=torch.int64),
            "knobs": torch.tensor([len(h.preset.params) for h in heard], dtype=torch.int64),
        }
        told = [_told(path, file) for path, file in self.files.items()]
        write(path, tensors, {"format": FORMAT, "files": json.dumps(told)})

    @classmethod
    def load(cls, path: Path) -> Library:
        """Read a library; NotFoundError if there is none, PatchError if it is damaged or something else."""
        if not path.is_file():
            raise NotFoundError(f"There is no index of presets at {path}; `unsynth index presets FOLDER` makes one.")
        tensors, metadata = read(path, MEND)
        if metadata.get("format") != FORMAT:
            raise PatchError(f"{path} is not a whole {MEND}.")
        try:
            return cls(_files(json.loads(metadata["files"]), tensors))
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            RuntimeError,
            StopIteration,
            TypeError,
            ValueError,
        ) as error:
            raise PatchError(f"{path} is not a whole {MEND}.") from error


def own() -> Path:
    """Where this user's library is kept."""
    return data_folder() / "presets.safetensors"


def fitted(audio: Audio) -> Audio:
    """Sounds as they are compared: cut or padded with silence to the same length, ``(batch, 176400)``."""
    return F.pad(audio, (0, SAMPLES - audio.shape[-1]))


def features(audio: Audio) -> Bytes:
    """How many steps of ``STEP_DB`` under the loudest each band of each segment is, ``(batch, feature)``."""
    means = torch.cat([mean for mean, _ in segments(fitted(audio))], dim=1)
    return (-means / STEP_DB).round().to(torch.uint8)


def _softest(query: Bytes) -> int:
    """The softest band of most segments of one sound, but for those that are silent."""
    segments = query.reshape(-1, SCALE[2])
    sounding = segments[(segments < SILENCE).any(1)]
    return int(sounding.amax(1).median()) if len(sounding) else SILENCE


def note_of(near: Near) -> int | None:
    """The MIDI note at which a preset is near; None where its synth has no notes, or is of another version."""
    try:
        spec = known(near.preset.synth).spec
    except UnsynthError:
        return None
    knob = pitch_column(spec) if spec.hash == near.spec else None
    return None if knob is None else round(float(spec.to_human(near.preset.params)[knob])) + near.semitones


def pitch_column(spec: ParamSpec) -> int | None:
    """Which parameter of a synth is the note; None where it has none."""
    return next((spec.index(name) for name in PITCHES if name in spec.names), None)


def at_note(spec: ParamSpec, params: Float[Tensor, " param"], semitones: int) -> Float[Tensor, " param"] | None:
    """``params`` with another note; None where the synth has no such note, or no knob for notes."""
    if semitones == 0:
        return params
    knob = pitch_column(spec)
    if knob is None:
        return None
    human = spec.to_human(params)
    human[knob] += semitones
    if not spec.params[knob].low <= human[knob] <= spec.params[knob].high:
        return None
    moved = params.clone()
    moved[knob] = spec.to_unit(human)[knob]
    return moved


def _told(path: str, file: File) -> Json:
    names = [[heard.preset.name, heard.preset.slot] for heard in file.presets]
    return {"path": path, "stamp": asdict(file.stamp), "presets": names}


def _files(told: list[Json], tensors: Mapping[str, Tensor]) -> dict[str, File]:
    """The files that :func:`_told` told of; ValueError and the like where tensors and facts do not fit."""
    notes, knobs = (tensors[name].tolist() for name in ("notes", "knobs"))
    kinds = {"features": torch.uint8, "semitones": torch.int8, "params": torch.float32, "noise": torch.int64}
    if any(tensors[name].dtype != kind for name, kind in kinds.items()) or tensors["features"].shape[1:] != (WIDTH,):
        raise ValueError("no features")
    if not ((tensors["params"] >= 0) & (tensors["params"] <= 1)).all() or (tensors["noise"] < 0).any():
        raise ValueError("no parameters")
    columns = (tensors["params"].split(knobs), tensors["semitones"].split(notes), tensors["features"].split(notes))
    rows = zip(*columns, tensors["noise"].tolist(), strict=True)
    files: dict[str, File] = {}
    for facts in told:
        stamp = Stamp(**facts["stamp"])
        heard = [_heard(stamp, name, slot, *next(rows)) for name, slot in facts["presets"]]
        files[str(facts["path"])] = File(stamp, heard)
    if next(rows, None) is not None:
        raise ValueError("more presets than names")
    return files


def _heard(stamp: Stamp, name: str, slot: int | None, params: Tensor, notes: Tensor, sounds: Tensor, row: int) -> Heard:
    if type(slot) not in (int, type(None)):
        raise TypeError("no slot")
    return Heard(Preset(str(stamp.synth), str(name), slot, params, row), notes, sounds)
