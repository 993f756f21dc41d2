"""A genetic search with sparse mutations: most knobs stay where they are, a few move, elites are crossed.

On a synth most parameters are inaudible or nearly independent at any given patch, so moving few of them at a time finds
improvements where a Gaussian step in all of them at once hides the good under the bad. Started from retrieved sounds it
needs far fewer renders than CMA-ES for the same distance (LOG.md has the figures). Sources: Beyer & Schwefel,
"Evolution strategies: a comprehensive introduction", https://doi.org/10.1023/A:1015059928466 (plus-selection,
log-normal steps); Syswerda, "Uniform Crossover in Genetic Algorithms", ICGA 1989.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from unsynth.base import Params, Problem, Search, Solution


class Genetic(Search):
    """(mu + lambda) selection over sparse mutations and uniform crossover.

    Args:
        parents: survivors of each generation (mu).
        children: patches rendered in each generation (lambda).
        moved: median share of the parameters that a mutation moves; at least one always does.
        step: median size of a move, in units of the unit interval; both are spread log-normally.
        crossed: share of the children that mix two parents before they mutate.
        until: fraction of the problem's budget to leave for later stages.
        seed: seed of every draw.
    """

    def __init__(
        self,
        parents: int = 4,
        children: int = 16,
        moved: float = 0.08,
        step: float = 0.1,
        crossed: float = 0.3,
        until: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.parents, self.children, self.moved = parents, children, moved
        self.step, self.crossed, self.until, self.seed = step, crossed, until, seed

    def __call__(self, problem: Problem, start: Solution) -> Solution:
        generator = torch.Generator().manual_seed(self.seed)
        if len(start.params) == 0:
            params = torch.rand(self.children, len(problem.synth.spec), generator=generator)
            start = Solution(params, problem.evaluate(params))
        population = start.best(self.parents)
        while problem.left() > self.until:
            children = self._mutate(self._cross(population.params, generator), generator)
            population = population.join(Solution(children, problem.evaluate(children))).best(self.parents)
        return start.join(population).best(problem.keep)

    def _cross(self, parents: Params, generator: torch.Generator) -> Params:
        first, second = (parents[torch.randint(len(parents), (self.children,), generator=generator)] for _ in range(2))
        crossed = torch.rand(self.children, 1, generator=generator) < self.crossed
        swapped = torch.rand(first.shape, generator=generator) < 0.5
        return torch.where(crossed & swapped, second, first)

    def _mutate(self, params: Params, generator: torch.Generator) -> Params:
        count, width = params.shape

        def spread() -> Float[Tensor, "batch 1"]:
            return torch.randn(count, 1, generator=generator).exp()

        moved = torch.rand(count, width, generator=generator) < self.moved * spread()
        moved[torch.arange(count), torch.randint(width, (count,), generator=generator)] = True
        moves = self.step * spread() * torch.randn(count, width, generator=generator)
        return reflect(params + moved * moves)


def reflect(params: Params) -> Params:
    """Fold values outside the unit interval back into it."""
    folded = params.remainder(2)
    return torch.where(folded > 1, 2 - folded, folded)
