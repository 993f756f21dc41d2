"""A musician's preset files, of whichever synth: where they are, and the patches that are in them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from unsynth.base import NotFoundError, UsageError
from unsynth.folders import visible
from unsynth.presets import fxp, patch, syx, vital
from unsynth.presets.files import parsed
from unsynth.synths import SYNTHS, known

ALL = "all"
ENDINGS = {".syx": "dexed", ".dx7": "dexed", ".fxp": "surge", ".vital": "vital"}
OWN = re.compile(r"patch|candidate-\d+")  # what `unsynth match` calls patches, in a folder named as the sound
BEGINNING = 4096  # bytes of a JSON file in which a patch says that it is one
LONGEST = 80  # characters of a name that are kept

Named = list[tuple[str, Float[Tensor, " param"]]]  # names of presets, and their parameters


@dataclass(frozen=True, eq=False)
class Preset:
    """One patch of one synth in a file.

    Args:
        synth: name of the synth.
        name: what the file calls it; the file's own name where it says nothing.
        slot: which voice of a bank it is, from 1; None in a file of one preset.
        params: unit-interval parameters.
        noise: the noise row that it is rendered with.
    """

    synth: str
    name: str
    slot: int | None
    params: Float[Tensor, " param"]
    noise: int = 0


def find(paths: Iterable[str | Path], synth: str = ALL) -> list[Path]:
    """The files that ``paths`` name and that may hold presets of ``synth``, each once, with their full paths.

    Folders are searched recursively, without hidden files; of JSON files only those that say they are a patch count.

    Raises:
        UsageError: no such synth.
        NotFoundError: a path does not exist, or there are no presets.
    """
    if synth not in (ALL, *SYNTHS):
        raise UsageError(f"There is no synth {synth!r}; choose one of: {', '.join(SYNTHS)}, {ALL}.")
    named = [Path(path) for path in paths]
    for path in named:
        if not os.path.exists(path):
            raise NotFoundError(f"{path} does not exist or is out of reach; check the spelling.")
    found = dict.fromkeys(file.resolve() for path in named for file in _files_at(path) if _may_hold(file, synth))
    if not found:
        raise NotFoundError(f"{named[0]} holds no presets; name a folder with .syx, .fxp, .vital or patch.json files.")
    return list(found)


def read(path: Path) -> list[Preset]:
    """The presets in a file. A DX7 voice and a preset that names no note play C4, held for a second at velocity 100.

    Raises:
        NotFoundError: no such file, or it may not be read.
        PatchError: it is damaged, or has what the synth here has not.
    """
    kind = ENDINGS.get(path.suffix.lower())
    if kind is None:
        found = patch.read(path, lambda name: known(name).spec)
        name = f"{path.parent.name} ({path.stem})" if OWN.fullmatch(path.stem) else path.stem
        return [Preset(found.synth, name.strip(), None, torch.tensor(found.params), found.noise)]
    parse, largest = PARSERS[kind]
    named = parsed(path, parse, largest, "a preset")
    slots = range(1, len(named) + 1) if len(named) > 1 else [None]
    return [Preset(kind, name.strip() or path.stem, slot, row) for slot, (name, row) in zip(slots, named, strict=True)]


def _voices(data: bytes) -> Named:
    voices = syx.parse(data)
    return list(zip((voice.name for voice in voices), syx.to_params(voices), strict=True))


def _surge(data: bytes) -> Named:
    preset = fxp.parse(data)
    return [(preset.name, fxp.to_params(preset))]


def _vital(data: bytes) -> Named:
    preset = vital.parse(data)
    return [(str(preset.get("preset_name") or "")[:LONGEST], vital.to_params(preset))]


PARSERS: dict[str, tuple[Callable[[bytes], Named], int]] = {
    "dexed": (_voices, syx.LARGEST),
    "surge": (_surge, fxp.LARGEST),
    "vital": (_vital, vital.LARGEST),
}


def _files_at(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        return iter([path])
    return (p for p in sorted(visible(path)) if p.is_file() and (p.suffix.lower() in ENDINGS or _says_patch(p)))


def _may_hold(file: Path, synth: str) -> bool:
    return synth == ALL or ENDINGS.get(file.suffix.lower(), synth) == synth


def _says_patch(file: Path) -> bool:
    if file.suffix.lower() != ".json":
        return False
    with suppress(OSError), file.open("rb") as opened:
        return f'"{patch.SCHEMA}/'.encode() in opened.read(BEGINNING)
    return False
