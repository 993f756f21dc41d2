"""Scores in plain words."""

from __future__ import annotations

import math
from typing import Any

from unsynth.report import EXPLAINED

VERDICTS = ("nearly the same", "very close", "close", "similar", "different")
TITLES = {
    "MSS": ("Spectrum", (0.5, 1.5, 3.0, 4.5)),
    "wMFCC": ("Timbre", (1.0, 2.5, 4.0, 6.0)),
    "SOT": ("Pitch and balance", (0.005, 0.02, 0.05, 0.1)),
    "RMS": ("Loudness over time", (0.99, 0.97, 0.94, 0.88)),
}
"""Titles, and where one verdict ends and the next begins: between the true patch with other noise (the oracle of the
table in README) and a random patch."""


def told(metrics: dict[str, float]) -> list[dict[str, Any]]:
    """The scores that have a title: what of, a verdict and its step from 0 (best), the number, what it means."""
    return [_told(name, metrics[name]) for name in TITLES if name in metrics]


def _told(name: str, value: float) -> dict[str, Any]:
    title, ends = TITLES[name]
    meaning, lower = EXPLAINED[name]
    finite = math.isfinite(value)
    step = sum(value > end if lower else value < end for end in ends)
    return {
        "name": name,
        "title": title,
        "verdict": VERDICTS[step] if finite else "not defined",
        "step": step if finite else None,
        "value": value if finite else None,
        "meaning": f"{meaning}; {'lower' if lower else 'higher'} is nearer",
    }
