"""What a VST3 instrument has and does: its parameters, typed, and how it behaves. Runs in a process of its own.

``python -m unsynth.synths.plugin_profile profile PLUGIN SECONDS OUT.json`` writes what it finds out; ``... presets
PROFILE ROWS.npy OUT_FOLDER`` writes 0.vstpreset, 1.vstpreset, ... of rows as the engine plays them.
"""

from __future__ import annotations

import json
import math
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from unsynth.synths.plugin_engine import RATE, RESETS, Engine, Host, Json
from unsynth.synths.worker import START_TIMEOUT, TIMEOUT

SCHEMA = "unsynth.plugin/1"
NO_SOUND_OF_ITS_OWN = re.compile(r"(?i)^midi\b|\bbypass\b|^p\d{3}$|\bprogram\b|\bcc ?\d+\b")
MOST_STEPS = 64  # a parameter with more of them is continuous
SCAN = 1024  # values at which a parameter that does not tell its steps is read
FEW = 16  # texts that such a parameter may have to be a choice
NUMBER = re.compile(r"\s*([-+]?\d+(?:\.\d+)?)\s*(.{0,16}?)\s*")
LINEAR = 0.02  # of its range, that the middle of a linear parameter may be off
SAME = 1e-5  # largest difference of samples of the same sound
SILENT = 1e-4  # peak
PATCHES = 16  # random ones that are played
SLACK = 20  # times the longest that a sound or a start took here; a busy machine may take that long
DEAR = 0.5  # s that a new instance may take where nobody knows whether it is needed
NOTES = ((60, 100, 0.5), (48, 64, 1.5), (72, 40, 0.2))  # some parameters are heard in loud or in soft ones alone


def profile(path: str, seconds: float) -> Json:
    """Everything that :class:`unsynth.synths.plugin.Plugin` needs to know of a plugin, and what was measured."""
    began = time.perf_counter()
    host = Host(path, seconds)
    start = time.perf_counter() - began
    params, dropped = _discover(host)
    rng = np.random.default_rng(0)
    patches = [_random(params, rng) for _ in range(PATCHES)]
    facts = _behaviour(host, patches)
    if facts["deterministic"]:
        dead = [p for p in params if _dead(host, p, patches)]
        dropped.update({p["host_name"]: "changes nothing that is heard" for p in dead})
        params = [p for p in params if p not in dead]
    about = {"name": host.plugin.name, "version": host.plugin.version, "channels": host.channels}
    return {
        "schema": SCHEMA,
        "path": path,
        **about,
        "seconds": seconds,
        "rate": RATE,
        **facts,
        "start_timeout": max(START_TIMEOUT, math.ceil(SLACK * start)),
        "params": params,
        "dropped": dropped,
    }


def _discover(host: Host) -> tuple[list[Json], dict[str, str]]:
    """The parameters that shape sounds, and why the others do not count."""
    params: list[Json] = []
    dropped: dict[str, str] = {}
    for knob in host.knobs():
        if not knob.name or NO_SOUND_OF_ITS_OWN.search(knob.name):
            dropped[knob.name] = "of the host"
        elif not knob.is_automatable:
            dropped[knob.name] = "not automatable"
        elif twin := _twin(host, knob.index, [p["index"] for p in params]):
            dropped[knob.name] = f"the same as {twin}"
        else:
            params.append({**_typed(knob), "name": _unique(knob.name, [p["name"] for p in params])})
    midi = [name for name in dropped if name.upper().startswith("MIDI")]
    for name in midi[1:]:
        del dropped[name]
    if midi:
        dropped[midi[0]] = f"of the host, with {len(midi) - 1} more of MIDI"
    return params, dropped


def _typed(knob: Any) -> Json:
    """Index, kind, range, unit and, of steps, texts and raw values of a parameter."""
    facts: Json = {"host_name": knob.name, "index": knob.index, "default": knob.raw_value}
    steps = _steps(knob)
    if not steps:
        return {**facts, "kind": "continuous", **_range(knob)}
    texts, values = zip(*steps, strict=True)
    numbers = [float(m[1]) for text in texts if (m := NUMBER.fullmatch(text))]
    unit_steps = len(numbers) == len(texts) > 2 and all(np.diff(numbers) == 1) and numbers[0] == round(numbers[0])
    if unit_steps:
        return {**facts, "kind": "integer", "low": numbers[0], "high": numbers[-1], "unit": "", "values": values}
    if len(texts) == 2 and [float(t) if t.replace(".", "").isdigit() else t.lower() for t in texts] in (
        [0, 1],
        ["off", "on"],
    ):
        texts = ("off", "on")
    names = [text if texts.count(text) == 1 else f"{text} {i}" for i, text in enumerate(texts, 1)]
    return {**facts, "kind": "categorical", "low": 0, "high": len(names) - 1, "choices": names, "values": values}


def _steps(knob: Any) -> list[tuple[str, float]]:
    """Text and raw value of every step; none where the parameter is continuous."""
    if 2 <= knob.num_steps <= MOST_STEPS:
        values = [i / (knob.num_steps - 1) for i in range(knob.num_steps)]
        return [(knob.get_text_for_raw_value(value).strip(), value) for value in values]
    runs: list[tuple[str, list[float]]] = []
    for value in (i / SCAN for i in range(SCAN + 1)):
        text = knob.get_text_for_raw_value(value).strip()
        if not runs or runs[-1][0] != text:
            runs.append((text, []))
        runs[-1][1].append(value)
    words = all(not NUMBER.fullmatch(text) for text, _ in runs)
    return [(text, float(np.mean(v))) for text, v in runs] if 2 <= len(runs) <= FEW and words else []


def _range(knob: Any) -> Json:
    """Lowest, highest and unit as the plugin tells them, if it is linear between; raw values otherwise."""
    told = [NUMBER.fullmatch(knob.get_text_for_raw_value(value)) for value in (0.0, 0.5, 1.0)]
    low, middle, high = (float(match[1]) if match else np.nan for match in told)
    if not (high > low and abs(middle - (low + high) / 2) <= LINEAR * (high - low)):
        return {"low": 0.0, "high": 1.0, "unit": ""}
    unit = knob.label or (told[0][2] if told[0] else "")
    return {"low": low, "high": high, "unit": unit}


def _unique(name: str, taken: list[str]) -> str:
    plain = "_".join(re.findall(r"[a-z0-9]+", name.lower())) or "parameter"
    return next(found for n in range(1, 10_000) if (found := plain if n == 1 else f"{plain}_{n}") not in taken)


def _twin(host: Host, number: int, others: list[int]) -> str | None:
    """The name of one of ``others`` that moves with this parameter, and this one with it."""
    knobs = host.knobs()

    def moved_by(mover: int, watched: list[int]) -> list[int]:
        before, own = [knobs[i].raw_value for i in watched], knobs[mover].raw_value
        knobs[mover].raw_value = 1.0 if own < 0.5 else 0.0
        moved = [i for i, value in zip(watched, before, strict=True) if abs(knobs[i].raw_value - value) > SAME]
        knobs[mover].raw_value = own
        return moved

    twins = [i for i in moved_by(number, others) if moved_by(i, [number])]
    return knobs[twins[0]].name if twins else None


def _random(params: list[Json], rng: np.random.Generator) -> dict[int, float]:
    return {p["index"]: float(rng.choice(p["values"]) if "values" in p else rng.random()) for p in params}


def _behaviour(host: Host, patches: list[dict[int, float]]) -> Json:
    """Whether it repeats itself, how it must be reset for that, how much is silent, and how fast it is."""
    few = [(patch, *NOTES[i % len(NOTES)]) for i, patch in enumerate(patches[: len(patches) // 4])]
    true = [_fresh(host).play(*played) for played in few]
    repeats = all(_same(_fresh(host).play(*played), sound) for played, sound in zip(few, true, strict=True))
    host.how = next((how for how in RESETS if repeats and _independent(host, how, few, true)), "") or _safest(host)
    peaks, took = zip(*[_timed(host, patch) for patch in patches], strict=True)
    rate = len(patches) / sum(took)
    return {
        "deterministic": repeats,
        "reset": host.how,
        "silent": float(np.mean(np.array(peaks) < SILENT)),
        "peak": float(np.median(peaks)),
        "renders_per_second": round(rate, 1),
        "times_real_time": round(rate * host.seconds, 1),
        "timeout": max(TIMEOUT, math.ceil(SLACK * max(took))),
    }


def _timed(host: Host, patch: dict[int, float]) -> tuple[float, float]:
    """Peak of a sound, and the seconds that it took."""
    began = time.perf_counter()
    peak = float(np.abs(host.play(patch, *NOTES[0])).max())
    return peak, time.perf_counter() - began


def _safest(host: Host) -> str:
    """What forgets most where that cannot be checked: a new instance, or silence if the former would take too long."""
    began = time.perf_counter()
    _fresh(host)
    return "fresh" if time.perf_counter() - began <= DEAR else "flush"


def _fresh(host: Host) -> Host:
    return Host(host.path, host.seconds)


def _independent(host: Host, how: str, few: list[Any], true: list[Any]) -> bool:
    """Whether one instance plays every patch as a new one does, whatever came before, twice too."""
    host.how = how
    order = [j for i in range(len(few)) for j in (i, i, (i + 2) % len(few))]
    return all(_same(host.play(*few[i]), true[i]) for i in order)


def _dead(host: Host, param: Json, patches: list[dict[int, float]]) -> bool:
    """Whether no value of it changes any of a few patches."""
    values = [param["values"][0], param["values"][-1]] if "values" in param else [0.0, 0.37, 1.0]
    for patch, note in zip(patches, NOTES, strict=False):
        first, *others = (host.play({**patch, param["index"]: value}, *note) for value in values)
        if not all(_same(first, other) for other in others):
            return False
    return True


def _same(a: Any, b: Any) -> bool:
    return float(np.abs(a - b).max()) <= SAME


def presets(profile_file: str, rows: str, folder: str) -> None:
    """Write the .vstpreset of each row."""
    engine = Engine(profile_file)
    for i, row in enumerate(np.load(rows)):
        Path(folder, f"{i}.vstpreset").write_bytes(engine.host.state(engine.values(row)))


if __name__ == "__main__":
    what, first, second, out = sys.argv[1:]
    if what == "profile":
        Path(out).write_text(json.dumps(profile(first, float(second)), indent=1), encoding="utf-8")
    else:
        presets(first, second, out)
