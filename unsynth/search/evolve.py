"""Evolution strategies over the real renderer: many CMA-ES runs in step, so that every generation is one batch.

Integers and choices are moved as such (:mod:`unsynth.search.mixed`). Sources: Hansen, "The CMA Evolution Strategy: A
Tutorial", https://arxiv.org/abs/1604.00772; Ros & Hansen, "A Simple Modification in CMA-ES Achieving Linear Time and
Space Complexity" (the diagonal variant), https://doi.org/10.1007/978-3-540-87700-4_30; successive halving between runs
after Jamieson & Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization",
https://arxiv.org/abs/1502.07943.
"""

from __future__ import annotations

from typing import Literal

import cmaes
import numpy as np
import torch

from unsynth.base import Params, Problem, Search, Solution
from unsynth.params import ParamSpec
from unsynth.search.mixed import Mixed

Covariance = Literal["diagonal", "full"]
Strategy = cmaes.SepCMA | cmaes.CMA | Mixed

SEEDS = 1 << 32  # that cmaes knows


class Run:
    """One evolution strategy, started from one patch, that remembers the best it has seen."""

    def __init__(self, strategy: Strategy, start: Params, distance: float) -> None:
        self.strategy = strategy
        self.best, self.distance = start, distance
        self.asked: list[np.ndarray] = []

    def ask(self) -> Params:
        self.asked = [self.strategy.ask() for _ in range(self.strategy.population_size)]
        return torch.from_numpy(np.stack(self.asked)).float()

    def note(self, params: Params, distances: torch.Tensor) -> None:
        """Remember the best of a generation."""
        nearest = int(distances.argmin())
        if distances[nearest] < self.distance:
            self.best, self.distance = params[nearest], float(distances[nearest])

    def tell(self, distances: torch.Tensor) -> None:
        """What a whole generation came to; patches that could not be played are worse than all others."""
        played = torch.isfinite(distances)
        worst = distances[played].max() + 1
        ranked = torch.where(played, distances, worst).tolist()
        self.strategy.tell(list(zip(self.asked, ranked, strict=True)))

    @property
    def converged(self) -> bool:
        return bool(self.strategy.should_stop())


class Evolve(Search):
    """Refines the best starts by CMA-ES runs in step; the worse half is dropped as the budget passes.

    Args:
        sigma: initial step, in units of the unit interval.
        population: candidates per generation of one run.
        runs: how many of the best starts to follow; a uniformly random patch where there is no start.
        halvings: how often the worse half of the runs is dropped, at equal shares of the budget that is left.
        covariance: ``diagonal`` (SepCMA) or ``full``; full anyway where parameters are integers or choices.
        seed: seed of every run.
    """

    def __init__(
        self,
        sigma: float = 0.1,
        population: int = 16,
        runs: int = 8,
        halvings: int = 3,
        covariance: Covariance = "diagonal",
        seed: int = 0,
    ) -> None:
        self.sigma, self.population, self.runs = sigma, population, runs
        self.covariance: Covariance = covariance
        self.halvings, self.seed = halvings, seed

    def __call__(self, problem: Problem, start: Solution) -> Solution:
        spec, runs = problem.synth.spec, self._begin(problem, start)
        began, found, restarts = problem.left(), list(runs), 0
        for rung in range(self.halvings + 1):
            until = began * (1 - (rung + 1) / (self.halvings + 1))
            while problem.left() > until:
                self._step(problem, runs)
                for i, run in enumerate(runs):
                    if run.converged:
                        restarts += 1
                        runs[i] = self._run(spec, run.best, run.distance, self.seed + 1000 + restarts)
                        found.append(runs[i])
            runs = sorted(runs, key=lambda run: run.distance)[: max(1, len(runs) // 2)]
        refined = Solution(torch.stack([r.best for r in found]), torch.tensor([r.distance for r in found]))
        return start.join(refined).best(problem.keep)

    def _begin(self, problem: Problem, start: Solution) -> list[Run]:
        if len(start.params) == 0:
            generator = torch.Generator().manual_seed(self.seed)
            params = torch.rand(1, len(problem.synth.spec), generator=generator)
            start = Solution(params, torch.full((1,), float("inf")))
        chosen = start.best(self.runs)
        pairs = zip(chosen.params, chosen.distances.tolist(), strict=True)
        return [self._run(problem.synth.spec, p, d, self.seed + i) for i, (p, d) in enumerate(pairs)]

    def _run(self, spec: ParamSpec, params: Params, distance: float, seed: int) -> Run:
        mean, size, seed = params.double().numpy(), self.population, seed % SEEDS
        if (spec.steps > 0).any():
            return Run(Mixed(spec, mean, self.sigma, size, seed), params, distance)
        kind = cmaes.SepCMA if self.covariance == "diagonal" and len(mean) > 1 else cmaes.CMA
        bounds = np.tile([0.0, 1.0], (len(mean), 1))
        strategy = kind(mean, self.sigma, bounds=bounds, n_max_resampling=1, seed=seed, population_size=size)
        return Run(strategy, params, distance)

    @staticmethod
    def _step(problem: Problem, runs: list[Run]) -> None:
        asked = [run.ask() for run in runs]
        before, every = problem.renders, torch.cat(asked)
        distances = torch.nan_to_num(problem.evaluate(every), nan=torch.inf, posinf=torch.inf)
        whole = problem.renders - before == len(every)  # or the budget has ended
        for run, params, found in zip(runs, asked, distances.split([len(a) for a in asked]), strict=True):
            run.note(params, found)
            if whole and torch.isfinite(found).any():
                run.tell(found)
