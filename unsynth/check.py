"""Whether a synth keeps its contract: the one command for who writes a synth or profiles a plugin."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch

from unsynth.base import Audio, Params, Synth, UsageError
from unsynth.search.sample import draws

SAME = 1e-5  # largest difference of samples of the same sound
FULL_SCALE = 1.0 + 1e-4
SILENT = 1e-4  # peak of a sound that counts as silent
MOST_SILENT = 0.5  # share
UNIT = 1e-3  # largest difference of a continuous parameter after a round trip through human units
SHORTEST = 1e-9  # s
EXTREME = 4  # corners of the space of parameters that are played

Outcome = tuple[bool, str]


@dataclass(frozen=True)
class Line:
    """One thing that was checked: whether it is as it must be, and what was found."""

    name: str
    passed: bool
    told: str

    def __str__(self) -> str:
        return f"{'ok  ' if self.passed else 'FAIL'}  {self.name:18}{self.told}"


class Subject:
    """A synth with some patches, and their sounds, which are rendered once."""

    def __init__(self, synth: Synth, params: Params) -> None:
        self.synth, self.spec, self.params = synth, synth.spec, params
        self.took = 0.0

    @cached_property
    def sounds(self) -> Audio:
        self.synth.render(self.params[:1])  # engines start
        began = time.perf_counter()
        sounds = self.synth.render(self.params)
        self.took = time.perf_counter() - began
        return sounds


def check(synth: Synth, count: int = 16, seed: int = 0) -> Iterator[Line]:
    """All checks of a synth, with ``count`` patches of its prior, or uniform ones where it has none.

    Raises:
        UsageError: the synth has no engine here.
    """
    generator = torch.Generator().manual_seed(seed)
    subject = Subject(synth, draws(synth)(count, generator).float())
    checks: dict[str, Callable[[Subject], Outcome]] = {
        "spec": _spec,
        "shape": _shape,
        "speed": _speed,
        "determinism": _determinism,
        "order": _order,
        "batching": _batching,
        "steps": _steps,
        "finite": _finite,
        "level": _level,
        "silence": _silence,
        "gradient": _gradient,
    }
    for name, checked in checks.items():
        try:
            yield Line(name, *checked(subject))
        except UsageError:  # there is no engine to check
            raise
        except Exception as error:  # whatever a synth in the making raises is what its developer must know
            yield Line(name, False, f"{type(error).__name__}: {error}")


def _spec(subject: Subject) -> Outcome:
    """Human units and back gives the same number; steps their middle, which is the same step."""
    spec = subject.spec
    uniform = torch.rand(256, len(spec), generator=torch.Generator().manual_seed(0))
    human = spec.to_human(uniform)
    back = spec.to_unit(human)
    width = (spec.column("high") - spec.column("low")) * UNIT
    far = ((spec.to_human(back) - human).abs() > width).any(0)
    named = bool(subject.synth.name) and bool(spec.synth)
    lost = [spec.names[i] for i in far.nonzero()[:, 0].tolist()]
    told = f"{len(spec)} parameters come back from human units" if named else "the synth or its spec has no name"
    return not lost and named, f"{', '.join(lost)} do not come back from human units" if lost else told


def _shape(subject: Subject) -> Outcome:
    """Sounds of the promised length in float32; none of none."""
    few, synth = subject.params[:2], subject.synth
    sounds, none = synth.render(few), synth.render(few[:0])
    samples = round(synth.rate * synth.seconds)
    good = sounds.shape == (len(few), samples) and none.shape == (0, samples) and sounds.dtype == torch.float32
    return (
        good,
        f"{len(few)} sounds are {tuple(sounds.shape)}, none are {tuple(none.shape)}; {samples} samples promised",
    )


def _speed(subject: Subject, slowest: float = 1.0) -> Outcome:
    """At least as fast as real time."""
    count = len(subject.sounds)
    each = max(subject.took, SHORTEST) / count
    times = subject.synth.seconds / each
    return times >= slowest, f"{1 / each:,.1f} sounds per second, {times:,.1f} times real time"


def _determinism(subject: Subject) -> Outcome:
    return _alike(subject.sounds, subject.synth.render(subject.params), "the same patches rendered twice")


def _order(subject: Subject) -> Outcome:
    return _alike(
        subject.sounds, subject.synth.render(subject.params.flip(0)).flip(0), "the same patches in another order"
    )


def _batching(subject: Subject) -> Outcome:
    alone = torch.cat([subject.synth.render(row[None]) for row in subject.params[:4]])
    return _alike(subject.sounds[:4], alone, "patches alone and in a batch")


def _steps(subject: Subject) -> Outcome:
    """Every value within the step of an integer or choice sounds as its middle."""
    return _alike(subject.sounds, subject.synth.render(subject.spec.snap(subject.params)), "steps and their middles")


def _finite(subject: Subject) -> Outcome:
    """No NaN and no infinity at the corners of the space: all knobs at 0, at 1, and some of each."""
    corners = (torch.rand(EXTREME, len(subject.spec), generator=torch.Generator().manual_seed(0)) > 0.5).float()
    corners[0], corners[1] = 0.0, 1.0
    bad = ~torch.isfinite(torch.cat([subject.synth.render(corners), subject.sounds])).all(1)
    return not bad.any(), f"{int(bad.sum())} of {len(bad)} sounds have NaN or infinity"


def _level(subject: Subject) -> Outcome:
    peaks = subject.sounds.abs().amax(1)
    return bool(peaks.max() <= FULL_SCALE), f"peaks at {peaks.max():.3g}, median {peaks.median():.3g}; full scale is 1"


def _silence(subject: Subject) -> Outcome:
    share = (subject.sounds.abs().amax(1) < SILENT).float().mean().item()
    return share <= MOST_SILENT, f"{share:.0%} of random patches are silent"


def _gradient(subject: Subject) -> Outcome:
    """Finite, and not zero, for a synth that says it is differentiable."""
    if not subject.synth.differentiable:
        return True, "not differentiable, and does not say so"
    leaf = subject.params[:4].clone().requires_grad_()
    subject.synth.render(leaf).square().mean().backward()
    gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
    good = bool(torch.isfinite(gradient).all() and (gradient != 0).any())
    return good, f"{(gradient != 0).any(0).float().mean():.0%} of the parameters have a gradient; finite: {good}"


def _alike(a: torch.Tensor, b: torch.Tensor, what: str) -> Outcome:
    off = (a - b).abs().amax().item()
    return off <= SAME, f"{what} differ by {off:.2g} at most"
