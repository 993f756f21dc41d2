"""Integers and choices in searches: a move changes the patch, a choice has no neighbours, CatCMA finds both."""

import pytest
import torch

from unsynth.base import Budget, Problem, Solution, Synth
from unsynth.params import Param, ParamSpec
from unsynth.search.evolve import Evolve
from unsynth.search.genetic import Genetic, mutate
from unsynth.search.mixed import Mixed

WAVES = ("sine", "saw", "square", "noise", "pulse")
SPEC = ParamSpec(
    "mixed",
    [
        Param("amp.level"),
        Param("amp.octave", -3, 3, kind="integer"),
        Param("amp.fine", 0, 99, kind="integer"),
        Param("osc.switch", 0, 1, kind="categorical", choices=("off", "on")),
        Param("osc.wave", 0, 4, kind="categorical", choices=WAVES),
        Param("osc.two", 0, 1, kind="integer"),
    ],
)
TRUTH = SPEC.to_unit(torch.tensor([[0.3, 2.0, 71.0, 1.0, 3.0, 0.0]]))


class Numbers(Synth):
    """Its sounds are its parameters; a choice is one number of many."""

    name, spec, rate, seconds, differentiable = "mixed", SPEC, 44100, 10 / 44100, False

    def render(self, params, noise=None):
        human = SPEC.to_human(params)
        choices = torch.nn.functional.one_hot(human[:, 4].long(), len(WAVES))
        return torch.cat([human[:, :4] / torch.tensor([1, 6, 99, 1]), human[:, 5:], choices], dim=1)


def patches(count, seed=0):
    return SPEC.snap(torch.rand(count, len(SPEC), generator=torch.Generator().manual_seed(seed)))


def problem(renders, **options):
    target = Numbers().render(TRUTH)
    return Problem(Numbers(), target, lambda sounds: (sounds - target).abs().sum(1), Budget(renders=renders), **options)


@pytest.mark.parametrize("step", [1e-4, 0.1, 3.0])
def test_every_mutation_changes_what_is_played(step):
    stepped = ParamSpec("stepped", list(SPEC.params[1:]))
    before = patches(2000)[:, 1:]
    after = mutate(before, stepped, 0.1, step, torch.Generator().manual_seed(1))
    changed = stepped.to_human(after) != stepped.to_human(before)
    assert changed.any(1).all()
    assert torch.equal(changed, after != before)
    assert torch.equal(stepped.snap(after), after)
    assert after.min() >= 0
    assert after.max() <= 1


def test_small_moves_of_an_integer_are_of_one_and_choices_are_drawn_among_the_others():
    before = patches(4000)
    human, after = (
        SPEC.to_human(before),
        SPEC.to_human(mutate(before, SPEC, 5.0, 1e-4, torch.Generator().manual_seed(1))),
    )
    assert (after - human)[:, 2].abs().max() == 1
    saw = (human[:, 4] == 1) & (after[:, 4] != 1)
    shares = torch.bincount(after[saw, 4].long(), minlength=5) / saw.sum()
    torch.testing.assert_close(shares, torch.tensor([0.25, 0, 0.25, 0.25, 0.25]), atol=0.07, rtol=0)


def test_the_genetic_search_renders_no_patch_twice():
    heard = []

    class Noted(Numbers):
        def render(self, params, noise=None):
            heard.extend(row.tobytes() for row in SPEC.to_human(params).numpy())
            return super().render(params)

    noted = problem(400)
    noted.synth = Noted()
    Genetic(seed=1)(noted, Solution.nothing(len(SPEC)))
    assert len(heard) == 400
    assert len(set(heard)) > 0.95 * len(heard)


@pytest.mark.parametrize("search", [Evolve(runs=1, sigma=0.25, seed=1), Genetic(seed=1)], ids=["evolve", "genetic"])
def test_integers_and_choices_are_found(search):
    found = search(problem(1000), Solution.nothing(len(SPEC))).best(1)
    human = SPEC.to_human(found.params)[0]
    assert human[[1, 3, 4, 5]].tolist() == [2, 1, 3, 0]
    assert human[0] == pytest.approx(0.3, abs=0.05)
    assert human[2] == pytest.approx(71, abs=5)


def test_a_strategy_begins_around_its_mean():
    strategy = Mixed(SPEC, TRUTH[0].double().numpy(), 0.02, 400, seed=0)
    rows = torch.stack([torch.from_numpy(strategy.ask()) for _ in range(400)]).float()
    assert rows.shape == (400, len(SPEC))
    assert torch.equal(SPEC.snap(rows), rows)
    same = (SPEC.to_human(rows) == SPEC.to_human(TRUTH)).float().mean(0)
    assert same[[1, 3, 4]].min() > 0.9  # octave, switch and wave
    assert rows[:, 0].mean() == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("kept", [[0, 1], [3, 4], [1], [0, 4]])
def test_any_kinds_may_be_missing(kept):
    spec = ParamSpec("part", [SPEC.params[i] for i in kept])
    strategy = Mixed(spec, TRUTH[0, kept].double().numpy(), 0.1, 8, seed=0)
    for _ in range(3):
        rows = [strategy.ask() for _ in range(8)]
        strategy.tell([(row, float(abs(row - TRUTH[0, kept].numpy()).sum())) for row in rows])
    assert not strategy.should_stop()
