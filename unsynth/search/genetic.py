"""A genetic search with sparse mutations: most knobs stay where they are, a few move, lines of descent are crossed.

On a synth most parameters are inaudible or nearly independent at any given patch, so moving few of them at a time finds
improvements where a Gaussian step in all of them at once hides the good under the bad. Which start is best shows late:
several lines are followed side by side, each competing with its own parent only, and the worse half ends as the budget
passes. Started from retrieved sounds this needs far fewer renders than CMA-ES for the same distance (LOG.md has the
figures). Sources: Beyer & Schwefel, "Evolution strategies: a comprehensive introduction",
https://doi.org/10.1023/A:1015059928466 (plus-selection, log-normal steps); Jamieson & Talwalkar, "Non-stochastic Best
Arm Identification and Hyperparameter Optimization", https://arxiv.org/abs/1502.07943 (successive halving).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from unsynth.base import Params, Problem, Search, Solution
from unsynth.params import ParamSpec

Lines = Int64[Tensor, " batch"]  # which line each child belongs to
Modules = Int64[Tensor, " param"]  # which module each parameter belongs to


class Genetic(Search):
    """Lines of descent with sparse mutations, which exchange modules and are halved until one is left.

    Args:
        lines: how many of the best starts to follow; the worse half of the lines ends at equal shares of the budget.
        children: patches rendered in each generation, the lines taking turns.
        moved: median share of the parameters that a mutation moves; at least one always does.
        step: median size of a move at first, in units of the unit interval; spread log-normally, as ``moved`` is.
        cooled: the factor by which ``step`` has shrunk at the end.
        crossed: share of the children that take over one module of another line before they mutate.
        until: fraction of the problem's budget to leave for later stages.
        seed: seed of every draw.
    """

    def __init__(
        self,
        lines: int = 16,
        children: int = 8,
        moved: float = 0.04,
        step: float = 0.1,
        cooled: float = 0.2,
        crossed: float = 0.2,
        until: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.lines, self.children, self.moved = lines, children, moved
        self.step, self.cooled, self.crossed = step, cooled, crossed
        self.until, self.seed = until, seed

    def __call__(self, problem: Problem, start: Solution) -> Solution:
        generator = torch.Generator().manual_seed(self.seed)
        if len(start.params) == 0:
            params = torch.rand(self.lines, len(problem.synth.spec), generator=generator)
            start = Solution(params, problem.evaluate(params))
        modules = modules_of(problem.synth.spec)
        found, lines, began, born = start, start.best(self.lines), problem.left(), 0
        while problem.left() > self.until:
            used = (began - problem.left()) / (began - self.until)
            if self._followed(used) < len(lines.params):
                found, lines = found.join(lines), lines.best(self._followed(used))
            which = (born + torch.arange(self.children)) % len(lines.params)
            children = self._cross(lines.params, which, modules, generator)
            children = mutate(children, self.moved, self.step * self.cooled**used, generator)
            lines = survivors(lines, Solution(children, problem.evaluate(children)), which)
            born += self.children
        return found.join(lines).best(problem.keep)

    def _followed(self, used: float) -> int:
        """How many lines are left when a share of the budget is used: halved as often as it takes to end with one."""
        return max(1, self.lines >> int(used * self.lines.bit_length()))

    def _cross(self, lines: Params, which: Lines, modules: Modules, generator: torch.Generator) -> Params:
        count, kept = len(which), lines[which]
        given = lines[torch.randint(len(lines), (count,), generator=generator)]
        crossed = torch.rand(count, 1, generator=generator) < self.crossed
        module = modules[torch.randint(len(modules), (count, 1), generator=generator)]
        return torch.where(crossed & (modules == module), given, kept)


def mutate(params: Params, moved: float, step: float, generator: torch.Generator) -> Params:
    """Sparse mutations of each row; ``moved`` and ``step`` as of :class:`Genetic`."""
    count, width = params.shape

    def spread() -> Float[Tensor, "batch 1"]:
        return torch.randn(count, 1, generator=generator).exp()

    chosen: Bool[Tensor, "batch param"] = torch.rand(count, width, generator=generator) < moved * spread()
    chosen[torch.arange(count), torch.randint(width, (count,), generator=generator)] = True
    moves = step * spread() * torch.randn(count, width, generator=generator)
    return reflect(params + chosen * moves)


def modules_of(spec: ParamSpec) -> Modules:
    """The number of each parameter's module, which is what its name has before the dot."""
    names = [name.partition(".")[0] for name in spec.names]
    return torch.tensor([names.index(name) for name in names])


def survivors(lines: Solution, children: Solution, which: Lines) -> Solution:
    """Each line goes on with the best of its children unless that is worse; equals drift, as that opens other ways."""
    own = which == torch.arange(len(lines.params))[:, None]
    nearest, at = torch.where(own, children.distances, float("inf")).min(1)
    won = nearest <= lines.distances
    params = torch.where(won[:, None], children.params[at], lines.params)
    return Solution(params, torch.where(won, nearest, lines.distances))


def reflect(params: Params) -> Params:
    """Fold values outside the unit interval back into it."""
    folded = params.remainder(2)
    return torch.where(folded > 1, 2 - folded, folded)
