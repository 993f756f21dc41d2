"""Several answers instead of one: patches that sound different from one another, each near the target."""

from __future__ import annotations

import torch

from unsynth.base import Audio, Problem, Search, Solution, Synth
from unsynth.search.genetic import Genetic
from unsynth.search.objective import SpectralDistance

CONSIDERED, FEWEST = 48, 8  # candidates that are played again, to choose from
DEAR = 4  # renders of a search for each of the fewest: one of few renders has dear ones
SHARE = 6  # a sixth of the renders that are left may go to the nearest, and as many to stragglers


def diverse(
    synth: Synth, found: Solution, k: int, *, apart: float = 2.0, considered: int = CONSIDERED
) -> tuple[Solution, Audio]:
    """The best candidate, then the nearest ones that sound different from all chosen before; and their sounds.

    Args:
        synth: what plays them.
        found: candidates to choose from.
        k: how many to choose at most.
        apart: least spectral distance (dB) between two of the chosen; where too few are that far apart, the farthest.
        considered: how many of the nearest are played, besides as many of the rest, at equal ranks.
    """
    pool = distinct(found, considered)
    sounds = synth.render(pool.params)
    chosen, gaps = [0], SpectralDistance(sounds[:1])(sounds)
    while len(chosen) < min(k, len(pool.params)):
        far = (gaps >= apart).nonzero()[:, 0]
        following = int(far[0]) if len(far) else int(gaps.argmax())
        if gaps[following] == 0:
            break
        chosen.append(following)
        gaps = torch.minimum(gaps, SpectralDistance(sounds[following : following + 1])(sounds))
    return Solution(pool.params[chosen], pool.distances[chosen]), sounds[chosen]


def considered(problem: Problem) -> int:
    """How many candidates :func:`diverse` may play again after a search: few beside its own renders."""
    return min(CONSIDERED, max(min(FEWEST, 1 + problem.renders // DEAR), problem.renders // 32))


def distinct(found: Solution, count: int) -> Solution:
    """The nearest of ``found``, and stragglers at equal ranks among the rest, without repeats, nearest first."""
    measured = torch.isfinite(found.distances)
    unique, inverse = torch.unique(found.params[measured], dim=0, return_inverse=True)
    distances = torch.full((len(unique),), float("inf")).scatter_reduce(0, inverse, found.distances[measured], "amin")
    ordered = Solution(unique, distances).best(len(unique))
    spread = torch.linspace(0, len(unique) - 1, min(count, len(unique))).round().long()
    rows = torch.cat([torch.arange(min(count, len(unique))), spread]).unique()
    return Solution(ordered.params[rows], ordered.distances[rows])


class Alternatives(Search):
    """Spends what is left of the budget on other starts than the one that won, so that there is something to choose.

    Args:
        count: how many others to improve.
        seed: seed of the searches.
    """

    def __init__(self, count: int = 3, seed: int = 0) -> None:
        self.count, self.seed = count, seed

    def __call__(self, problem: Problem, start: Solution) -> Solution:
        if problem.affords() < SHARE:
            return start
        pool = distinct(start, min(considered(problem), max(2, problem.affords() // SHARE)))
        problem.renders += len(pool.params)
        others, _ = diverse(problem.synth, pool, 1 + self.count, considered=len(pool.params))
        began, found = problem.left(), start
        for i in range(1, len(others.params)):
            until = began * (1 - i / (len(others.params) - 1))
            one = Solution(others.params[i : i + 1], others.distances[i : i + 1])
            improved = Genetic(until=until, seed=self.seed + i)(problem, one)
            found = found.join(improved.best(1))
        return found
