"""Surge XT's presets (.fxp): read, written, and what candidates are exported as."""

from __future__ import annotations

from pathlib import Path

import torch

from unsynth.base import Params
from unsynth.presets import Prior, midi
from unsynth.presets.files import parsed
from unsynth.synths import surge
from unsynth.synths.surge_patch import LARGEST, Preset, build, from_preset, parse, to_preset
from unsynth.synths.surge_values import facts, new_patch

HEARD = "mixer.osc1_mute"  # what random patches leave as in a new one


def read(path: Path) -> Preset:
    """The patch in a file: every parameter that the file names, in the synth's own values.

    Raises:
        NotFoundError: no such file, or it may not be read.
        PatchError: the file is no preset of Surge XT, or damaged.
    """
    return parsed(path, parse, LARGEST, "an .fxp file of Surge XT")


def write(params: Params, name: str = "unsynth") -> bytes:
    """One patch, ``(param,)``, as an .fxp file that Surge XT 1.3.4 opens. The note to play is in its comment."""
    return build(to_preset(surge.to_raw(params[None])[0].tolist(), name))


def to_params(preset: Preset) -> Params:
    """The nearest patch that unsynth's subset of Surge XT can make, ``(param,)``; what is out of range is clamped.

    Raises:
        PatchError: an oscillator, filter or other choice that the subset has not.
    """
    return surge.to_params(torch.tensor([from_preset(preset)]))[0]


def export(title: str, stems: list[str], params: Params) -> dict[str, bytes]:
    """For each candidate the preset, named after ``title``, and the note to play as a .mid."""
    names = [f"{Path(title).stem} {rank}" for rank in range(1, len(stems) + 1)]
    presets = {f"{stem}.fxp": write(row, name) for stem, row, name in zip(stems, params, names, strict=True)}
    return presets | midi.beside(stems, surge.to_raw(params)[:, -3:].tolist())


def random_patches() -> Prior:
    """New patches whose core (two oscillators, noise, a filter, two envelopes, the note) is uniformly random."""
    start = surge.to_params(torch.tensor([new_patch()]))
    core = [surge.SPEC.index(name) for name in facts()["core"] if name != HEARD]

    def draw(count: int, generator: torch.Generator) -> Params:
        params = start.repeat(count, 1)
        params[:, core] = torch.rand(count, len(core), generator=generator)
        return params

    return draw
