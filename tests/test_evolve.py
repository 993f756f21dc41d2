"""Evolution strategies: generations of which some patches are lost, one parameter, and any seed."""

import pytest
import torch
from toy import Toy

from unsynth.base import Budget, Problem, Solution
from unsynth.params import Param, ParamSpec
from unsynth.search.evolve import Evolve
from unsynth.search.objective import SpectralDistance

TRUTH = torch.tensor([[0.3, 0.8, 0.5]])
EMPTY = Solution(torch.empty(0, 3), torch.empty(0))


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_an_evolution_learns_from_generations_of_which_some_patches_are_lost(covariance):
    target, told = Toy().render(TRUTH), []

    def lossy(audio):
        found = SpectralDistance(target)(audio)
        return found.masked_fill(torch.arange(len(found)) % 5 == 0, torch.inf)

    class Watched(Evolve):
        def _run(self, *args):
            run = super()._run(*args)
            tell = run.strategy.tell
            run.strategy.tell = lambda rows: told.append(rows) or tell(rows)
            return run

    search = Watched(runs=1, sigma=0.2, seed=1, halvings=0, covariance=covariance)
    found = search(Problem(Toy(), target, lossy, Budget(renders=400)), EMPTY).best(1)
    assert len(told) == 25
    assert all(max(value for _, value in rows) < 1e3 for rows in told)
    assert float(found.distances) < 1


def test_one_parameter_can_evolve_and_any_seed_will_do():
    class One(Toy):
        spec = ParamSpec("one", [Param("tone.frequency", 200, 2000, "Hz")])

        def render(self, params, noise=None):
            return super().render(torch.cat([params, TRUTH[:, 1:].expand(len(params), -1)], 1))

    target = One().render(TRUTH[:, :1])
    one = Problem(One(), target, SpectralDistance(target), Budget(renders=200))
    found = Evolve(runs=1, sigma=0.2, seed=2**62 + 2**32 - 1)(one, Solution.nothing(1)).best(1)
    assert float(found.params) == pytest.approx(0.3, abs=0.02)
