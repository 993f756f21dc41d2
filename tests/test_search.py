"""Every search: obeys its budget, never loses its start, finds what a synth with a known inverse made."""

import time

import pytest
import torch
from toy import Toy

from unsynth import checkpoint
from unsynth.base import FEW, Budget, NotFoundError, PatchError, Problem, Solution, UsageError
from unsynth.search.chain import Chain
from unsynth.search.diverse import Alternatives, diverse
from unsynth.search.evolve import Evolve
from unsynth.search.genetic import Genetic, modules_of, mutate, reflect, survivors
from unsynth.search.gradient import Gradient
from unsynth.search.known import Known
from unsynth.search.library import Library
from unsynth.search.methods import METHODS, Setting, made, method
from unsynth.search.objective import SpectralDistance
from unsynth.search.sample import Sample
from unsynth.sounds.ids import held_out_ids, params_of
from unsynth.synths import synth

TRUTH = torch.tensor([[0.3, 0.8, 0.5]])
EMPTY = Solution(torch.empty(0, 3), torch.empty(0))
SEARCHES = {
    "sample": Sample(seed=1),
    "genetic": Genetic(seed=1),
    "evolve": Evolve(runs=3, sigma=0.2, seed=1),
    "full covariance": Evolve(runs=2, sigma=0.2, covariance="full", seed=1),
    "gradient": Gradient(steps=10),
    "chain": Chain(Sample(count=32, seed=1), Genetic(until=0.3, seed=1), Alternatives()),
}

every_search = pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES.keys())


def problem(renders=None, seconds=None, on_progress=None):
    target = Toy().render(TRUTH)
    return Problem(Toy(), target, SpectralDistance(target), Budget(seconds, renders), on_progress)


@every_search
def test_renders_are_counted_and_bounded(search):
    rendered = []

    class Counting(Toy):
        def render(self, params, noise=None):
            if not params.requires_grad:
                rendered.append(len(params))
            return super().render(params, noise)

    target = Toy().render(TRUTH)
    bounded = Problem(Counting(), target, SpectralDistance(target), Budget(renders=100))
    search(bounded, EMPTY)
    assert bounded.renders <= 100
    assert sum(rendered) == bounded.renders  # choosing alternatives, which plays some once more, counts too
    assert [r for _, r, _ in bounded.curve] == sorted(r for _, r, _ in bounded.curve)


@every_search
def test_seconds_are_obeyed(search):
    began = time.perf_counter()
    search(problem(seconds=0.3), EMPTY)
    assert time.perf_counter() - began < 2


@every_search
def test_never_worse_than_the_start(search):
    near = problem(renders=60)
    start = Solution(TRUTH.clone(), near.evaluate(TRUTH))
    assert float(search(near, start).best(1).distances) <= float(start.distances)


@every_search
def test_same_seed_same_result(search):
    first, second = (search(problem(renders=150), EMPTY).best(1) for _ in range(2))
    assert torch.equal(first.params, second.params)


@pytest.mark.parametrize("name", ["sample", "genetic", "evolve", "chain"])
def test_finds_the_known_inverse(name):
    found = SEARCHES[name](problem(renders=1500), EMPTY).best(1)
    hertz = Toy.spec.to_human(found.params)[0, 0]
    assert float(hertz) == pytest.approx(740, rel=0.02)


def test_gradient_polishes_a_near_start():
    near = problem(seconds=20)
    off = TRUTH + torch.tensor([[0.002, 0.0, 0.0]])
    start = Solution(off, near.evaluate(off))
    assert float(Gradient(steps=40, rate=0.002)(near, start).best(1).distances) < 0.6 * float(start.distances)


def test_gradient_needs_a_differentiable_synth():
    class Deaf(Toy):
        differentiable = False

    target = Toy().render(TRUTH)
    with pytest.raises(UsageError, match="evolve"):
        Gradient()(Problem(Deaf(), target, SpectralDistance(target), Budget(renders=10)), EMPTY)


def test_presets_alone_need_some_of_the_synth():
    with pytest.raises(NotFoundError, match="none of this toy; `unsynth index presets FOLDER`"):
        Known(Library({}), count=None)(problem(10), EMPTY)


@pytest.mark.parametrize("name", ["evolve", "genetic"])
def test_searches_from_scratch_begin_with_draws_of_a_prior(name):
    drawn = []

    def prior(count, generator):
        drawn.append(count)
        return TRUTH.expand(count, -1)

    found = made(name, Setting(Toy(), 0, prior))(problem(200), EMPTY).best(1)
    assert drawn == [64]
    assert float(found.distances) < 1e-3
    assert isinstance(made(name, Setting(Toy())), Evolve | Genetic)


def test_an_interrupted_problem_keeps_the_best():
    def stop(at):
        if at.renders >= 64:
            raise KeyboardInterrupt

    stopped = problem(renders=10_000, on_progress=stop)
    with pytest.raises(KeyboardInterrupt):
        Sample(seed=1)(stopped, EMPTY)
    assert float(stopped.elite.distances[0]) == stopped.curve[-1][2]
    assert torch.allclose(stopped.distance(Toy().render(stopped.elite.params[:1])), stopped.elite.distances[:1])


def test_diverse_candidates_sound_different():
    some = torch.rand(40, 3, generator=torch.Generator().manual_seed(0))
    measured = Solution(some, problem(seconds=9).evaluate(some))
    chosen, sounds = diverse(Toy(), measured, 4)
    assert torch.equal(sounds, Toy().render(chosen.params))
    assert len(chosen.params) == 4
    assert torch.equal(chosen.params[0], measured.best(1).params[0])
    sounds = Toy().render(chosen.params)
    for i in range(1, 4):
        assert float(SpectralDistance(sounds[i : i + 1])(sounds[:i]).min()) >= 1


def test_repeats_are_not_alternatives():
    same = Solution(TRUTH.expand(8, -1), torch.zeros(8))
    assert len(diverse(Toy(), same, 4)[0].params) == 1


def test_alternatives_play_few_sounds_again_beside_what_the_search_rendered(monkeypatch):
    played, render = [], Toy.render
    monkeypatch.setattr(Toy, "render", lambda toy, params: played.append(len(params)) or render(toy, params))
    short = problem(renders=40)
    Chain(Sample(count=32, seed=1), Alternatives())(short, EMPTY)
    assert sum(played) - 1 == short.renders == 40
    assert played[2] <= 4  # two of the eight that were left, and as many stragglers


def test_reflect_folds_into_the_unit_interval():
    folded = reflect(torch.tensor([-0.2, 0.0, 0.4, 1.0, 1.3, 2.1, -1.9]))
    torch.testing.assert_close(folded, torch.tensor([0.2, 0.0, 0.4, 1.0, 0.7, 0.1, 0.1]))


def test_mutations_stay_in_the_unit_interval_and_move_few():
    patches = torch.rand(200, 78, generator=torch.Generator().manual_seed(0)).round()  # on the edges
    mutants = mutate(patches, synth("voice").spec, 0.04, 0.5, torch.Generator().manual_seed(1))
    assert mutants.min() >= 0
    assert mutants.max() <= 1
    moved = (mutants != patches).sum(1)
    assert moved.min() >= 1
    assert 2 <= moved.median() <= 6


def test_crossover_takes_over_whole_modules():
    modules = modules_of(synth("voice").spec)
    lines = torch.stack([torch.zeros(78), torch.ones(78)])
    which = torch.arange(200) % 2
    crossed = Genetic(crossed=1.0)._cross(lines, which, modules, torch.Generator().manual_seed(0))
    changed = crossed != lines[which]
    counts = changed.any(1)
    assert 50 < counts.sum() < 150  # half of the children meet their own line
    for row in changed[counts]:
        assert len(modules[row].unique()) == 1
        assert torch.equal(row, modules == modules[row][0])


def test_a_line_competes_with_its_own_children_only():
    lines = Solution(torch.tensor([[0.0], [0.1], [0.2]]), torch.tensor([1.0, 5.0, 2.0]))
    children = Solution(torch.tensor([[0.3], [0.4], [0.5], [0.6]]), torch.tensor([2.0, 4.0, 3.0, 2.0]))
    after = survivors(lines, children, torch.tensor([0, 1, 1, 2]))
    torch.testing.assert_close(after.params, torch.tensor([[0.0], [0.5], [0.6]]))
    torch.testing.assert_close(after.distances, torch.tensor([1.0, 3.0, 2.0]))


def test_lines_are_halved_until_one_is_left():
    class Watched(Genetic):
        def _cross(self, lines, which, modules, generator):
            followed.append(len(lines))
            return super()._cross(lines, which, modules, generator)

    followed: list[int] = []
    watched, target = problem(renders=800), Sample(count=8, seed=1)
    Watched(lines=8, until=0.2)(watched, target(watched, EMPTY))
    assert [followed.count(k) for k in (8, 4, 2, 1)] == pytest.approx([20] * 4, abs=2)
    assert followed == sorted(followed, reverse=True)
    assert watched.left() == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf")])
def test_budgets_of_nothing_are_refused(bad):
    with pytest.raises(UsageError, match="above zero"):
        Budget(seconds=bad)


def test_unknown_method_is_refused():
    with pytest.raises(UsageError, match="chain"):
        method("magic", synth("voice"), 0)


@pytest.mark.parametrize(("name", "file"), [("regression", "voice-regression"), ("embedding", "voice-space")])
def test_a_model_of_ones_own_is_a_method(name, file):
    voice = synth("voice")
    target = voice.render(params_of(ids := held_out_ids(100_000, 1), voice.spec), ids)

    def found(called):
        problem = Problem(voice, target, SpectralDistance(target), Budget(renders=16))
        return method(called, voice, 0)(problem, Solution.nothing(len(voice.spec))).params

    assert torch.equal(found(str(checkpoint.SHIPPED / f"{file}.safetensors")), found(name))


def test_models_that_cannot_search_are_refused():
    with pytest.raises(NotFoundError, match="no checkpoint"):
        method("gone.safetensors", synth("voice"), 0)
    with pytest.raises(PatchError, match="another synth"):
        method(str(checkpoint.SHIPPED / "voice-flow.safetensors"), synth("drum"), 0)


def test_on_the_voice_the_chain_beats_its_parts():
    """A small version of the table in the README, on validation sounds."""
    voice, scores = synth("voice"), {}
    ids = held_out_ids(100_000, 3)
    for name in ("chain", "retrieve", "evolve", "random"):
        assert name in METHODS
        scores[name] = 0.0
        for target in voice.render(params_of(ids, voice.spec), ids).split(1):
            measured = Problem(voice, target, SpectralDistance(target), Budget(renders=600))
            empty = Solution(torch.empty(0, len(voice.spec)), torch.empty(0))
            scores[name] += float(method(name, voice, 0)(measured, empty).best(1).distances) / len(ids)
    assert scores["chain"] < 0.9 * min(scores[other] for other in ("retrieve", "evolve", "random"))


class Slow(Toy):
    def render(self, params, noise=None):
        time.sleep(0.02 * len(params))
        return super().render(params, noise)


def test_a_slow_engine_spends_little_more_than_its_seconds():
    target = Toy().render(TRUTH)
    problem = Problem(Slow(), target, SpectralDistance(target), Budget(seconds=0.2))
    distances = problem.evaluate(torch.rand(64, 3))
    assert problem.curve[0][1] == FEW  # before its price is known
    assert FEW <= problem.renders < 20  # 32, all of a chunk, take 0.64 s
    assert distances.isfinite().sum() == problem.renders
