"""Vital's presets (.vital): read, written, and what candidates are exported as."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch

from unsynth.base import Params, PatchError
from unsynth.presets import Prior, midi
from unsynth.presets.files import parsed
from unsynth.synths.note import note_in
from unsynth.synths.vital import SPEC, to_rows
from unsynth.synths.vital_patch import (
    CONTROLS,
    LFO_SHAPES,
    LFOS,
    NOTE,
    OSCILLATORS,
    ROUTES,
    TABLE,
    TO,
    Control,
    build,
    human,
)

Json = dict[str, Any]

LARGEST = 1 << 24  # bytes of a file that is read
SILENCED = {  # Vital's switches of what is always on in the subset, and what is 0 there where they are off
    "osc_1_on": "osc_1_level",
    "osc_2_on": "osc_2_level",
    "sample_on": "sample_level",
    "filter_1_on": "filter_1_mix",
    "filter_2_on": "filter_2_mix",
}
ON = "osc_1_on"  # the only one of them that is on in a new patch
SENDS = ("osc_1_destination", "osc_2_destination", "sample_destination")
BOTH = TO.index("filters 1+2")
KEPT = 0.25  # share of the modulations and effects that random patches use
EFFECTS = ("distortion.on", "delay.on", "reverb.on")
KEYS = (36, 84)  # notes of random patches


def write(params: Params, name: str = "unsynth") -> bytes:
    """One patch, ``(param,)``, as a .vital file that Vital 1.5.5 opens. The note to play is in its comments."""
    return build(to_rows(params[None])[0].tolist(), name).encode()


def read(path: Path) -> Json:
    """The object in a file, as :func:`parse` has it.

    Raises:
        NotFoundError: no such file, or it may not be read.
        PatchError: as :func:`parse`, with the name of the file.
    """
    return parsed(path, parse, LARGEST, "a .vital file")


def parse(data: bytes) -> Json:
    """The object that a file holds.

    Raises:
        PatchError: it is no preset of Vital, too large, or damaged.
    """
    if len(data) > LARGEST:
        raise PatchError(f"The file has more than {LARGEST:,} bytes: it is no preset of Vital.")
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PatchError("The file is not JSON: it is no preset of Vital, or damaged.") from error
    if not isinstance(told, dict) or not isinstance(told.get("settings"), dict):
        raise PatchError("The file has no settings: it is no preset of Vital.")
    return told


def to_params(preset: Json) -> Params:
    """The nearest patch that unsynth's subset of Vital can make, ``(param,)``; what is out of range is clamped.

    Modulations and effects that the subset has not are left out. What is switched off gets a level, mix or amount of 0.

    Raises:
        PatchError: a value of a wrong type, a wavetable that the subset has not, or a choice that it has not.
    """
    settings = preset["settings"]
    for n in range(1, OSCILLATORS + 1):
        _check_table(settings, n)
    given = {**settings, **_amounts(settings), **_shapes(settings), **_silence(settings)}
    values = [_value(control, given) for control in CONTROLS]
    note = note_in(str(preset.get("comments", "")))
    return SPEC.to_unit(torch.tensor([*values, *note], dtype=torch.float64))


def export(title: str, stems: list[str], params: Params) -> dict[str, bytes]:
    """For each candidate the preset, named after ``title``, and the note to play as a .mid."""
    names = [f"{Path(title).stem} {rank}" for rank in range(1, len(stems) + 1)]
    presets = {f"{stem}.vital": write(row, name) for stem, row, name in zip(stems, params, names, strict=True)}
    return presets | midi.beside(stems, to_rows(params)[:, -len(NOTE) :].tolist())


def random_patches() -> Prior:
    """Uniform patches of which most use few modulations and effects."""
    defaults = torch.tensor([[control.default for control in [*CONTROLS, *NOTE]]] * len(KEYS))
    note = SPEC.index("play.note")
    defaults[:, note] = torch.tensor(KEYS).float()
    start = SPEC.to_unit(defaults)
    low, high = start[:, note].tolist()
    few = torch.tensor([name.startswith("mod.") or name in EFFECTS for name in SPEC.names])

    def draw(count: int, generator: torch.Generator) -> Params:
        params = torch.rand(count, len(SPEC), generator=generator)
        kept = torch.rand(count, len(SPEC), generator=generator) < KEPT
        params = torch.where(few & ~kept, start[0], params)
        params[:, note] = low + (high - low) * params[:, note]
        return params

    return draw


def _value(control: Control, given: Json) -> float:
    number = _number(given, control.control)
    value = control.default if number is None else human(control, number)
    if control.choices and not 0 <= round(value) < len(control.choices):
        raise PatchError(f"The preset has a {control.name} ({value:g}) that unsynth's subset of Vital has not.")
    return value


def _number(given: Json, name: str) -> float | None:
    """The finite number called ``name``; None where there is none."""
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < math.inf:
        raise PatchError(f"The preset is damaged: {name} is not a finite number.")
    return float(max(min(value, 1e9), -1e9))


def _check_table(settings: Json, n: int) -> None:
    """An oscillator that is heard has unsynth's wavetable."""
    tables = settings.get("wavetables")
    table = tables[n - 1] if isinstance(tables, list) and len(tables) >= n else None
    name = table.get("name") if isinstance(table, dict) else None
    if name != TABLE and _is_on(settings, f"osc_{n}_on") and _number(settings, f"osc_{n}_level") != 0:
        raise PatchError(
            f"Oscillator {n} has the wavetable {str(name)[:40]!r}, which unsynth's subset of Vital has not."
        )


def _is_on(settings: Json, switch: str) -> bool:
    """Whether one of ``SILENCED`` is on; as in a new patch of Vital where the file does not say."""
    number = _number(settings, switch)
    return switch == ON if number is None else number != 0


def _silence(settings: Json) -> Json:
    """The controls that silence what is switched off, and keep what modulates a level from making it heard again."""
    silent = {control: 0.0 for switch, control in SILENCED.items() if not _is_on(settings, switch)}
    routes = {f"modulation_{n}_amount": 0.0 for n, (_, to, _) in enumerate(ROUTES, 1) if to in silent}
    return {**silent, **routes, **_around([n for n in (1, 2) if f"filter_{n}_mix" in silent], settings)}


def _around(off: list[int], settings: Json) -> Json:
    """The ways that sound takes in Vital around filters that are ``off``.

    What goes to both goes to the one that is on alone, and the second follows no first that is off.
    """
    other = {1: TO.index("filter 2"), 2: TO.index("filter 1")}
    both = {send: other[off[0]] for send in SENDS if off and _number(settings, send) == BOTH}
    return both | ({"filter_2_filter_input": 0} if 1 in off else {})


def _amounts(settings: Json) -> Json:
    """The amounts of the routes of the subset, wherever in the file they are; 0 for those that are bypassed."""
    slots = settings.get("modulations", [])
    if not isinstance(slots, list) or not all(isinstance(slot, dict) for slot in slots):
        raise PatchError("The preset is damaged: its modulations are not a list of objects.")
    ends = [(str(slot.get("source")), str(slot.get("destination"))) for slot in slots]
    bypassed = [_number(settings, f"modulation_{slot}_bypass") for slot in range(1, len(ends) + 1)]
    slot_of = {end: slot for slot, end in reversed(list(enumerate(ends, 1))) if not bypassed[slot - 1]}
    slots_of_routes = {
        f"modulation_{n}_amount": slot_of.get((source, to)) for n, (source, to, _) in enumerate(ROUTES, 1)
    }
    return {
        name: _number(settings, f"modulation_{slot}_amount") if slot else 0.0 for name, slot in slots_of_routes.items()
    }


def _shapes(settings: Json) -> Json:
    """The number of each LFO's shape, by its points; a triangle where it is another."""
    shapes = list(LFO_SHAPES.values())
    lfos = settings.get("lfos", [])
    if not isinstance(lfos, list) or not all(isinstance(lfo, dict) for lfo in lfos):
        raise PatchError("The preset is damaged: its LFOs are not a list of objects.")
    points = [lfo.get("points") for lfo in lfos[:LFOS]]
    return {f"lfo_{n}_shape": shapes.index(p) if p in shapes else 0 for n, p in enumerate(points, 1)}
