"""Presets: parameters to and from the files that other programs read. The tables of what there is for each synth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from unsynth.base import Params
from unsynth.synths.variation import Note

Export = Callable[[str, list[str], Params], dict[str, bytes]]
Prior = Callable[[int, torch.Generator], Params]


@dataclass(frozen=True)
class Presets:
    """How the preset files of a synth become patches.

    Args:
        suffixes: of the files.
        read: all patches in a file, ``(patch, param)``; PatchError or NotFoundError where it has none.
        note: the parameters that are the note, which no preset has.
    """

    suffixes: tuple[str, ...]
    read: Callable[[Path], Params]
    note: Note


def _dexed(title: str, stems: list[str], params: Params) -> dict[str, bytes]:
    from unsynth.presets.dexed import export

    return export(title, stems, params)


def _dexed_prior() -> Prior:
    from unsynth.presets.dexed import random_patches

    return random_patches()


def _dexed_invented() -> Prior:
    from unsynth.presets.dexed import random_patches

    return random_patches([])


def _dexed_presets() -> Presets:
    from unsynth.presets import dexed, syx
    from unsynth.synths.dexed_prior import NOTE

    return Presets(dexed.SUFFIXES, lambda path: syx.to_params(syx.read(path)), NOTE)


def _surge(title: str, stems: list[str], params: Params) -> dict[str, bytes]:
    from unsynth.presets.fxp import export

    return export(title, stems, params)


def _surge_prior() -> Prior:
    from unsynth.presets.fxp import random_patches

    return random_patches()


def _surge_presets() -> Presets:
    from unsynth.presets import fxp

    return Presets((".fxp",), lambda path: fxp.to_params(fxp.read(path))[None], PLAYED)


def _drum_prior() -> Prior:
    from unsynth.synths.drum_prior import draw

    return draw


def _vital(title: str, stems: list[str], params: Params) -> dict[str, bytes]:
    from unsynth.presets.vital import export

    return export(title, stems, params)


def _vital_prior() -> Prior:
    from unsynth.presets.vital import random_patches

    return random_patches()


def _vital_presets() -> Presets:
    from unsynth.presets import vital

    return Presets((".vital",), lambda path: vital.to_params(vital.read(path))[None], PLAYED)


PLAYED: Note = ("play.note", "play.velocity", "play.hold")

EXPORTS: dict[str, Export] = {"dexed": _dexed, "surge": _surge, "vital": _vital}
"""Preset files of candidates, best first: from the target's name, the candidates' file names and their parameters."""


def export_of(synth: str) -> Export | None:
    """What writes the preset files of a synth; None where it has no format of its own."""
    return _plugin(synth) if synth.startswith("plugin:") else EXPORTS.get(synth)


def _plugin(synth: str) -> Export:
    from unsynth.presets.plugin import export

    return partial(export, synth)


PRIORS: dict[str, Callable[[], Prior]] = {
    "dexed": _dexed_prior,
    "surge": _surge_prior,
    "vital": _vital_prior,
    "drum": _drum_prior,
}
"""Random patches that are worth a render, for synths whose uniform ones are not."""

INVENTED: dict[str, Callable[[], Prior]] = {**PRIORS, "dexed": _dexed_invented}
"""Those that need no files of the user's: the same on every machine."""

PRESETS: dict[str, Callable[[], Presets]] = {"dexed": _dexed_presets, "surge": _surge_presets, "vital": _vital_presets}
"""How preset files become patches to start from."""
