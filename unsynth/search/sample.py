"""Random search: the best of many sounds, the baseline of every table, and the start of searches without an index."""

from __future__ import annotations

import torch

from unsynth.base import Problem, Search, Solution, Synth
from unsynth.presets import PRIORS, Prior


class Sample(Search):
    """Best of ``count`` random patches: of the synth's prior, or uniform where it has none.

    Args:
        count: how many to draw; None to draw until the budget is spent.
        seed: seed of the draws.
        batch: how many are drawn at a time.
        until: fraction of the problem's budget to leave for later stages.
        prior: what to draw from instead.
    """

    def __init__(
        self,
        count: int | None = None,
        seed: int = 0,
        batch: int = 256,
        until: float = 0.0,
        prior: Prior | None = None,
    ) -> None:
        self.count, self.seed, self.batch, self.until, self.prior = count, seed, batch, until, prior

    def __call__(self, problem: Problem, start: Solution) -> Solution:
        generator = torch.Generator().manual_seed(self.seed)
        draw, drawn = self.prior or draws(problem.synth), 0
        while problem.left() > self.until and (self.count is None or drawn < self.count):
            size = self.batch if self.count is None else min(self.batch, self.count - drawn)
            params = draw(size, generator)
            start = start.join(Solution(params, problem.evaluate(params))).best(problem.keep)
            drawn += size
        return start


def draws(synth: Synth) -> Prior:
    """Draws of the synth's prior, or uniform ones."""
    if synth.name in PRIORS:
        return PRIORS[synth.name]()
    return lambda count, generator: torch.rand(count, len(synth.spec), generator=generator)
