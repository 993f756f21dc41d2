"""Random search: the best of many sounds, the baseline of every table."""

from __future__ import annotations

import torch

from unsynth.base import Problem, Search, Solution


class Sample(Search):
    """Best of ``count`` uniformly random patches.

    Args:
        count: how many to draw; None to draw until the budget is spent.
        seed: seed of the draws.
        batch: how many are drawn at a time.
    """

    def __init__(self, count: int | None = None, seed: int = 0, batch: int = 256) -> None:
        self.count, self.seed, self.batch = count, seed, batch

    def __call__(self, problem: Problem, start: Solution) -> Solution:
        generator = torch.Generator().manual_seed(self.seed)
        drawn = 0
        while problem.left() > 0 and (self.count is None or drawn < self.count):
            size = self.batch if self.count is None else min(self.batch, self.count - drawn)
            params = torch.rand(size, len(problem.synth.spec), generator=generator)
            start = start.join(Solution(params, problem.evaluate(params))).best(problem.keep)
            drawn += size
        return start
