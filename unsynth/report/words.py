"""Scores and differences of sounds in plain words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

EXPLAINED = {  # score: (in plain words, whether lower is nearer)
    "distance": ("what the search made as small as it could", True),
    "MSS": ("how different the spectra look over time, in dB, at three zoom levels", True),
    "wMFCC": ("how different the timbre is once the timing is lined up", True),
    "SOT": ("how far energy must move in frequency to turn one sound into the other", True),
    "RMS": ("how alike the loudness contours are, 1 at most", False),
}
VERDICTS = ("nearly the same", "very close", "close", "similar", "different")
TITLES = {
    "MSS": ("Spectrum", (0.5, 1.5, 3.0, 4.5)),
    "wMFCC": ("Timbre", (1.0, 2.5, 4.0, 6.0)),
    "SOT": ("Pitch and balance", (0.005, 0.02, 0.05, 0.1)),
    "RMS": ("Loudness over time", (0.99, 0.97, 0.94, 0.88)),
}
"""Titles, and where one verdict ends and the next begins: between the true patch with other noise (the oracle of the
table in README) and a random patch."""


@dataclass(frozen=True)
class Contrast:
    """How a difference of one of :func:`unsynth.report.features.features` is told.

    Args:
        least: the smallest that is told.
        more, less: words for a larger and for a smaller value.
        measure: what it is the difference of.
        unit: of the feature; empty for a binary logarithm, which is told as a ratio.
    """

    least: float
    more: str
    less: str
    measure: str
    unit: str = ""


CONTRASTS = {
    "centroid": Contrast(0.15, "brighter", "darker", "spectral centroid"),
    "length": Contrast(0.25, "longer", "shorter", "length"),
    "attack": Contrast(0.6, "slower attack", "faster attack", "attack time"),
    "onset": Contrast(1.5, "louder attack", "softer attack", "first 50 ms", "dB"),
    "flatness": Contrast(3.0, "noisier", "purer", "spectral flatness", "dB"),
    "pitch": Contrast(0.2, "higher pitch", "lower pitch", "pitch", "semitones"),
}
SLIGHT, MUCH = 2.0, 5.0  # times the smallest that is told: slightly below, much above


def told(metrics: dict[str, float]) -> list[dict[str, Any]]:
    """The scores that have a title: what of, a verdict and its step from 0 (best), the number, what it means."""
    return [_told(name, metrics[name]) for name in TITLES if name in metrics]


def contrasts(one: dict[str, float], other: dict[str, float]) -> list[tuple[str, str]]:
    """How another sound differs from one, the largest difference first: in words, and in numbers.

    Both are features of one sound each; a NaN differs from nothing.
    """
    differences = {name: other[name] - one[name] for name in CONTRASTS}
    sizes = {name: abs(value) / CONTRASTS[name].least for name, value in differences.items()}
    heard = sorted((name for name in sizes if sizes[name] >= 1), key=lambda name: -sizes[name])
    return [_contrast(CONTRASTS[name], differences[name], sizes[name]) for name in heard]


def _contrast(how: Contrast, difference: float, size: float) -> tuple[str, str]:
    degree = "slightly " if size < SLIGHT else "much " if size > MUCH else ""
    amount = f"{difference:+.1f} {how.unit}" if how.unit else f"× {2**difference:.2g}"
    return f"{degree}{how.more if difference > 0 else how.less}", f"{how.measure} {amount}"


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
