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

AGAIN = 4  # times that a child which was rendered before is mutated once more


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
        generator, spec = torch.Generator().manual_seed(self.seed), problem.synth.spec
        if len(start.params) == 0:
            params = torch.rand(self.lines, len(spec), generator=generator)
            start = Solution(params, problem.evaluate(params))
        start = Solution(spec.snap(start.params), start.distances)
        modules, seen = modules_of(spec), set(_bytes(start.params))
        found, lines, began, born = start, start.best(self.lines), problem.left(), 0
        while problem.left() > self.until:
            used = (began - problem.left()) / (began - self.until)
            if self._followed(used) < len(lines.params):
                found, lines = found.join(lines), lines.best(self._followed(used))
            which = (born + torch.arange(self.children)) % len(lines.params)
            children = self._cross(lines.params, which, modules, generator)
            children = self._fresh(children, spec, self.step * self.cooled**used, seen, generator)
            lines = survivors(lines, Solution(children, problem.evaluate(children)), which)
            born += self.children
        return found.join(lines).best(problem.keep)

    def _fresh(
        self, children: Params, spec: ParamSpec, step: float, seen: set[bytes], generator: torch.Generator
    ) -> Params:
        """Mutations of ``children``, those that were rendered before mutated again; ``seen`` then has them all."""
        children = mutate(children, spec, self.moved, step, generator)
        for _ in range(AGAIN):
            repeated = torch.tensor([row in seen for row in _bytes(children)])
            if not repeated.any():
                break
            children[repeated] = mutate(children[repeated], spec, self.moved, step, generator)
        seen.update(_bytes(children))
        return children

    def _followed(self, used: float) -> int:
        """How many lines are left when a share of the budget is used: halved as often as it takes to end with one."""
        return max(1, self.lines >> int(used * self.lines.bit_length()))

    def _cross(self, lines: Params, which: Lines, modules: Modules, generator: torch.Generator) -> Params:
        count, kept = len(which), lines[which]
        given = lines[torch.randint(len(lines), (count,), generator=generator)]
        crossed = torch.rand(count, 1, generator=generator) < self.crossed
        module = modules[torch.randint(len(modules), (count, 1), generator=generator)]
        return torch.where(crossed & (modules == module), given, kept)


def mutate(params: Params, spec: ParamSpec, moved: float, step: float, generator: torch.Generator) -> Params:
    """Sparse mutations of each row; ``moved`` and ``step`` as of :class:`Genetic`.

    An integer moves by one at least, and a choice becomes any other one. The middle of their steps is what comes back.
    """
    count, width = params.shape

    def spread() -> Float[Tensor, "batch 1"]:
        return torch.randn(count, 1, generator=generator).exp()

    chosen: Bool[Tensor, "batch param"] = torch.rand(count, width, generator=generator) < moved * spread()
    chosen[torch.arange(count), torch.randint(width, (count,), generator=generator)] = True
    moves = step * spread() * torch.randn(count, width, generator=generator)
    mutants = reflect(params + moves)
    if spec.steps.any():
        mutants = torch.where(spec.steps > 0, _stepped(params, spec, moves), mutants)
    if spec.categorical.any():
        mutants = torch.where(spec.categorical, _other(params, spec, generator), mutants)
    return torch.where(chosen, mutants, params)


def _stepped(params: Params, spec: ParamSpec, moves: Params) -> Params:
    """Integers moved by one value at least; the other way where the edge would fold a move back to where it began."""
    moves = (moves.sign() * moves.abs().maximum(spec.steps)).clamp(-1 / 2, 1 / 2)
    there, back = (spec.snap(reflect(params + way)) for way in (moves, -moves))
    return torch.where(there == spec.snap(params), back, there)


def _other(params: Params, spec: ParamSpec, generator: torch.Generator) -> Params:
    """Each choice replaced by any other one, all equally likely."""
    others = (1 / spec.steps).round() - 1
    turn = 1 + (torch.rand(params.shape, generator=generator) * others).floor().minimum(others - 1)
    return spec.snap((params + turn * spec.steps).remainder(1))


def _bytes(params: Params) -> list[bytes]:
    return [row.tobytes() for row in params.numpy()]


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
