"""Plots of the report as inline SVG: a line for each arm, its mean with an interval, and its targets as dots."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LABEL, ROW, MARGIN, BASE = 720, 150, 34, 16, 42  # of the picture, in its own units
DOT, MEAN, APART = 2.5, 5, 7


@dataclass(frozen=True)
class Line:
    """One line of a plot: a mean, its interval (NaN where it is not known), and single values as dots."""

    label: str
    mean: float
    interval: tuple[float, float]
    dots: Sequence[float] = ()


def plot(name: str, unit: str, lines: Sequence[Line]) -> str:
    """An SVG picture of some lines on one axis, which includes 0."""
    values = [v for line in lines for v in (line.mean, *line.interval, *line.dots) if math.isfinite(v)]
    marks = ticks(min([0.0, *values]), max([0.0, *values]))
    height, span = ROW * len(lines), marks[-1] - marks[0]

    def x(value: float) -> float:
        return LABEL + (value - marks[0]) / span * (WIDTH - LABEL - MARGIN)

    grid = "".join(
        f'<path class="{"zero" if mark == 0 else "grid"}" d="M{x(mark):.1f} 0V{height}"/>'
        f'<text x="{x(mark):.1f}" y="{height + 16}" text-anchor="middle">{mark:g}</text>'
        for mark in marks
    )
    drawn = "".join(_line(line, ROW * (i + 0.5), x) for i, line in enumerate(lines))
    return (
        f'<svg viewBox="0 0 {WIDTH} {height + BASE}" role="img" aria-label="{escape(name)}">{grid}{drawn}'
        f'<text x="{(WIDTH + LABEL) / 2:g}" y="{height + 36}" text-anchor="middle">{escape(unit)}</text></svg>'
    )


def ticks(low: float, high: float, at_most: int = 7) -> list[float]:
    """Round numbers from below ``low`` to above ``high``: multiples of 1, 2 or 5 times a power of ten."""
    rough = max(high - low, abs(high) * 1e-6, 1e-9) / at_most
    decade = 10 ** math.floor(math.log10(rough))
    step = next(m * decade for m in (1, 2, 5, 10) if m * decade >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(i * step, 12) for i in range(first, max(last, first + 1) + 1)]


def _line(line: Line, y: float, x: Callable[[float], float]) -> str:
    told = f'<text x="{LABEL - 12}" y="{y + 4:g}" text-anchor="end">{escape(line.label)}</text>'
    known = filter(math.isfinite, line.dots)
    dots = "".join(f'<circle class="dot" cx="{x(value):.1f}" cy="{y + APART:g}" r="{DOT}"/>' for value in known)
    low, high = line.interval
    y -= APART if line.dots else 0
    whisker = f'<path class="interval" d="M{x(low):.1f} {y:g}H{x(high):.1f}"/>' if math.isfinite(low + high) else ""
    return f'{told}{dots}{whisker}<circle class="mean" cx="{x(line.mean):.1f}" cy="{y:g}" r="{MEAN}"/>'
