"""Variations: patches around one, for people who like a sound and want others like it."""

from __future__ import annotations

import torch

from unsynth.base import Problem, Search, Solution
from unsynth.search.genetic import mutate
from unsynth.search.sample import draws


class Vary(Search):
    """Mutations of the best of the start, rendered and measured; none is followed any further.

    Args:
        count: how many.
        moved: median share of the parameters that a mutation moves.
        step: median size of a move, in units of the unit interval.
        seed: of the mutations, and of the patch to vary where there is no start.
    """

    def __init__(self, count: int = 63, moved: float = 0.1, step: float = 0.15, seed: int = 0) -> None:
        self.count, self.moved, self.step, self.seed = count, moved, step, seed

    def __call__(self, problem: Problem, start: Solution) -> Solution:
        generator = torch.Generator().manual_seed(self.seed)
        if len(start.params) == 0:
            params = draws(problem.synth)(1, generator)
            start = Solution(params, problem.evaluate(params))
        best = start.best(1).params.repeat(self.count, 1)
        params = mutate(best, problem.synth.spec, self.moved, self.step, generator)
        return start.join(Solution(params, problem.evaluate(params))).best(problem.keep)
