"""patch.json: one patch of one synth as text for people and programs. docs/patch-json.md publishes the format."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from unsynth.base import PatchError, UnsynthError
from unsynth.params import ParamSpec
from unsynth.presets.files import parsed

SCHEMA = "unsynth.patch"
SCHEMA_VERSION = 1
UNHEARD = -1.0  # the distance of what was not rendered
LARGEST = 1 << 22  # bytes of a file
KINDS = {str: "a text", int: "a whole number", float: "a finite number", list: "a list", dict: "an object"}
INT64 = range(-(2**63), 2**63)
LOUDEST = 200.0  # dB; beyond, a float32 sound may overflow

Json = dict[str, Any]


@dataclass(frozen=True)
class Patch:
    """The settings of one synth that make one sound, and how they were found.

    Args:
        synth: name of the synth.
        spec_hash: hash of the :class:`ParamSpec` that ``params`` are ordered by.
        params: unit-interval values, float32, in the order of the spec.
        noise: the noise row (a sound id) that the sound was rendered with.
        gain_db: decibels from the synth's own output to the level of the target.
        distance: what the search minimised; ``UNHEARD`` where nothing was rendered.
        metrics: named scores; NaN where a metric is not defined for the sound.
        seconds: wall clock of the search.
        renders: sounds rendered by the search.
        seed: seed of the search.
        version: version of unsynth that found the patch.

    Raises:
        PatchError: a number is not finite, a parameter lies outside [0, 1], a count is negative or beyond 64 bits, or
            the gain is beyond 200 dB.
    """

    synth: str
    spec_hash: str
    params: tuple[float, ...]
    noise: int
    gain_db: float
    distance: float
    metrics: dict[str, float]
    seconds: float
    renders: int
    seed: int
    version: str

    def __post_init__(self) -> None:
        for name in ("gain_db", "distance", "seconds"):
            if not math.isfinite(getattr(self, name)):
                _refuse(f"{name} must be a finite number")
        if abs(self.gain_db) > LOUDEST:
            _refuse(f"gain_db must lie between -{LOUDEST:.0f} and {LOUDEST:.0f}")
        for name in ("noise", "renders", "seed"):
            if getattr(self, name) not in INT64:
                _refuse(f"{name} must fit in 64 bits")
        for name in ("noise", "renders", "seconds"):
            if getattr(self, name) < 0:
                _refuse(f"{name} must not be negative")
        if not all(0 <= value <= 1 for value in self.params):
            _refuse("every normalised parameter must lie between 0 and 1")


def to_json(patch: Patch, spec: ParamSpec) -> str:
    """The text of patch.json, with every parameter in human units beside the normalised value that counts.

    Numbers have the fewest digits that give the same float32 again, so reading restores ``patch`` exactly.

    Raises:
        PatchError: ``patch`` belongs to another spec.
    """
    check_spec(patch.synth, patch.spec_hash, len(patch.params), spec)
    human = spec.to_human(torch.tensor(patch.params)).tolist()
    fields = {name: value for name, value in asdict(patch).items() if name not in ("synth", "spec_hash", "params")}
    fields["metrics"] = {name: value if math.isfinite(value) else None for name, value in patch.metrics.items()}
    params = [_entry(spec, i, human[i], unit) for i, unit in enumerate(patch.params)]
    head = {"schema": f"{SCHEMA}/{SCHEMA_VERSION}", "synth": patch.synth, "spec": patch.spec_hash}
    return json.dumps({**head, **fields, "params": params}, indent=2, allow_nan=False) + "\n"


def from_json(text: str, spec_of: Callable[[str], ParamSpec]) -> Patch:
    """The patch that ``text`` describes. Normalised values count; human values and unknown fields are ignored.

    Args:
        text: content of a patch.json.
        spec_of: the spec of a synth by name; raises LookupError or an UnsynthError where there is no such synth.

    Raises:
        PatchError: the text is no patch, is of a newer schema, or belongs to another synth or spec.
    """
    fields = _parse(text)
    synth, spec_hash = _take(fields, "synth", str), _take(fields, "spec", str)
    units = _units(_take(fields, "params", list))
    try:
        spec = spec_of(synth)
    except (LookupError, UnsynthError) as error:
        raise PatchError(f"the patch is for a synth this installation does not have: {_short(synth)}.") from error
    check_spec(synth, spec_hash, len(units), spec)
    _check_names(set(units), spec)
    return Patch(
        synth=synth,
        spec_hash=spec_hash,
        params=tuple(float(np.float32(units[name])) for name in spec.names),
        metrics=_metrics(_take(fields, "metrics", dict)),
        version=_take(fields, "version", str),
        **{name: _take(fields, name, int) for name in ("noise", "renders", "seed")},
        **{name: _take(fields, name, float) for name in ("gain_db", "distance", "seconds")},
    )


def check_spec(synth: str, spec_hash: str, count: int, spec: ParamSpec) -> None:
    """Raise PatchError unless ``count`` parameters of ``synth`` in the order of ``spec_hash`` are what ``spec`` has."""
    if (synth, spec_hash) != (spec.synth, spec.hash):
        written, here = _short(f"{synth} {spec_hash}"), _short(f"{spec.synth} {spec.hash}")
        raise PatchError(f"the patch is for {written} but the synth here is {here}: use the version that wrote it.")
    if count != len(spec):
        _refuse(f"{spec.synth} has {len(spec)} parameters, not {count}")


def read(path: Path, spec_of: Callable[[str], ParamSpec]) -> Patch:
    """The patch in a file, as :func:`from_json` has it.

    Raises:
        NotFoundError: no such file, or it may not be read.
        PatchError: as :func:`from_json`, with the name of the file.
    """
    return parsed(path, lambda data: from_json(_text(data), spec_of), LARGEST, "a patch.json file")


def _text(data: bytes) -> str:
    if len(data) > LARGEST:
        raise PatchError(f"the file has more than {LARGEST:,} bytes: it is no patch.json.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PatchError("the file is not text: it is no patch.json.") from error


def _entry(spec: ParamSpec, index: int, human: float, unit: float) -> Json:
    param = spec.params[index]
    value = _shortest(human) if param.kind == "continuous" else round(human)
    if param.kind == "categorical":
        value = spec.text(index, human)
    return {"name": param.name, "value": value, "unit": param.unit, "normalised": _shortest(unit)}


def _shortest(value: float) -> float:
    return float(str(np.float32(value)))


def _parse(text: str) -> Json:
    try:
        fields = json.loads(text, parse_constant=lambda name: _refuse(f"{name} is not a number in JSON"))
    except (ValueError, RecursionError) as error:
        raise PatchError("the file is not valid JSON: it is damaged or not a patch.json.") from error
    schema = fields.get("schema") if isinstance(fields, dict) else None
    match = re.fullmatch(rf"{SCHEMA}/([0-9]+)", schema) if isinstance(schema, str) else None
    if not match:
        raise PatchError(f'the file is not a patch.json: it does not say "schema": "{SCHEMA}/{SCHEMA_VERSION}".')
    if match[1] != str(SCHEMA_VERSION):
        raise PatchError(f"the patch has schema {_short(match[0])}, which this unsynth cannot read: get a newer one.")
    return fields


def _take(fields: Json, name: str, kind: type) -> Any:
    """Field ``name`` as a ``kind``; an integer is a float too, a boolean is no number, NaN and infinity are nothing."""
    value: Any = fields.get(name)
    if kind is float and type(value) is int and abs(value) <= sys.float_info.max:
        value = float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        _refuse(f"{_short(name)} is missing or not {KINDS[kind]}")
    return value


def _units(entries: list[Any]) -> dict[str, float]:
    units: dict[str, float] = {}
    for entry in entries:
        if not isinstance(entry, dict):
            _refuse("params must be a list of objects")
        name = _take(entry, "name", str)
        if name in units:
            _refuse(f"parameter {_short(name)} is there twice")
        units[name] = _take(entry, "normalised", float)
        if not 0 <= units[name] <= 1:
            _refuse(f"parameter {_short(name)} must be normalised to between 0 and 1")
    return units


def _metrics(metrics: Json) -> dict[str, float]:
    return {name: math.nan if metrics[name] is None else _take(metrics, name, float) for name in metrics}


def _check_names(names: set[str], spec: ParamSpec) -> None:
    missing = [name for name in spec.names if name not in names]
    if missing:
        _refuse(f"parameter {_short(missing[0])} is missing")


def _short(text: str, width: int = 60) -> str:
    return ascii(text if len(text) <= width else text[: width - 3] + "...")


def _refuse(what: str) -> NoReturn:
    raise PatchError(f"the patch cannot be used: {what}.")
