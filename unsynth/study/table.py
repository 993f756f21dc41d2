"""The rows of a study as Markdown: one table for each budget, one line for each recipe."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from statistics import mean

from unsynth.study.rows import Json, Row

Column = tuple[Callable[[Row], float], str]
COLUMNS: dict[str, Column] = {  # heading: (value, format)
    "recall@1": (lambda row: row.measured["recall@1"], ".3f"),
    "recall@10": (lambda row: row.measured["recall@10"], ".3f"),
    "MSS, head by embedding": (lambda row: row.measured["mss"].get("head_embedding", math.nan), ".2f"),
    "MSS, head by params": (lambda row: row.measured["mss"].get("head_params", math.nan), ".2f"),
    "MSS, searched": (lambda row: row.measured["mss"].get("searched", math.nan), ".2f"),
    "MSS, refined": (lambda row: row.measured["mss"].get("refined", math.nan), ".2f"),
    "error, of the range": (lambda row: _error(row, "range"), ".3f"),
    "choices right": (lambda row: _error(row, "choices"), ".2f"),
    "error of the note, semitones": (lambda row: _error(row, "semitones"), ".1f"),
    "parameters": (lambda row: row.measured["parameters"], ",.0f"),
    "sounds": (lambda row: sum(one["sounds"] for one in row.trained), ",.0f"),
    "minutes": (lambda row: sum(one["seconds"] for one in row.trained) / 60, ".1f"),
    "sounds/s": (lambda row: _per_second(row.trained), ",.0f"),
}


def page(rows: Sequence[Row], level: str = "##") -> str:
    """All rows, under a heading of this level that states each budget, machine and way of measuring."""
    return "\n\n".join(f"{level} {budget(own[0])}\n\n{conditions(own)}\n\n{table(own)}" for own in groups(rows))


def table(rows: Sequence[Row]) -> str:
    """The lines of :func:`cells` as Markdown."""
    heading, *lines = cells(rows)
    marks = ["---"] * 3 + ["---:"] * (len(heading) - 3)
    return "\n".join(f"| {' | '.join(line)} |" for line in (heading, marks, *lines))


def cells(rows: Sequence[Row]) -> list[list[str]]:
    """A heading, and one line for each recipe: the mean over its seeds, and the lowest and highest.

    What none of them measured has no column, and what one did not has a dash; processors have a column where they
    differ, as minutes are of them.
    """
    told, mixed = measured(rows), len({row.origin["processor"] for row in rows}) > 1
    heading = ["recipe", "trained by", "seeds", *told, *["processor"] * mixed]
    return [heading, *(_line(own, told.values()) + [_processors(own)] * mixed for own in recipes(rows))]


def measured(rows: Sequence[Row]) -> dict[str, Column]:
    """The columns of what was measured of any row."""
    return {name: column for name, column in COLUMNS.items() if not all(math.isnan(column[0](row)) for row in rows)}


def groups(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each budget, way of measuring, number of cores and version of torch."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(json.dumps([row.plan, row.origin["cores"], row.origin["torch"]]), []).append(row)
    return list(found.values())


def recipes(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each recipe, the best at retrieval first."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.recipe, row.digest), []).append(row)
    return sorted(found.values(), key=lambda own: -mean(row.measured["recall@1"] for row in own))


def budget(row: Row) -> str:
    """What every training could use."""
    limits = [f"{row.plan['minutes']:g} minutes"] if row.plan["minutes"] else []
    limits += [f"{row.plan['sounds']:,} sounds"] if row.plan["sounds"] else []
    return " or ".join(limits)


def conditions(rows: Sequence[Row]) -> str:
    """Machines, versions, commands and way of measuring."""
    row = rows[0]
    origin, how = row.origin, row.plan["measures"]
    heads = f"; heads of {how['head_steps']:,} steps of {how['head_batch']} sounds" if how["head_steps"] else ""
    refined = f", {how['refined']} more to refine" if how["refined"] else ""
    spent = f"{how['rendered']} renders after the search in the space{refined}"
    searched = f"; MSS on {how['targets']} of them{heads}; {spent}"
    guessed = "; errors of the nearest parameters in the space, nothing rendered"
    guessed *= any("errors" in one.measured for one in rows)
    days = sorted({one.origin["date"] for one in rows})
    dates = " to ".join(days[:: len(days) - 1 or 1])
    commands = ", ".join(f"`{one}`" for one in dict.fromkeys(one.origin["command"] for one in rows))
    return (
        f"{_processors(rows)}, {origin['cores']} threads, torch {origin['torch']}, "
        f"unsynth {origin['version']}, {dates}; {commands}. Recall among {row.among:,} "
        f"validation sounds{searched if row.measured['mss'] else ''}{guessed}."
    )


def _error(row: Row, name: str) -> float:
    return row.measured.get("errors", {}).get(name, math.nan)


def _line(rows: Sequence[Row], columns: Iterable[Column]) -> list[str]:
    trained = ", then ".join(one["objective"] for one in rows[0].trained)
    seeds = ", ".join(str(row.seed) for row in sorted(rows, key=lambda row: row.seed))
    return [rows[0].recipe, trained, seeds, *(_cell([of(row) for row in rows], how) for of, how in columns)]


def _processors(rows: Sequence[Row]) -> str:
    return " and ".join(dict.fromkeys(row.origin["processor"] for row in rows))


def _cell(values: Sequence[float], how: str) -> str:
    if any(map(math.isnan, values)):
        return "–"
    low, middle, high = (format(x, how) for x in (min(values), mean(values), max(values)))
    return middle if low == high else f"{middle} ({low}–{high})"


def _per_second(trained: Sequence[Json]) -> float:
    return sum(one["sounds"] for one in trained) / sum(one["seconds"] for one in trained)
