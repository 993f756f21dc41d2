"""Search in the joint space: the parameters whose point is nearest to the target's, without rendering a sound."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from unsynth.base import Params, Problem, Search, Solution, Synth, UsageError
from unsynth.checkpoint import installed
from unsynth.presets import Prior
from unsynth.search.adam import Adam
from unsynth.search.index import SUMMARY, Feature, Index
from unsynth.search.jade import Jade
from unsynth.search.sample import draws
from unsynth.sounds.ids import params_of
from unsynth.space import JointSpace, best_space


def feature(space: JointSpace) -> Feature:
    """Sounds compared by their points in a joint space."""
    return Feature(space.name, space.sounds)


def feature_of(synth: Synth, by: str = "") -> Feature:
    """What an index of a synth compares.

    Args:
        synth: whose sounds.
        by: ``space`` for points in its joint space, ``summary``, or nothing for the space where it has one.

    Raises:
        UsageError: there is no such feature.
        NotFoundError: the synth has no joint space.
    """
    if by not in ("space", "summary", ""):
        raise UsageError(f"Sounds cannot be indexed by {by}; say --by space or --by summary.")
    spaced = by == "space" or (not by and installed(f"{synth.name}-space").is_file())
    return feature(best_space(synth)) if spaced else SUMMARY


class Embedding(Search):
    """Retrieval, differential evolution and then gradient descent in the joint space; the nearest are rendered last.

    Args:
        space: the joint space.
        index: sounds to start from, indexed by their points in this space; random parameters where None.
        prior: what those are drawn from; the synth's own prior, or uniform, where None.
        drawn: how many random parameters, of which the nearest are the start.
        population: members of the evolution, at least ``rendered``.
        generations: of the evolution.
        polished: how many of the best go through gradient descent.
        steps: of the gradient descent (Adam, cosine to zero); 0 for none.
        lr: its learning rate.
        rendered: how many are rendered and measured: ``glanced`` of the index at once, so that there is something to
            hear, and of the nearest in the end.
        glanced: how many of the index.
        until: share of the budget that is left at least for what renders.
        seed: of everything drawn.
    """

    def __init__(
        self,
        space: JointSpace,
        index: Index | None = None,
        prior: Prior | None = None,
        drawn: int = 4096,
        population: int = 64,
        generations: int = 32,
        polished: int = 16,
        steps: int = 30,
        lr: float = 0.005,
        rendered: int = 64,
        glanced: int = 8,
        until: float = 0.5,
        seed: int = 0,
    ) -> None:
        self.space, self.index, self.prior, self.drawn = space, index, prior, drawn
        self.population, self.generations = max(population, rendered), generations
        self.polished, self.steps, self.lr = polished, steps, lr
        self.rendered, self.until, self.seed = rendered, until, seed
        self.glanced = 0 if index is None else min(glanced, rendered - 1)

    def __call__(self, problem: Problem, start: Solution) -> Solution:
        if self.index is not None and self.glanced:
            first = params_of(self.index.nearest(problem.target, self.glanced), problem.synth.spec)
            start = start.join(Solution(first, problem.evaluate(first)))
        found = self.nearest(problem)[: self.rendered - self.glanced]
        return start.join(Solution(found, problem.evaluate(found))).best(problem.keep)

    def nearest(self, problem: Problem) -> Params:
        """The candidates that are nearest by the joint space, nearest first."""
        generator = torch.Generator().manual_seed(self.seed)
        point = self.space.sounds(problem.target)
        params = self._starts(problem, generator)

        def judge(candidates: Params) -> torch.Tensor:
            with torch.no_grad():
                return self.space.distances(point, candidates)

        def more() -> bool:
            return problem.left() > self.until

        begun = Solution(params, judge(params))
        evolved = Jade(problem.synth.spec.categorical)(
            judge, begun.best(self.population), self.generations, generator, more
        )
        polished = self._descend(point, evolved.best(self.polished).params, more) if self.steps else evolved.params[:0]
        found = torch.cat([evolved.params, polished]).unique(dim=0)
        return Solution(found, judge(found)).best(self.rendered).params

    def _starts(self, problem: Problem, generator: torch.Generator) -> Params:
        if self.index is None:
            return (self.prior or draws(problem.synth))(self.drawn, generator)
        return params_of(self.index.nearest(problem.target, self.population), problem.synth.spec)

    def _descend(self, point: torch.Tensor, params: Params, more: Callable[[], bool]) -> Params:
        """Each row's best by Adam, and where it ended; parameters stay in the unit interval."""
        x = params.clone().requires_grad_()
        optimizer = Adam(x)
        best, least = params.clone(), torch.full((len(params),), float("inf"))
        with torch.enable_grad():
            for step in range(self.steps):
                if not more():
                    break
                distances = self.space.distances(point, x)
                nearer = distances.detach() < least
                best[nearer], least[nearer] = x.detach()[nearer], distances.detach()[nearer]
                optimizer.step(distances.sum(), self.lr * (1 + math.cos(math.pi * step / self.steps)) / 2)
        return torch.cat([best, x.detach()])
