"""Small pieces of HTML: texts, numbers, files inside the page, axes and lines."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable
from html import escape
from itertools import groupby

from unsynth.report.loudness import SILENT


def text(words: str) -> str:
    """``words`` as HTML, whatever is in them."""
    return escape(words.encode(errors="replace").decode())


def number(value: float) -> str:
    """Three digits; a dash where there is no number."""
    return f"{value:#.3g}".rstrip(".") if math.isfinite(value) else "–"


def uri(kind: str, content: bytes) -> str:
    """A file of a MIME type as a ``data:`` address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def ticks(top: float, at_most: int = 5) -> list[float]:
    """Round numbers from 0 up to ``top``, 1, 2 or 5 times a power of ten apart."""
    rough = max(top, SILENT) / at_most
    decade = 10 ** math.floor(math.log10(rough))
    step = next(m * decade for m in (1, 2, 5, 10) if m * decade >= rough)
    return [i * step for i in range(math.floor(top / step + SILENT) + 1)]


def times(seconds: float) -> str:
    """The labels of an axis from 0 to ``seconds``."""
    return "".join(f'<b style="--at:{t / seconds:.1%}">{t:g} s</b>' for t in ticks(seconds))


def left(heights: Iterable[tuple[float, str]]) -> str:
    """The labels of an axis upwards, each at its share of the height."""
    return "".join(f'<b style="bottom:{height:.1%}">{label}</b>' for height, label in heights)


def line(points: Iterable[tuple[float, float]]) -> str:
    """The path of an SVG line through ``points``, with a gap where there is no number; a lone point is a dot."""
    runs = groupby(points, lambda point: math.isfinite(point[1]))
    return "".join("M" + "L".join(f"{x:.4g} {y:.4g}" for x, y in run) + "h0" for known, run in runs if known)
