"""The rows of a study as Markdown: one table for each budget, one line for each recipe, means and ranges over seeds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from statistics import mean

from unsynth.study.compare import Json, Row

Column = tuple[Callable[[Row], float], str]
COLUMNS: dict[str, Column] = {  # heading: (value, format)
    "recall@1": (lambda row: row.measured["recall@1"], ".3f"),
    "recall@10": (lambda row: row.measured["recall@10"], ".3f"),
    "MSS, head by embedding": (lambda row: row.measured["mss"].get("head_embedding", math.nan), ".2f"),
    "MSS, head by params": (lambda row: row.measured["mss"].get("head_params", math.nan), ".2f"),
    "MSS, searched": (lambda row: row.measured["mss"].get("searched", math.nan), ".2f"),
    "MSS, refined": (lambda row: row.measured["mss"].get("refined", math.nan), ".2f"),
    "parameters": (lambda row: row.measured["parameters"], ",.0f"),
    "sounds": (lambda row: sum(one["sounds"] for one in row.trained), ",.0f"),
    "minutes": (lambda row: sum(one["seconds"] for one in row.trained) / 60, ".1f"),
    "sounds/s": (lambda row: _per_second(row.trained), ",.0f"),
}


def page(rows: Sequence[Row], level: str = "##") -> str:
    """All rows, under a heading of this level that states each budget, machine and way of measuring."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(json.dumps([row.plan, *(row.origin[x] for x in ("processor", "torch"))]), []).append(row)
    return "\n\n".join(f"{level} {_heading(own[0])}\n\n{table(own)}" for own in groups.values())


def table(rows: Sequence[Row]) -> str:
    """One line for each recipe, the best at retrieval first: the mean over its seeds, and the lowest and highest.

    What none of them measured has no column.
    """
    recipes: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        recipes.setdefault((row.recipe, row.digest), []).append(row)
    ordered = sorted(recipes.values(), key=lambda own: -mean(row.measured["recall@1"] for row in own))
    told = {name: column for name, column in COLUMNS.items() if not all(math.isnan(column[0](row)) for row in rows)}
    lines = [["recipe", "trained by", "seeds", *told], ["---"] * 3 + ["---:"] * len(told)]
    lines += [_line(own, told.values()) for own in ordered]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _line(rows: Sequence[Row], columns: Iterable[Column]) -> list[str]:
    trained = ", then ".join(one["objective"] for one in rows[0].trained)
    seeds = ", ".join(str(row.seed) for row in sorted(rows, key=lambda row: row.seed))
    return [rows[0].recipe, trained, seeds, *(_cell([of(row) for row in rows], how) for of, how in columns)]


def _cell(values: Sequence[float], how: str) -> str:
    low, middle, high = (format(x, how) for x in (min(values), mean(values), max(values)))
    return middle if low == high else f"{middle} ({low}–{high})"


def _heading(row: Row) -> str:
    plan, origin = row.plan, row.origin
    limits = [f"{plan['minutes']:g} minutes"] if plan["minutes"] else []
    limits += [f"{plan['sounds']:,} sounds"] if plan["sounds"] else []
    how = plan["measures"]
    heads = f"; heads of {how['head_steps']:,} steps of {how['head_batch']} sounds" if how["head_steps"] else ""
    refined = f", {how['refined']} more to refine" if how["refined"] else ""
    spent = f"{how['rendered']} renders after the search in the space{refined}"
    searched = f"; MSS on {how['targets']} of them{heads}; {spent}"
    return (
        f"{' or '.join(limits)}\n\n{origin['processor']}, {origin['cores']} threads, torch {origin['torch']}, "
        f"unsynth {origin['version']}, {origin['date']}; `{origin['command']}`. Recall among {how['among']:,} "
        f"validation sounds{searched if row.measured['mss'] else ''}."
    )


def _per_second(trained: Sequence[Json]) -> float:
    return sum(one["sounds"] for one in trained) / sum(one["seconds"] for one in trained)
