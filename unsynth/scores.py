"""What an evaluation found: rows of one arm on one target, in a file of JSON lines, and as a table."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unsynth import folders
from unsynth.base import UsageError

METRICS = {"MSS": (2, True), "wMFCC": (2, True), "SOT": (3, True), "RMS": (3, False)}  # decimals, lower is better
HIGHEST = 1e12  # no number in a file of results is above


@dataclass(frozen=True)
class Row:
    """One arm on one target.

    ``params`` (unit interval) and ``noise`` are of the patch that was found; older files have none. ``algorithm`` says
    whether that has the algorithm of a target whose own is known.
    """

    arm: str
    target: str
    family: str
    metrics: dict[str, float]
    seconds: float
    renders: int
    params: list[float] | None = None
    noise: int = 0
    algorithm: bool | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Which target it is: its family and its name."""
        return self.family, self.target

    def line(self) -> str:
        mss = self.metrics["MSS"]
        return f"{self.arm} on {self.target}: MSS {mss:.2f}, {self.seconds:.1f} s, {self.renders:,} renders"


def load(path: Path) -> tuple[dict[str, object], list[Row]]:
    """Header and rows of a results file; UsageError where it is none."""
    try:
        header, *lines = [json.loads(line) for line in folders.lines(path)]
        limits = [header["budget"][unit] for unit in ("seconds", "renders")]
        if not all(limit is None or _is_number(limit) for limit in limits):
            raise ValueError("no budget")
        return {"synth": "", **header}, [_row(**line) for line in lines]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(f"{path} is no file of results, or is damaged; name one of `unsynth evaluate`.") from error


def _row(**told: Any) -> Row:
    """A row of a file; ValueError or TypeError where it cannot be one."""
    row = Row(**told)
    numbers = [row.seconds, row.renders, *(row.params or []), *(row.metrics[name] for name in METRICS)]
    names = (row.arm, row.target, row.family)
    unit = all(0 <= value <= 1 for value in row.params or [])
    whole = type(row.noise) is int and 0 <= row.noise < 1 << 63
    if not (whole and unit and all(map(_is_number, numbers)) and all(isinstance(name, str) for name in names)):
        raise ValueError("no row")
    return row


def _is_number(value: object) -> bool:
    """Whether ``value`` is a number that JSON and a float can hold; NaN is where a metric is not defined."""
    return type(value) in (int, float) and (value != value or abs(value) <= HIGHEST)  # pyright: ignore


def defined(values: Iterable[float]) -> list[float]:
    """Those that are no NaN, which is where a metric is not defined."""
    return [value for value in values if not math.isnan(value)]


def mean(values: Iterable[float]) -> float:
    """Of the values that are defined; NaN where none is."""
    known = defined(values)
    return statistics.fmean(known) if known else math.nan


def interval(values: list[float], draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of those that are defined."""
    known = defined(values)
    if not known:
        return math.nan, math.nan
    samples = np.random.default_rng(seed).choice(known, size=(draws, len(known)))
    low, high = np.percentile(samples.mean(1), [2.5, 97.5])
    return float(low), float(high)


def table(rows: list[Row]) -> str:
    """Markdown: one line for each arm, in order of mean MSS."""
    return markdown(cells(rows))


def cells(rows: list[Row], of: Callable[[list[float]], tuple[float, float]] = interval) -> list[list[str]]:
    """The table of :func:`table` as the texts of its cells, the heading first; ``of`` gives the interval of a mean."""
    first, *others = METRICS
    heading = ["arm", "targets", f"{first} mean (95 %)", "median", *others, "seconds", "renders"]
    known = any(row.algorithm is not None for row in rows)
    ordered = sorted(by_arm(rows).items(), key=lambda item: mean(r.metrics["MSS"] for r in item[1]))
    lines = [heading, *(_line(arm, own, of) for arm, own in ordered)]
    right = ["algorithm", *(_right(own) for _, own in ordered)]
    return [[*line, share] for line, share in zip(lines, right, strict=True)] if known else lines


def by_arm(rows: list[Row]) -> dict[str, list[Row]]:
    """The rows of each arm, in the order of the file."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.arm, []).append(row)
    return found


def markdown(cells: list[list[str]]) -> str:
    """A table, its heading first."""
    heading, *lines = [f"| {' | '.join(text.replace('|', '&#124;') for text in line)} |" for line in cells]
    return "\n".join([heading, "|" + "---|" * len(cells[0]), *lines])


def spread(low: float, high: float, places: int) -> str:
    """An interval in brackets; nothing where it is not known."""
    return "" if math.isnan(low) else f" ({low:.{places}f}-{high:.{places}f})"


def _right(rows: list[Row]) -> str:
    """Share of the rows whose algorithm is known that have the right one."""
    known = [row.algorithm for row in rows if row.algorithm is not None]
    return f"{100 * statistics.mean(known):.0f} %" if known else ""


def _line(arm: str, rows: list[Row], of: Callable[[list[float]], tuple[float, float]]) -> list[str]:
    mss = [row.metrics["MSS"] for row in rows]
    seconds, renders = (statistics.mean(getattr(row, field) for row in rows) for field in ("seconds", "renders"))
    first, *others = (
        f"{mean(row.metrics[metric] for row in rows):.{places}f}" for metric, (places, _) in METRICS.items()
    )
    scores = [f"{first}{spread(*of(mss), 2)}", f"{statistics.median(defined(mss) or [math.nan]):.2f}", *others]
    return [arm, str(len(rows)), *scores, f"{seconds:.1f}", f"{renders:.0f}"]
