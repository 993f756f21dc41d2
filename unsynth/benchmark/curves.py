"""Plots of a calibration as inline SVG: coverage against credibility, and histograms of ranks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from unsynth.benchmark.plots import ticks

SIDE, LEFT, TOP, FOOT, RIGHT = 300, 56, 8, 44, 14  # of the picture, in its own units
APART = 0.08  # of two bars, in widths of a bar

Point = tuple[float, float]
Values = Sequence[float]


def coverage(name: str, levels: Values, curves: Sequence[Values], band: tuple[Values, Values]) -> str:
    """Curves from (0, 0) to (1, 1) with the diagonal, on which a calibrated one would be, and a band about it."""
    low, high = (_whole(levels, edge) for edge in band)
    shapes = [_path("band", [*low, *high[::-1]]), _path("zero", [(0, 0), (1, 1)])]
    shapes += [_path("curve", _whole(levels, curve)) for curve in curves]
    return _picture(name, "credibility", "coverage", shapes, 1.0)


def histogram(name: str, counts: Sequence[int], interval: tuple[int, int]) -> str:
    """Bars over [0, 1], and between what they would lie were they of equal height but for chance."""
    top, width = ticks(0, max([*counts, interval[1]]), at_most=4)[-1], 1 / len(counts)
    low, high = (edge / top for edge in interval)
    bars = [_box("bar", (i + APART / 2) * width, (1 - APART) * width, 0, n / top) for i, n in enumerate(counts)]
    return _picture(name, "rank of the truth", "targets", [*bars, _box("band", 0, 1, low, high)], top)


def _whole(levels: Values, values: Values) -> list[Point]:
    return [(0, 0), *zip(levels, values, strict=True), (1, 1)]


def _box(kind: str, left: float, width: float, low: float, high: float) -> str:
    return _path(kind, [(left, low), (left, high), (left + width, high), (left + width, low)])


def _path(kind: str, points: Sequence[Point]) -> str:
    """A line through points of the unit square."""
    return f'<path class="{kind}" d="M{"L".join(f"{_x(x):.1f} {_y(y):.1f}" for x, y in points)}"/>'


def _x(share: float) -> float:
    return LEFT + share * SIDE


def _y(share: float) -> float:
    return TOP + (1 - share) * SIDE


def _picture(name: str, across: str, up: str, shapes: Sequence[str], top: float) -> str:
    """Shapes on the unit square, whose height stands for ``top``."""
    below, beside = ticks(0, 1, at_most=5), ticks(0, top, at_most=5)
    grid = "".join(
        f'<path class="grid" d="M{_x(0)} {_y(mark / top):.1f}H{_x(1)}"/>'
        f'<text x="{LEFT - 6}" y="{_y(mark / top) + 4:.1f}" text-anchor="end">{mark:g}</text>'
        for mark in beside
    )
    numbers = "".join(
        f'<text x="{_x(mark):.1f}" y="{_y(0) + 16}" text-anchor="middle">{mark:g}</text>' for mark in below
    )
    middle, bottom = _x(0.5), _y(0) + 36
    return (
        f'<svg viewBox="0 0 {LEFT + SIDE + RIGHT} {TOP + SIDE + FOOT}" role="img" aria-label="{escape(name)}">'
        f'{grid}{numbers}{"".join(shapes)}<text x="{middle:g}" y="{bottom:g}" text-anchor="middle">{escape(across)}'
        f'</text><text transform="translate(14 {_y(0.5):g}) rotate(-90)" text-anchor="middle">{escape(up)}</text></svg>'
    )
