"""Draws of an estimator, rendered and measured."""

from __future__ import annotations

import torch

from unsynth.base import Audio, Estimator, Objective, Params, PatchError, Problem, Search, Solution


class Draw(Search):
    """The best of what an estimator draws for the target.

    Args:
        estimator: draws parameters, in ``eval()``.
        count: how many draws.
        seed: of the draws.
        batch: how many are drawn at a time.
        until: fraction of the problem's budget to leave for later stages.

    Raises:
        PatchError: the model cannot draw parameters.
    """

    def __init__(
        self, estimator: Objective, count: int = 64, seed: int = 0, batch: int = 64, until: float = 0.0
    ) -> None:
        if not isinstance(estimator, Estimator):
            raise PatchError("The model is no estimator of parameters; train one with `unsynth pretrain`.")
        self.estimator, self.count, self.seed, self.batch, self.until = estimator, count, seed, batch, until

    def __call__(self, problem: Problem, start: Solution) -> Solution:
        generator = torch.Generator().manual_seed(self.seed)
        for first in range(0, self.count, self.batch):
            if problem.left() <= self.until:
                break
            params = self._different(problem.target, min(self.batch, self.count - first), generator)
            start = start.join(Solution(params, problem.evaluate(params))).best(problem.keep)
        return start

    def params(self, target: Audio, count: int) -> Params:
        """At most ``count`` different draws for one sound, in the order in which they were drawn."""
        return self._different(target, count, torch.Generator().manual_seed(self.seed))

    def _different(self, target: Audio, count: int, generator: torch.Generator) -> Params:
        drawn = self.estimator.sample(target, count, generator)[:, 0]
        fresh = [i for i, row in enumerate(drawn) if not (drawn[:i] == row).all(1).any()]
        return drawn[fresh]
