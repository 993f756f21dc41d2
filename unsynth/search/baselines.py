"""What a table compares searches with: the patch in the middle, and searches that nothing learned has started."""

from __future__ import annotations

import torch

from unsynth.base import Problem, Search, Solution
from unsynth.presets import Prior
from unsynth.search.sample import draws


class Mean(Search):
    """The patch with every parameter at 0.5, which is the mean of uniform ones; one render, and no search."""

    def __call__(self, problem: Problem, start: Solution) -> Solution:
        middle = torch.full((1, len(problem.synth.spec)), 0.5)
        return start.join(Solution(middle, problem.evaluate(middle))).best(problem.keep)


class Restarts(Search):
    """A search from random patches, and from other ones whenever it ends, until the budget is spent.

    Args:
        search: what is started.
        starts: how many patches it gets each time.
        seed: seed of the draws, which are of the synth's prior where it has one.
        prior: what to draw from instead.
    """

    def __init__(self, search: Search, starts: int = 4, seed: int = 0, prior: Prior | None = None) -> None:
        self.search, self.starts, self.seed, self.prior = search, starts, seed, prior

    def __call__(self, problem: Problem, start: Solution) -> Solution:
        generator = torch.Generator().manual_seed(self.seed)
        draw = self.prior or draws(problem.synth)
        while problem.left() > 0:
            params = draw(self.starts, generator)
            found = self.search(problem, Solution(params, problem.evaluate(params)))
            start = start.join(found).best(problem.keep)
        return start
