"""CMA-ES where some parameters are integers or choices, with the interface of the other strategies of ``cmaes``.

Source: Hamano et al., "CatCMA with Margin: Stochastic Optimization for Continuous, Integer, and Categorical Variables",
https://arxiv.org/abs/2504.07884.
"""

from __future__ import annotations

import cmaes
import numpy as np
import numpy.typing as npt

from unsynth.params import ParamSpec

Row = npt.NDArray[np.float64]
Rows = list[tuple[Row, float]]


class Mixed:
    """CatCMA with margin over one patch, in the unit interval.

    Integers are the middles of their steps; choices have a probability each, and begin at ``mean``'s but for twice
    ``sigma`` of the draws.

    Args:
        spec: which parameters are which.
        mean: where to begin, ``(param,)``.
        sigma: initial step.
        population_size: candidates in a generation.
        seed: of the draws.
    """

    def __init__(self, spec: ParamSpec, mean: Row, sigma: float, population_size: int, seed: int) -> None:
        steps, chosen = spec.steps.double().numpy(), spec.categorical.numpy()
        self.columns = [np.flatnonzero(which) for which in (steps == 0, (steps > 0) & ~chosen, chosen)]
        continuous, integer, choice = self.columns
        self.population_size = population_size
        self.counts = np.round(1 / steps[choice]).astype(int)
        gaussian = mean[[*continuous, *integer]]
        self.strategy = cmaes.CatCMAwM(
            x_space=[(0.0, 1.0)] * len(continuous) or None,
            z_space=[_middles(round(1 / step)) for step in steps[integer]] or None,
            c_space=self.counts.tolist() or None,
            mean=gaussian,
            sigma=sigma,
            cov=np.eye(len(gaussian)),
            cat_param=self._begun(mean[choice], min(2 * sigma, 1 / 2)) if len(choice) else None,
            population_size=population_size,
            seed=seed,
        )
        self.asked: list[cmaes.CatCMAwM.Solution] = []

    def _begun(self, choices: Row, other: float) -> Row:
        """The probability of each choice."""
        numbers = np.arange(self.counts.max())
        known = np.minimum((choices * self.counts).astype(int), self.counts - 1)[:, None]
        others = np.where(numbers < self.counts[:, None], other / (self.counts - 1)[:, None], 0.0)
        return np.where(numbers == known, 1 - other, others)

    def ask(self) -> Row:
        """One candidate, ``(param,)``."""
        solution = self.strategy.ask()
        self.asked = [*self.asked, solution][-self.population_size :]
        row = np.empty(sum(len(columns) for columns in self.columns))
        continuous, integer, choice = self.columns
        if solution.x is not None:
            row[continuous] = solution.x
        if solution.z is not None:
            row[integer] = solution.z
        if solution.c is not None:
            row[choice] = (solution.c.argmax(1) + 0.5) / self.counts
        return row

    def tell(self, found: Rows) -> None:
        """The distances of the last generation, in the order in which its candidates were asked for."""
        self.strategy.tell([(solution, value) for solution, (_, value) in zip(self.asked, found, strict=True)])

    def should_stop(self) -> bool:
        """Whether it has converged, which choices alone never do."""
        gaussian = len(self.columns[0]) + len(self.columns[1])
        return gaussian > 0 and bool(self.strategy.should_stop())


def _middles(count: int) -> list[float]:
    return [(n + 0.5) / count for n in range(count)]
