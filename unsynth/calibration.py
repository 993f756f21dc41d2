"""Whether an estimator is as sure as it should be: ranks of true parameters among its draws, and expected coverage.

Draws of the right posterior and the parameters that made the sound are exchangeable, so the rank of the truth among the
draws is uniform, whichever number is computed from a patch. Sources: Talts et al., "Validating Bayesian Inference
Algorithms with Simulation-Based Calibration", https://arxiv.org/abs/1804.06788, theorem 1; Hermans et al., "A Trust
Crisis In Simulation-Based Inference?", https://arxiv.org/abs/2110.06581 (expected coverage); Lemos et al.,
"Sampling-Based Accuracy Testing of Posterior Estimators for General Inference", https://arxiv.org/abs/2302.03026,
section 3 (TARP: coverage of balls about random points, for all parameters together).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from scipy.stats import binom, false_discovery_control, kstest
from torch import Tensor

from unsynth.base import Estimator, Params, PatchError, UsageError
from unsynth.params import ParamSpec
from unsynth.sounds.ids import VALIDATION
from unsynth.sounds.source import Source, Split

FORMAT = "unsynth.calibration/1"
BINS = 16  # of a histogram
LEVELS = tuple(i / 20 for i in range(1, 20))  # credibilities at which coverage is measured
LEAST = 8  # fewer targets or draws say nothing
STILL = 1e-12  # variance of a parameter that never changes
EQUAL = 1e-9  # relative difference of probabilities that differ by rounding
SURE = 0.05  # false discoveries among what is called miscalibrated

Draws = Float[Tensor, "draw target param"]
Curve = list[float]


@dataclass(frozen=True)
class Setting:
    """What a calibration is measured with.

    Args:
        targets: held-out sounds.
        start: the first of them; those from ``VALIDATION`` on are for choices, those before for results.
        draws: of the parameters of each sound.
        seed: of the draws, the random points and the ties.
        raw: whether patches that sound the same count as different.

    Raises:
        UsageError: too few targets or draws, or a start or seed below zero.
    """

    targets: int = 256
    start: int = 0
    draws: int = 63  # with the truth 64 ranks, four in each bin
    seed: int = 0
    raw: bool = False

    def __post_init__(self) -> None:
        for name, least in (("targets", LEAST), ("draws", LEAST), ("start", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"A calibration needs {name} of {least} or more, and gets {getattr(self, name)}.")

    @property
    def place(self) -> tuple[Split, int]:
        """The split of the targets, and the number of the first within it."""
        return ("validation", self.start - VALIDATION) if self.start >= VALIDATION else ("test", self.start)


@dataclass(frozen=True)
class Check:
    """How the ranks of one number lie over all targets.

    Args:
        calibration_error: mean absolute difference of coverage and credibility over ``LEVELS``.
        overconfidence: from -1 (all ranks in the middle: draws much too wide) over 0 (uniform) to 1 (all at the ends:
            much too narrow, or elsewhere).
        contraction: 1 - (variance of the draws) / (variance of the truths): 0 for an estimator that hears nothing.
        ks: Kolmogorov-Smirnov statistic of the ranks against the uniform distribution.
        p: its p-value, of this test alone.
        q: its p-value adjusted for all tests of the calibration, whatever their dependence. Source: Benjamini and
            Yekutieli, https://doi.org/10.1214/aos/1013699998.
        coverage: for each of ``LEVELS``, the share of the truths in the draws' region of that credibility.
        histogram: ranks in ``BINS`` equal bins.
    """

    calibration_error: float
    overconfidence: float
    contraction: float
    ks: float
    p: float
    q: float
    coverage: Curve
    histogram: list[int]


@dataclass(frozen=True)
class Calibration:
    """The check of all parameters together, whose coverage is that of TARP's balls, and of each parameter by name."""

    joint: Check
    params: dict[str, Check]

    @property
    def worst(self) -> list[str]:
        """All parameters, that of the largest calibration error first."""
        return sorted(self.params, key=lambda name: -self.params[name].calibration_error)


def calibrate(
    estimator: Estimator, source: Source, setting: Setting, on_target: Callable[[int], None] = lambda done: None
) -> Calibration:
    """Draws for held-out sounds, checked. The same setting gives the same calibration.

    A posterior is one for a prior: ``source`` must draw patches as that of the estimator's training did.

    Raises:
        UsageError: the source has fewer sounds.
        PatchError: the estimator draws numbers that are not finite.
    """
    split, start = setting.place
    if source.size(split) < start + setting.targets:
        raise UsageError(f"There are only {source.size(split)} {split} sounds; lower --targets or --start.")
    generator = torch.Generator().manual_seed(setting.seed)
    truth, draws = [], []
    for i in range(setting.targets):
        target = source.take(split, start + i, 1)
        truth.append(target.params)
        draws.append(estimator.sample(target.audio, setting.draws, generator))
        on_target(i + 1)
    drawn = torch.cat(draws, 1)
    if not drawn.isfinite().all():
        raise PatchError("The model draws parameters that are no numbers; train it again.")
    return checked(torch.cat(truth), drawn, source.synth.spec, generator, setting.raw)


def checked(truth: Params, draws: Draws, spec: ParamSpec, generator: torch.Generator, raw: bool = False) -> Calibration:
    """How true parameters lie among the draws made for their sounds."""
    random = torch.rand(truth.shape, generator=generator)
    truth, draws, points = (spec.snap(x) if raw else canonical(x, spec) for x in (truth, draws, random))
    ranks = ranked(truth, draws, generator)
    joint = ranked(separation(truth, points, spec), separation(draws, points, spec), generator)
    wide, all_wide = draws.var(0).mean(0), truth.var(0).clamp(min=STILL)
    contraction = torch.cat([1 - wide.sum()[None] / all_wide.sum(), 1 - wide / all_wide])
    first, *others = _checks(torch.column_stack([joint, ranks]).numpy(), contraction.tolist())
    return Calibration(first, dict(zip(spec.names, others, strict=True)))


def canonical(params: Float[Tensor, "*batch param"], spec: ParamSpec) -> Float[Tensor, "*batch param"]:
    """One patch for all that sound the same: steps at their middle, and of its equivalents the first in the alphabet.

    As a function of a patch alone it keeps truth and draws exchangeable. Moving draws to the equivalent that is nearest
    to the truth would not: even draws of the right posterior would then lie too near.
    """
    snapped = spec.snap(params)
    first = snapped
    for order in spec.equivalents[1:]:
        other = snapped[..., order]
        differs = (other != first).int().argmax(-1, keepdim=True)
        first = torch.where(other.gather(-1, differs) < first.gather(-1, differs), other, first)
    return first


def ranked(
    truth: Float[Tensor, "*batch"], draws: Float[Tensor, "draw ..."], generator: torch.Generator
) -> Float[Tensor, "*batch"]:
    """The rank of each truth among its draws, of the n + 1 there are, anywhere in its share of [0, 1] at random.

    Draws equal to the truth (integers, choices) are as likely below it as above: with that, and only with that, the
    ranks of steps are uniform too.
    """
    below, equal = (draws < truth).sum(0), (draws == truth).sum(0)
    within = torch.rand(truth.shape, generator=generator, dtype=torch.float64)
    return (below + within * (equal + 1)) / (len(draws) + 1)


def separation(params: Float[Tensor, "*batch param"], points: Params, spec: ParamSpec) -> Float[Tensor, "*batch"]:
    """Squared distance to points in the unit cube, in which two different choices are 1 apart, whichever they are."""
    chosen = torch.tensor([p.kind == "categorical" for p in spec.params])
    apart = params - points
    return torch.where(chosen, (apart != 0).to(apart), apart).square().sum(-1)


def band(count: int, share: float = 0.95, simulations: int = 4000, seed: int = 0) -> tuple[Curve, Curve]:
    """Between what a ``share`` of the coverage curves of a calibrated estimator lie, all along, for so many targets.

    Source: Säilynoja, Bürkner and Vehtari, "Graphical test for discrete uniformity",
    https://arxiv.org/abs/2103.10522, section 2 (the version that simulates).
    """
    levels, widths = np.array(LEVELS), np.diff([0.0, *LEVELS, 1.0])
    hits = np.random.default_rng(seed).multinomial(count, widths, simulations).cumsum(1)[:, :-1]
    tails = np.minimum(binom.cdf(hits, count, levels), binom.sf(hits - 1, count, levels)).min(1)
    tail = np.quantile(tails, 1 - share) * (1 - EQUAL)  # what has just this tail is inside
    low, high = binom.ppf(tail, count, levels), binom.isf(tail, count, levels)
    return (low / count).tolist(), (high / count).tolist()


def bin_interval(count: int, share: float = 0.99) -> tuple[int, int]:
    """Between what the count of a bin of uniform ranks lies with the probability ``share`` (as in Talts et al.)."""
    low, high = binom.interval(share, count, 1 / BINS)
    return int(low), int(high)


def document(found: Calibration, setting: Setting, header: dict[str, Any]) -> dict[str, Any]:
    """A calibration as its file has it: what it is of, and what was found."""
    errors = [check.calibration_error for check in found.params.values()]
    return {
        "format": FORMAT,
        **header,
        **asdict(setting),
        "summary": {
            "calibration_error": found.joint.calibration_error,
            "mean_calibration_error": statistics.mean(errors),
            "worst": found.worst[0],
            "miscalibrated": sum(check.q < SURE for check in found.params.values()),
        },
        "levels": LEVELS,
        "band": band(setting.targets),
        "bin_interval": bin_interval(setting.targets),
        "joint": asdict(found.joint),
        "params": {name: asdict(check) for name, check in found.params.items()},
    }


def cells(found: Calibration, most: int | None = None) -> list[list[str]]:
    """A table: all parameters together, then the worst ones; q is between double stars where it is below ``SURE``."""

    def line(name: str, check: Check) -> list[str]:
        numbers = [f"{check.calibration_error:.3f}", f"{check.overconfidence:+.3f}", f"{check.contraction:.2f}"]
        q = f"{check.q:.2g}"
        return [name, *numbers, f"{check.ks:.3f}", f"{check.p:.2g}", f"**{q}**" if check.q < SURE else q]

    heading = ["parameter", "calibration error", "overconfidence", "contraction", "KS", "p", "q"]
    worst = [line(name, found.params[name]) for name in found.worst[:most]]
    return [heading, line("all together", found.joint), *worst]


def _checks(ranks: npt.NDArray[np.float64], contraction: list[float]) -> list[Check]:
    """Of each column; a parameter's regions are central intervals, those of the first are balls about random points."""
    central = np.abs(2 * ranks - 1)
    regions = np.column_stack([ranks[:, 0], central[:, 1:]])
    coverage = (regions[:, :, None] <= np.array(LEVELS)).mean(0)
    tests = [kstest(column, "uniform") for column in ranks.T]
    adjusted = false_discovery_control([test.pvalue for test in tests], method="by")
    return [
        Check(
            calibration_error=float(np.abs(coverage[i] - LEVELS).mean()),
            overconfidence=float(2 * central[:, i].mean() - 1),
            contraction=contraction[i],
            ks=float(test.statistic),
            p=float(test.pvalue),
            q=float(adjusted[i]),
            coverage=coverage[i].tolist(),
            histogram=np.histogram(ranks[:, i], BINS, (0, 1))[0].tolist(),
        )
        for i, test in enumerate(tests)
    ]
