"""The tables of a report: scores, parameters, and how the sounds differ in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor

from unsynth.candidates import Candidate
from unsynth.params import ParamSpec
from unsynth.report.markup import number, text
from unsynth.report.words import EXPLAINED, contrasts, told


def scores(candidates: list[Candidate]) -> str:
    """Every score of every candidate."""
    rows = [{"distance": c.distance, **c.metrics} for c in candidates]
    verdicts = [{score["name"]: score["verdict"] for score in told(c.metrics)} for c in candidates]
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f'<th scope="col">{i + 1 if i else "Best"}</th>' for i in range(len(rows)))
    body = "".join(
        _score(name, [row.get(name, math.nan) for row in rows], [row.get(name, "") for row in verdicts])
        for name in names
    )
    return f'<thead><tr><th scope="col">Score</th>{head}</tr></thead><tbody>{body}</tbody>'


def _score(name: str, values: list[float], verdicts: list[str]) -> str:
    meaning, lower = EXPLAINED.get(name, ("", True))
    finite = [value for value in values if math.isfinite(value)]
    best = (min if lower else max)(finite, default=math.nan)
    cells = "".join(
        f"<td{' class=best' if value == best else ''}>{number(value)}<small>{verdict}</small></td>"
        for value, verdict in zip(values, verdicts, strict=True)
    )
    nearer = f"{'lower' if lower else 'higher'} is nearer" if meaning else ""
    return f'<tr><th scope="row">{text(name)} <i>{nearer}</i><small>{meaning}</small></th>{cells}</tr>'


def differences(spec: ParamSpec, candidates: list[Candidate], heard: dict[str, Tensor], names: Sequence[str]) -> str:
    """How the best sounds beside the target, and every other beside the best, with the knobs that make it.

    Args:
        spec: the parameters of the synth.
        candidates: best first.
        heard: features of the target and the candidates.
        names: what each of these is called.
    """
    sounds = [{name: float(values[i]) for name, values in heard.items()} for i in range(len(names))]
    best = candidates[0]
    items = "".join(
        f"<li><strong>{names[i]}</strong> <span>beside the {'best match' if i > 1 else 'target'}:</span> "
        f"{_contrasts(sounds[min(i - 1, 1)], sounds[i])}{_knobs(spec, best, candidates[i - 1])}</li>"
        for i in range(1, len(names))
    )
    return f'<ul id="words">{items}</ul>'


def _contrasts(one: dict[str, float], other: dict[str, float]) -> str:
    found = contrasts(one, other)
    said = ", ".join(f"{words} <small>({numbers})</small>" for words, numbers in found)
    return said or "alike in brightness, length, attack, noise and pitch"


def _knobs(spec: ParamSpec, best: Candidate, other: Candidate) -> str:
    """The knobs that make a candidate sound unlike the best, with both values."""
    if not other.differs:
        return ""
    before, after = (spec.to_human(c.params.detach().cpu().float()).tolist() for c in (best, other))
    at = [spec.index(name) for name in other.differs]
    moves = (f"{text(spec.names[i])} {text(spec.text(i, before[i]))} → {text(spec.text(i, after[i]))}" for i in at)
    return f'<p class="note">Most heard: {"; ".join(moves)}</p>'


def settings(index: int, name: str, spec: ParamSpec, params: Tensor, hidden: bool = True) -> str:
    """The parameters of one candidate, a table for each module: the part of the name before the dot.

    They are ``hidden`` until the candidate is chosen.
    """
    units = params.detach().cpu().float()
    human = spec.to_human(units).tolist()
    origins = torch.where(spec.column("low") < 0, spec.to_unit(torch.zeros(len(spec))), 0.0).tolist()
    rows = [_row(spec, i, human[i], unit, origins[i]) for i, unit in enumerate(units.tolist())]
    modules = groupby(range(len(spec)), lambda i: spec.names[i].rpartition(".")[0] or spec.synth)
    tables = "".join(
        f"<table><caption>{text(module)}</caption>{''.join(rows[i] for i in members)}</table>"
        for module, members in modules
    )
    chosen = f' data-settings="{index}"' if hidden else ""
    return f'<section{chosen}><h3>{name}</h3><div class="modules">{tables}</div></section>'


def _row(spec: ParamSpec, index: int, human: float, unit: float, origin: float) -> str:
    """One knob; the bar starts where the human value is zero. A choice has no more or less, so it has no bar."""
    knob, value = spec.names[index].rpartition(".")[2], spec.text(index, human)
    bar = f'<i style="--from:{min(unit, origin):.1%};--to:{max(unit, origin):.1%}"></i>{unit:.3f}'
    travel = "" if spec.params[index].kind == "categorical" else bar
    return f'<tr><th scope="row">{text(knob)}</th><td>{text(value)}</td><td>{travel}</td></tr>'
