"""Gradient descent through a differentiable synth: the polish of the last mile, from starts that are already near.

Far from the target the gradient of a sound is of little use: pitch has no slope beyond a partial's width.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from unsynth import distances
from unsynth.base import Audio, Problem, Search, Solution, UsageError
from unsynth.search.adam import Adam

Loss = Callable[[Audio, Audio], Float[Tensor, " batch"]]


class Gradient(Search):
    """Adam on the parameters, clipped to the unit interval, with a cosine decay of the step to zero.

    Args:
        steps: at most so many; fewer where the budget ends first.
        rate: first learning rate, in units of the unit interval.
        starts: how many of the best starts are polished together.
        loss: what is differentiated, of target and candidates.
    """

    def __init__(self, steps: int = 100, rate: float = 0.01, starts: int = 4, loss: Loss = distances.mss) -> None:
        self.steps, self.rate, self.starts, self.loss = steps, rate, starts, loss

    def __call__(self, problem: Problem, start: Solution) -> Solution:
        if not problem.synth.differentiable:
            raise UsageError(f"The {problem.synth.name} synth has no gradient; use the evolve method.")
        chosen = start.best(self.starts) if len(start.params) else self._random(problem)
        params = chosen.params.clone().requires_grad_()
        optimizer = Adam(params)
        for step in range(self.steps):
            if problem.left() == 0:
                break
            sounds = problem.synth.render(params)  # of patches that were measured, and counted, before
            pace = self.rate * (1 + math.cos(math.pi * step / self.steps)) / 2
            optimizer.step(self.loss(problem.target, sounds).sum(), pace)
            now = params.detach().clone()
            start = start.join(Solution(now, problem.evaluate(now))).best(problem.keep)
        return start

    def _random(self, problem: Problem) -> Solution:
        params = torch.rand(self.starts, len(problem.synth.spec), generator=torch.Generator().manual_seed(0))
        return Solution(params, problem.evaluate(params))
