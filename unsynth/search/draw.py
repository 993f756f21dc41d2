"""Draws of an estimator, rendered and measured."""

from __future__ import annotations

import torch

from unsynth.base import Estimator, Objective, PatchError, Problem, Search, Solution


class Draw(Search):
    """The best of what an estimator draws for the target.

    Args:
        estimator: draws parameters, in ``eval()``.
        count: how many draws.
        seed: of the draws.

    Raises:
        PatchError: the model cannot draw parameters.
    """

    def __init__(self, estimator: Objective, count: int = 64, seed: int = 0) -> None:
        if not isinstance(estimator, Estimator):
            raise PatchError("The model is no estimator of parameters; train one with `unsynth pretrain`.")
        self.estimator, self.count, self.seed = estimator, count, seed

    def __call__(self, problem: Problem, start: Solution) -> Solution:
        generator = torch.Generator().manual_seed(self.seed)
        params = self.estimator.sample(problem.target, self.count, generator)[:, 0].unique(dim=0)
        return start.join(Solution(params, problem.evaluate(params))).best(problem.keep)
