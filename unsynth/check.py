"""Whether a synth keeps its contract: the one command for who writes a synth or profiles a plugin."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch

from unsynth.base import Audio, Params, Synth, UsageError
from unsynth.contract import misshapen, unchecked
from unsynth.distances import RATE
from unsynth.errors import one_line
from unsynth.search.sample import draws

SAME = 1e-5  # largest difference of samples of the same sound
FULL_SCALE = 1.0 + 1e-4
SILENT = 1e-4  # peak of a sound that counts as silent
MOST_SILENT = 0.5  # share
UNIT = 1e-3  # largest difference of a continuous parameter after a round trip through human units
SHORTEST = 1e-9  # s
SWAPPED = 0.01  # largest difference, in norm, of a sound and one of swapped parameters
MOST_ORDERS = 16  # of the parameters that are played
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
        self.took, self.play = 0.0, unchecked(synth)

    @cached_property
    def sounds(self) -> Audio:
        self.play(self.params[:1])  # engines start
        began = time.perf_counter()
        sounds = self.play(self.params)
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
        "names": _names,
        "rate": _rate,
        "arguments": _arguments,
        "shape": _shape,
        "speed": _speed,
        "determinism": _determinism,
        "order": _order,
        "batching": _batching,
        "steps": _steps,
        "symmetry": _symmetry,
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
            yield Line(name, False, one_line(error))


def _spec(subject: Subject) -> Outcome:
    """Human units and back gives the same number; steps their middle, which is the same step."""
    spec = subject.spec
    uniform = torch.rand(256, len(spec), generator=torch.Generator().manual_seed(0))
    human = spec.to_human(uniform)
    back = spec.to_unit(human)
    width = (spec.column("high") - spec.column("low")) * UNIT
    far = ((spec.to_human(back) - human).abs() > width).any(0)
    lost = [spec.names[i] for i in far.nonzero()[:, 0].tolist()]
    told = f"{len(spec)} parameters come back from human units"
    return not lost, f"{', '.join(lost)} do not come back from human units" if lost else told


def _names(subject: Subject) -> Outcome:
    """The spec is of this synth, which files name; names can be printed."""
    synth, spec = subject.synth, subject.spec
    bad = [name for name in (synth.name, *spec.names) if not (name.strip() and name.isprintable())]
    if bad:
        return False, f"names that cannot be read: {', '.join(map(ascii, bad))}"
    same = spec.synth == synth.name or spec.synth.startswith("plugin:")  # whose name must serve as a file's
    return same, f"the synth is called {synth.name}, the synth of its spec {spec.synth!a}"


def _rate(subject: Subject) -> Outcome:
    return subject.synth.rate == RATE, f"{subject.synth.rate} Hz; the distances are made for {RATE}"


def _shape(subject: Subject) -> Outcome:
    """Sounds of the promised length in float32; none of none."""
    few, synth = subject.params[:2], subject.synth
    samples = round(synth.rate * synth.seconds)
    wrong = [misshapen(subject.play(rows), rows, samples) for rows in (few, few[:0])]
    return not any(wrong), next(filter(None, wrong), f"{len(few)} sounds are {(len(few), samples)} in float32")


def _speed(subject: Subject, slowest: float = 1.0) -> Outcome:
    """At least as fast as real time."""
    count = len(subject.sounds)
    each = max(subject.took, SHORTEST) / count
    times = subject.synth.seconds / each
    return times >= slowest, f"{1 / each:,.1f} sounds per second, {times:,.1f} times real time"


def _determinism(subject: Subject) -> Outcome:
    return _alike(subject.sounds, subject.play(subject.params), "the same patches rendered twice")


def _arguments(subject: Subject) -> Outcome:
    given = subject.params.clone()
    subject.play(given)
    return torch.equal(given, subject.params), "what is given to render is as it was afterwards"


def _order(subject: Subject) -> Outcome:
    return _alike(subject.sounds, subject.play(subject.params.flip(0)).flip(0), "the same patches in another order")


def _batching(subject: Subject) -> Outcome:
    alone = torch.cat([subject.play(row[None]) for row in subject.params[:4]])
    return _alike(subject.sounds[:4], alone, "patches alone and in a batch")


def _steps(subject: Subject) -> Outcome:
    """Every value within the step of an integer or choice sounds as its middle."""
    return _alike(subject.sounds, subject.play(subject.spec.snap(subject.params)), "steps and their middles")


def _symmetry(subject: Subject) -> Outcome:
    """What the spec says may be swapped sounds the same, but for rounding."""
    rows, spec = subject.params[:4], subject.spec
    orders = spec.equivalents[:MOST_ORDERS]
    sounds = [subject.play(rows[:, order]) for order in orders]
    off = torch.stack([(sound - sounds[0]).norm(dim=1) for sound in sounds])
    share = (off / sounds[0].norm(dim=1).clamp(min=SILENT)).amax().item()
    return share <= SWAPPED, f"{len(orders)} orders of the parameters differ by {share:.2g} of the sound at most"


def _finite(subject: Subject) -> Outcome:
    """No NaN and no infinity at the corners of the space: all knobs at 0, at 1, and some of each."""
    corners = (torch.rand(EXTREME, len(subject.spec), generator=torch.Generator().manual_seed(0)) > 0.5).float()
    corners[0], corners[1] = 0.0, 1.0
    bad = ~torch.isfinite(torch.cat([subject.play(corners), subject.sounds])).all(1)
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
    subject.play(leaf).square().mean().backward()
    gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
    good = bool(torch.isfinite(gradient).all() and (gradient != 0).any())
    return good, f"{(gradient != 0).any(0).float().mean():.0%} of the parameters have a gradient; finite: {good}"


def _alike(a: torch.Tensor, b: torch.Tensor, what: str) -> Outcome:
    off = (a - b).abs().amax().item()
    return off <= SAME, f"{what} differ by {off:.2g} at most"
