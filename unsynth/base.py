"""The vocabulary of unsynth: what a sound, a patch and a synth are, and which errors a user can meet. Read it first.

Everything inside the package is in the unit interval and in torch tensors; human units and files exist at the edges
only (:mod:`unsynth.params`, :mod:`unsynth.audio`).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from jaxtyping import Float, Int64
from torch import Tensor

from unsynth.errors import (
    BatchError as BatchError,
    NotFoundError as NotFoundError,
    OutputError as OutputError,
    PatchError as PatchError,
    UnreadableError as UnreadableError,
    UnsynthError as UnsynthError,
    UnusableError as UnusableError,
    UsageError as UsageError,
)
from unsynth.params import ParamSpec

SoundIds = Int64[Tensor, " batch"]
Params = Float[Tensor, "batch param"]  # unit interval
Audio = Float[Tensor, "batch time"]  # mono, float32, nominally within [-1, 1]


class Synth(ABC):
    """A function from parameters to audio. Stateless: same params and noise rows in, same audio out."""

    name: ClassVar[str]
    spec: ParamSpec
    rate: int
    seconds: float
    differentiable: bool

    @abstractmethod
    def render(self, params: Params, noise: SoundIds | None = None) -> Audio:
        """Audio of each row of ``params``.

        Args:
            params: unit-interval parameters in the order of ``spec``.
            noise: which noise each sound uses (a sound id, of which the synth uses what it needs); row 0 where None.

        Shape: ``(batch, param)`` and ``(batch,)`` in, ``(batch, round(rate * seconds))`` out.
        """


Distance = Callable[[Audio], Float[Tensor, " batch"]]
"""How far each of a batch of candidates is from the one target that the distance was made for; lower is nearer."""


@dataclass(frozen=True)
class Budget:
    """What a search may spend: seconds of wall clock, or renders, whichever ends first (None: no limit)."""

    seconds: float | None = None
    renders: int | None = None

    def start(self) -> Meter:
        return Meter(self)


@dataclass
class Meter:
    """Counts what a search has spent of its budget, and keeps its curve."""

    budget: Budget
    renders: int = 0
    began: float = field(default_factory=time.perf_counter)
    curve: list[tuple[float, int, float]] = field(default_factory=list)
    on_progress: Callable[[Meter], None] | None = None

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    def spend(self, renders: int, best: float) -> None:
        """Record that ``renders`` more sounds were rendered and that the best distance is now ``best``."""
        self.renders += renders
        self.curve.append((self.seconds, self.renders, best))
        if self.on_progress:
            self.on_progress(self)

    def left(self) -> float:
        """The fraction of the budget that is left, 0 when it is spent."""
        parts = [1.0]
        if self.budget.seconds is not None:
            parts.append(1 - self.seconds / self.budget.seconds)
        if self.budget.renders is not None:
            parts.append(1 - self.renders / self.budget.renders)
        return max(0.0, min(parts))

    def renders_left(self) -> int | None:
        return None if self.budget.renders is None else max(0, self.budget.renders - self.renders)


@dataclass(frozen=True)
class Solution:
    """What a search found: candidates, best first, with the distances that ordered them."""

    params: Params
    distances: Float[Tensor, " batch"]
    noise: SoundIds

    def best(self, k: int) -> Solution:
        order = self.distances.argsort(stable=True)[:k]
        return Solution(self.params[order], self.distances[order], self.noise[order])


class Search(ABC):
    """Improves draws of params for one target. Never returns worse than its start; obeys the meter's budget."""

    @abstractmethod
    def __call__(self, synth: Synth, distance: Distance, start: Solution, meter: Meter) -> Solution:
        """Candidates at least as good as the best of ``start`` (whose distances are already known), best first.

        Shape: ``start.params`` is ``(batch, param)``; the result has its own batch.
        """
