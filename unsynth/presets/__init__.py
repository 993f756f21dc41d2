"""Presets: parameters to and from the files that other programs read. The tables of what there is for each synth."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from unsynth.base import Params
from unsynth.errors import ContractError, UnsynthError, one_line
from unsynth.synths.variation import Note

Export = Callable[[str, list[str], Params], dict[str, bytes]]
Prior = Callable[[int, torch.Generator], Params]


def _dexed(title: str, stems: list[str], params: Params) -> dict[str, bytes]:
    from unsynth.presets.dexed import export

    return export(title, stems, params)


def _dexed_prior() -> Prior:
    from unsynth.presets.dexed import random_patches

    return random_patches()


def _dexed_invented() -> Prior:
    from unsynth.presets.dexed import random_patches

    return random_patches([])


def _surge(title: str, stems: list[str], params: Params) -> dict[str, bytes]:
    from unsynth.presets.fxp import export

    return export(title, stems, params)


def _surge_prior() -> Prior:
    from unsynth.presets.fxp import random_patches

    return random_patches()


def _drum_prior() -> Prior:
    from unsynth.synths.drum_prior import draw

    return draw


def _voice_drums() -> Prior:
    from unsynth.synths.voice_drums import draw

    return draw


def _vital(title: str, stems: list[str], params: Params) -> dict[str, bytes]:
    from unsynth.presets.vital import export

    return export(title, stems, params)


def _vital_prior() -> Prior:
    from unsynth.presets.vital import random_patches

    return random_patches()


PLAYED: Note = ("play.note", "play.velocity", "play.hold")

EXPORTS: dict[str, Export] = {"dexed": _dexed, "surge": _surge, "vital": _vital}
"""Preset files of candidates, best first: from the target's name, the candidates' file names and their parameters."""


def export_of(synth: str) -> Export | None:
    """What writes the preset files of a synth; None where it has no format of its own."""
    return _plugin(synth) if synth.startswith("plugin:") else EXPORTS.get(synth)


def exported(synth: str, title: str, stems: list[str], params: Params) -> dict[str, bytes]:
    """The preset files of candidates by name; none where the synth has no format of its own.

    Raises:
        ContractError: what writes them fails, or names files that cannot be beside the others of a match.
        EngineError: the plugin that writes them fails.
    """
    if not (export := export_of(synth)):
        return {}
    try:
        files = dict(export(title, stems, params))
    except UnsynthError:
        raise
    except Exception as error:
        raise ContractError(f"The presets of {synth} cannot be written: {one_line(error)}; mend its export.") from error
    own = {"report.html", "patch.json", *(f"{stem}.{kind}" for stem in stems for kind in ("wav", "json"))}
    for name, data in files.items():
        if not isinstance(name, str) or name in own or Path(name).name != name or not isinstance(data, bytes):
            raise ContractError(f"The export of {synth} makes {name!a}, which is no file of its own; mend it.")
    return files


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

INVENTED: dict[str, Callable[[], Prior]] = {**PRIORS, "dexed": _dexed_invented, "voice": _voice_drums}
"""Those that need no files of the user's, the same on every machine; the Voice's are drums."""

PITCH = {"voice": "keyboard.midi_f0", "dexed": "note.pitch"}
"""Of synths whose starts are tuned to the target: the parameter that is the pitch, in semitones."""

NOTES: dict[str, Note] = {"dexed": ("note.pitch", "note.velocity", "note.length"), "surge": PLAYED, "vital": PLAYED}
"""Of synths with preset files: which parameters are the note, which is no part of a preset."""
