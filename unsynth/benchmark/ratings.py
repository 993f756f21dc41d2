"""What listeners answered: the mean score of each arm with its interval, after the standard's post-screening.

Source: Recommendation ITU-R BS.1534-3, post-screening of assessors: listeners who rate the hidden reference below 90
for more than 15 % of the items are left out.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from unsynth.base import NotFoundError, UsageError
from unsynth.benchmark.listening import ANCHOR, REFERENCE

LEAST_REFERENCE, MOST_MISSED = 90, 0.15
SCALE = 100
LARGEST = 1 << 20  # bytes of a file of answers

Scores = dict[str, dict[str, float]]  # target: arm: 0 to 100


@dataclass(frozen=True)
class Session:
    """The answers of one listener to one page."""

    listener: str
    page: str
    scores: Scores

    def misses(self) -> float:
        """The share of items whose hidden reference was rated below 90."""
        below = [scores[REFERENCE] < LEAST_REFERENCE for scores in self.scores.values()]
        return sum(below) / len(below)


def read(paths: list[Path]) -> list[Session]:
    """The answers in files that a listening page saved.

    Raises:
        NotFoundError: a file is not there.
        UsageError: a file is none of a listening page's, or the files are of different pages.
    """
    sessions = [_read(path) for path in paths]
    if len({session.page for session in sessions}) > 1:
        raise UsageError("These answers are of different listening pages; give those of one page at a time.")
    return sessions


def _read(path: Path) -> Session:
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist; name files that a listening page saved.")
    try:
        told = json.loads(_text(path))
        scores = {item["target"]: {arm: _score(x) for arm, x in item["scores"].items()} for item in told["items"]}
        if not scores or not all({REFERENCE, ANCHOR} <= item.keys() for item in scores.values()):
            raise ValueError("no hidden reference and anchor")
        if not all(arm.isprintable() for item in scores.values() for arm in item):
            raise ValueError("no name of an arm")
        return Session(str(told["listener"]), str(told["page"]), scores)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{path} holds no answers of a listening page; give the JSON that one saved.") from error


def _text(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"more than {LARGEST} bytes")
    return data.decode()


def _score(value: object) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= SCALE:
        raise ValueError(f"{value} is no score")
    return float(value)


def screened(sessions: list[Session]) -> list[Session]:
    """The listeners that the standard's post-screening keeps."""
    return [session for session in sessions if session.misses() <= MOST_MISSED]


def mean_and_interval(scores: npt.NDArray[np.floating], draws: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """Mean of ``(listener, item)`` scores, NaN where there is none, and its 95 % interval.

    Listeners and items are both resampled: the answers of one listener, and those to one item, are alike. Source: Owen,
    "The pigeonhole bootstrap", https://arxiv.org/abs/0712.1111.
    """
    random = np.random.default_rng(seed)
    drawn = (scores[np.ix_(*(random.integers(n, size=n) for n in scores.shape))] for _ in range(draws))
    low, high = np.percentile([np.nanmean(part) for part in drawn if np.isfinite(part).any()], [2.5, 97.5])
    return float(np.nanmean(scores)), float(low), float(high)


def cells(sessions: list[Session]) -> list[list[str]]:
    """One line for each arm, the best first; UsageError where post-screening leaves nobody."""
    kept = screened(sessions)
    if not kept:
        raise UsageError("No listener passed the post-screening (hidden reference at 90 or above); ask more people.")
    targets = list(dict.fromkeys(target for session in kept for target in session.scores))
    arms = list(dict.fromkeys(arm for session in kept for item in session.scores.values() for arm in item))
    found = {arm: mean_and_interval(_array(kept, targets, arm)) for arm in arms}
    ordered = sorted(found.items(), key=lambda entry: -entry[1][0])
    lines = [[arm, f"{mean:.1f}", f"{low:.1f} to {high:.1f}"] for arm, (mean, low, high) in ordered]
    return [["arm", "mean score", "95 %"], *lines]


def _array(sessions: list[Session], targets: list[str], arm: str) -> npt.NDArray[np.floating]:
    return np.array([[s.scores.get(target, {}).get(arm, math.nan) for target in targets] for s in sessions])
