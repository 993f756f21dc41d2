"""JADE: differential evolution that learns its own step sizes, for objectives that judge a whole batch at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unsynth.base import Params, Solution

Judge = Callable[[Params], Float[Tensor, " batch"]]


@dataclass
class Jade:
    """Source: Zhang and Sanderson, "JADE: Adaptive Differential Evolution with Optional External Archive",
    https://doi.org/10.1109/TEVC.2009.2014613, section III. Two details are not as there, for whole batches at once: the
    two that are subtracted may by chance be the same row as each other or as the child's own (there they are drawn
    again), and a factor of zero or less becomes the mean (there it is drawn again).

    Args:
        categorical: columns whose values are choices: they are copied or drawn anew, never added up.
        greed: share of the population among which each child's guide is drawn (p).
        pace: how fast the two means follow what worked (c).
        redraw: how likely a categorical column of a child is drawn anew.
    """

    categorical: Bool[Tensor, " param"]
    greed: float = 0.1
    pace: float = 0.1
    redraw: float = 0.02
    factor: float = 0.5
    crossover: float = 0.5

    def __call__(
        self,
        judge: Judge,
        start: Solution,
        generations: int,
        generator: torch.Generator,
        more: Callable[[], bool] = lambda: True,
    ) -> Solution:
        """The population after so many generations, or when there is no time for more; none gets worse."""
        population, archive = start, start.params[:0]
        for _ in range(generations):
            if not more():
                break
            children, factors, crossovers = self._breed(population, archive, generator)
            scores = judge(children)
            won = scores < population.distances
            archive = torch.cat([archive, population.params[won]])
            archive = archive[torch.randperm(len(archive), generator=generator)[: len(start.params)]]
            population = Solution(
                torch.where(won[:, None], children, population.params),
                torch.where(won, scores, population.distances),
            )
            self._learn(factors[won], crossovers[won])
        return population

    def _breed(
        self, population: Solution, archive: Params, generator: torch.Generator
    ) -> tuple[Params, Tensor, Tensor]:
        x = population.params
        n, d = x.shape
        factors = self._cauchy(n, generator)
        crossovers = (self.crossover + 0.1 * torch.randn(n, generator=generator)).clamp(0, 1)
        elite = population.distances.argsort()[: max(2, round(self.greed * n))]
        guide = x[elite[torch.randint(len(elite), (n,), generator=generator)]]
        one = x[torch.randint(n, (n,), generator=generator)]
        both = torch.cat([x, archive])
        two = both[torch.randint(len(both), (n,), generator=generator)]
        mutant = x + factors[:, None] * (guide - x + one - two)
        mutant = torch.where(mutant < 0, x / 2, torch.where(mutant > 1, (1 + x) / 2, mutant))  # half way to the edge
        anew = torch.rand(n, d, generator=generator) < self.redraw
        choice = torch.where(anew, torch.rand(n, d, generator=generator), guide)
        mutant = torch.where(self.categorical, choice, mutant)
        taken = torch.rand(n, d, generator=generator) < crossovers[:, None]
        taken[torch.arange(n), torch.randint(d, (n,), generator=generator)] = True
        return torch.where(taken, mutant, x), factors, crossovers

    def _cauchy(self, n: int, generator: torch.Generator) -> Tensor:
        """Factors in (0, 1] around their mean, with the long tail that keeps the population spread."""
        drawn = torch.empty(n).cauchy_(self.factor, 0.1, generator=generator)
        return torch.where(drawn > 0, drawn.clamp(max=1), torch.full((n,), self.factor))

    def _learn(self, factors: Tensor, crossovers: Tensor) -> None:
        if len(factors):
            lehmer = float(factors.square().sum() / factors.sum())
            self.factor += self.pace * (lehmer - self.factor)
            self.crossover += self.pace * (float(crossovers.mean()) - self.crossover)
