"""What of Surge XT unsynth sets (surge.json), and the two ways to say it. Without torch: engines import this.

Human values are those of the spec: choices count from 0, and what depends on the type of an oscillator (``osc1.p0``:
the shape of a sine, the sawtooth of a modern) is a share of its range. Raw values are the synth's own, as in its files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from unsynth.errors import PatchError

SINE = 1  # type of an oscillator

Json = dict[str, Any]


@cache
def facts() -> Json:
    """What surge.json says, with its groups expanded to one list ``params`` in the order of the spec.

    ``name``, ``low``, ``high``, ``unit``, ``curve``, ``kind`` and ``default`` are the spec's; ``choices`` have the
    synth's ids; ``element`` is the parameter's in a file, ``path`` in the engine; ``source`` modulates the element;
    ``share`` is the row of ``shares``, by type of oscillator: lowest, highest, and the count of whole numbers.
    """
    told = json.loads(files("unsynth.synths").joinpath("surge.json").read_text(encoding="utf-8"))
    told["params"] = [
        {key: value.format(n=i + 1, i=i) if isinstance(value, str) else value for key, value in param.items()}
        | {"name": f"{group['name'].format(n=i + 1)}.{param['name']}"}
        for group in told["groups"]
        for i in range(group.get("repeat", 1))
        for param in group["params"]
    ]
    return told


@cache
def new_patch() -> tuple[float, ...]:
    """Raw values of one classic oscillator through nothing, in the order of the spec."""
    starts = ((p, p["default"]) for p in facts()["params"])
    return tuple(to_raw([[*p["choices"].values()].index(start) if "choices" in p else start for p, start in starts]))


def to_raw(human: Sequence[float]) -> list[float]:
    """The synth's own values of one patch, in the order of the spec."""
    raw: dict[str, float] = {}
    for param, value in zip(facts()["params"], human, strict=True):
        raw[param["name"]] = _raw(param, value, raw)
    return list(raw.values())


def _raw(param: Json, value: float, raw: Mapping[str, float]) -> float:
    if "choices" in param:
        return list(param["choices"].values())[round(value)]
    if "share" in param:
        return _of_share(value, shares(raw[_type_of(param["name"])])[param["share"]])
    if param["name"].endswith("subtype"):
        return min(round(value), facts()["subtypes"][str(raw[_type_of(param["name"])])] - 1)
    return value


def to_human(raw: Sequence[float]) -> list[float]:
    """The spec's values of one patch, the inverse of :func:`to_raw`.

    Raises:
        PatchError: a choice that the spec has not.
    """
    named = dict(zip((param["name"] for param in facts()["params"]), raw, strict=True))
    return [_human(param, value, named) for param, value in zip(facts()["params"], raw, strict=True)]


def _human(param: Json, value: float, raw: Mapping[str, float]) -> float:
    if "choices" in param:
        ids = list(param["choices"].values())
        if round(value) not in ids:
            names = ", ".join(param["choices"])
            raise PatchError(f"the preset sets {param['name']} to {value:g}, which unsynth has not: it has {names}.")
        return ids.index(round(value))
    if "share" in param:
        return _to_share(value, shares(raw[_type_of(param["name"])])[param["share"]])
    return value


def _of_share(share: float, bounds: Sequence[float]) -> float:
    low, high, *count = bounds
    return min(low + int(share * count[0]), high) if count else low + share * (high - low)


def _to_share(value: float, bounds: Sequence[float]) -> float:
    low, high, *count = bounds
    return (round(value) - low + 0.5) / count[0] if count else (value - low) / (high - low)


def shares(kind: float) -> list[list[float]]:
    """For ``p0`` to ``p4`` of an oscillator of type ``kind``: lowest, highest, and for whole numbers how many."""
    return facts()["shares"][str(round(kind))]


def is_whole(element: str, values: Mapping[str, float]) -> bool:
    """Whether an element holds a whole number, in a file with ``values`` by element."""
    if element in _shared():
        return len(shares(values[f"{element[:-6]}type"])[_shared()[element]]) > len(("lowest", "highest"))
    return element in _whole()


@cache
def _shared() -> dict[str, int]:
    return {param["element"]: param["share"] for param in facts()["params"] if "share" in param}


@cache
def _whole() -> frozenset[str]:
    stepped = {p["element"] for p in facts()["params"] if p.get("kind", "continuous") != "continuous"}
    return frozenset(stepped | {name for name, value in facts()["fixed"].items() if isinstance(value, int)})


def _type_of(name: str) -> str:
    return f"{name.split('.')[0]}.type"
