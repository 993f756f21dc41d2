"""Arms compared on the targets that both have: paired differences with bootstrap intervals, and families of targets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest, bootstrap, false_discovery_control, wilcoxon

from unsynth.base import UsageError
from unsynth.evaluate import MEAN, ORACLE
from unsynth.scores import METRICS, Row, by_arm, defined, mean, spread

CONFIDENCE = 0.95
SURE = 0.05  # false discoveries among the differences that are called sure
EQUAL = 1e-9  # values that differ by less have no spread
LEAST = 5  # fewer values than this say too little about their spread for an interval
Interval = tuple[float, float]


@dataclass(frozen=True)
class Paired:
    """One arm against another.

    Args:
        differences: of each metric the mean of first minus other, and its interval.
        won: the share of targets on which the first is nearer.
        q: p-value of Wilcoxon's signed-rank test, adjusted for all arms and metrics, whatever their dependence.
            Source: Benjamini and Yekutieli, https://doi.org/10.1214/aos/1013699998.
    """

    first: str
    other: str
    targets: int
    differences: dict[str, tuple[float, Interval]]
    won: dict[str, float]
    q: dict[str, float]


def interval(values: list[float], draws: int = 5000, seed: int = 0) -> Interval:
    """95 % interval of the mean: bias-corrected and accelerated bootstrap; NaN for fewer than ``LEAST`` values.

    Source: Efron, "Better Bootstrap Confidence Intervals", https://doi.org/10.1080/01621459.1987.10478410.
    """
    values = defined(values)
    if len(values) < LEAST:
        return math.nan, math.nan
    if math.isclose(max(values), min(values), abs_tol=EQUAL):
        return values[0], values[0]
    found = bootstrap((values,), np.mean, n_resamples=draws, rng=np.random.default_rng(seed)).confidence_interval
    return float(found.low), float(found.high)


def share(value: float, among: int) -> Interval:
    """95 % interval of a share of so many sounds.

    Source: Wilson, "Probable inference" (JASA 22, 1927), https://doi.org/10.1080/01621459.1927.10502953.
    """
    found = binomtest(round(value * among), among).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def first_arm(rows: list[Row], named: str = "") -> str:
    """The arm that others are compared with: the named one, or the first of the file that searches.

    Raises:
        UsageError: the results have no such arm, or none at all.
    """
    arms = list(by_arm(rows))
    if not arms or (named and named not in arms):
        what = f"have no arm {named!r}; choose one of: {', '.join(arms)}" if arms else "are empty; evaluate something"
        raise UsageError(f"The results {what}.")
    return named or next((arm for arm in arms if arm not in (ORACLE, MEAN)), arms[0])


def paired(rows: list[Row], named: str = "") -> list[Paired]:
    """The first (or named) arm against every other one. UsageError as of :func:`first_arm`."""
    first, arms = first_arm(rows, named), by_arm(rows)
    own = {row.key: row for row in arms[first]}
    pairs = {arm: [(own[row.key], row) for row in arms[arm] if row.key in own] for arm in arms if arm != first}
    values = {arm: _differences(both) for arm, both in pairs.items() if both}
    tests = {(arm, metric): _p(own) for arm, metrics in values.items() for metric, own in metrics.items()}
    adjusted = (
        dict(zip(tests, false_discovery_control(list(tests.values()), method="by"), strict=True)) if tests else {}
    )
    return [
        _compare(first, arm, own, {metric: float(adjusted[arm, metric]) for metric in own})
        for arm, own in values.items()
    ]


def _differences(pairs: list[tuple[Row, Row]]) -> dict[str, list[float]]:
    """Of each metric, on the targets where it is defined for both."""
    found = {metric: [a.metrics[metric] - b.metrics[metric] for a, b in pairs] for metric in METRICS}
    return {metric: defined(own) for metric, own in found.items()}


def _p(values: list[float]) -> float:
    """Of Wilcoxon's signed-rank test; 1 for too few values, or none but zeros."""
    if len(values) < LEAST or not any(values):
        return 1.0
    found: Any = wilcoxon(values)
    return float(found.pvalue)


def _compare(first: str, other: str, values: dict[str, list[float]], q: dict[str, float]) -> Paired:
    differences, won = {}, {}
    for metric, own in values.items():
        lower = METRICS[metric][1]
        differences[metric] = (mean(own), interval(own))
        won[metric] = mean(0.5 if x == 0 else float((x < 0) == lower) for x in own)
    return Paired(first, other, len(values["MSS"]), differences, won, q)


def paired_cells(found: list[Paired]) -> list[list[str]]:
    """One line for each other arm; differences are between double stars where interval and ``q`` exclude zero."""
    heading = [f"{found[0].first if found else 'arm'} minus", "targets", *(f"{m} (95 %), won" for m in METRICS)]
    return [heading, *([p.other, str(p.targets), *(_difference(p, metric) for metric in METRICS)] for p in found)]


def _difference(pair: Paired, metric: str) -> str:
    (middle, (low, high)), places = pair.differences[metric], METRICS[metric][0]
    known, sure = not math.isnan(low), (low > 0 or high < 0) and pair.q[metric] < SURE
    told = f"{middle:+.{places}f}" + (f" ({low:+.{places}f} to {high:+.{places}f})" if known else "")
    return f"{f'**{told}**' if sure else told}, {100 * pair.won[metric]:.0f} %"


def family_cells(rows: list[Row], named: str = "", metric: str = "MSS") -> list[list[str]]:
    """The mean of each arm for each family, with its interval; the hardest for the first (or named) arm comes first."""
    arms, first, places = by_arm(rows), first_arm(rows, named), METRICS[metric][0]

    def values(family: str, arm: str) -> list[float]:
        return [row.metrics[metric] for row in arms[arm] if row.family == family]

    def cell(found: list[float]) -> str:
        return f"{mean(found):.{places}f}{spread(*interval(found), places)}" if found else "–"

    families = {row.family: len({other.key for other in rows if other.family == row.family}) for row in rows}
    hardest = sorted(families, key=lambda family: -mean(values(family, first) or [-math.inf]))
    lines = [[family, str(families[family]), *(cell(values(family, arm)) for arm in arms)] for family in hardest]
    return [["family", "targets", *arms], *lines]
