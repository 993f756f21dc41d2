"""Going on from a patch: with knobs held, as variations of it, and which knobs one hears."""

import pytest
import torch
from commands import EXAMPLE, is_one_sentence, one_thread, run  # noqa: F401
from toy import Toy

from unsynth import match
from unsynth.base import Budget, Problem, Solution, UsageError
from unsynth.presets import patch
from unsynth.search.genetic import Genetic
from unsynth.search.held import Held
from unsynth.search.influence import influence
from unsynth.search.methods import METHODS, method
from unsynth.search.objective import SpectralDistance
from unsynth.search.vary import Vary
from unsynth.sounds.ids import params_of
from unsynth.synths import synth

ROW = torch.tensor([0.3, 0.8, 0.5])
VOICE = synth("voice")
MADE_FOR_A_SYNTH = ("retrieve", "embedding", "flow", "regression", "presets")  # models and indexes of other parameters


def held_problem(renders, names=("frequency",)):
    target = Toy().render(torch.tensor([[0.3, 0.2, 0.5]]))
    return Problem(Held(Toy(), ROW, names), target, SpectralDistance(target), Budget(renders=renders))


def test_a_held_synth_sounds_as_the_synth_with_these_values():
    held = Held(Toy(), ROW, ["frequency"])
    assert held.spec.names == ("level", "unused")
    free = torch.tensor([[0.1, 0.9], [0.6, 0.2]])
    full = torch.tensor([[0.3, 0.1, 0.9], [0.3, 0.6, 0.2]])
    torch.testing.assert_close(held.full(free), full, rtol=0, atol=0)
    torch.testing.assert_close(held.render(free), Toy().render(full), rtol=0, atol=0)


def test_gradients_reach_the_free_parameters():
    free = torch.tensor([[0.4, 0.5]], requires_grad=True)
    Held(Toy(), ROW, ["frequency"]).render(free).square().sum().backward()
    assert free.grad[0, 0] > 0


@pytest.mark.parametrize("name", [name for name in METHODS if name not in MADE_FOR_A_SYNTH])
def test_searches_know_the_free_parameters_only(name):
    problem = held_problem(renders=64)
    found = method(name, problem.synth, 0)(problem, Solution(torch.empty(0, 2), torch.empty(0)))
    assert found.params.shape[1] == 2
    assert torch.isfinite(found.distances.min())


@pytest.mark.parametrize("name", MADE_FOR_A_SYNTH)
def test_models_and_indexes_of_all_parameters_are_not_used(name):
    with pytest.raises(UsageError, match=f"{name}' cannot hold parameters; choose one of: chain"):
        method(name, held_problem(renders=1).synth, 0)


def test_holding_everything_or_nothing_known_is_refused():
    with pytest.raises(UsageError, match="unlock at least one"):
        Held(Toy(), ROW, Toy.spec.names)
    with pytest.raises(UsageError, match="no parameter 'pitch'"):
        Held(Toy(), ROW, ["pitch"])


def test_a_match_goes_on_from_a_patch_and_keeps_what_is_held():
    start = torch.rand(1, len(VOICE.spec), generator=torch.Generator().manual_seed(0))
    names = [name for name in VOICE.spec.names if name.startswith("vco_1")]
    budget = Budget(renders=120)
    first = match(EXAMPLE, method=Vary(1), start=start, budget=Budget(renders=1), candidates=1).candidates[0]
    found = match(EXAMPLE, method=Genetic(), start=start, held=names, budget=budget).candidates
    columns = [VOICE.spec.index(name) for name in names]
    assert columns
    for candidate in found:
        assert torch.equal(candidate.params[columns], start[0, columns])
    assert found[0].distance < first.distance


def test_starts_that_make_no_sense_are_refused():
    with pytest.raises(UsageError, match="78 parameters from 0 to 1"):
        match(EXAMPLE, start=torch.zeros(1, 3))
    with pytest.raises(UsageError, match="78 parameters from 0 to 1"):
        match(EXAMPLE, start=torch.full((1, 78), float("nan")))
    with pytest.raises(UsageError, match="start from"):
        match(EXAMPLE, held=["vco_1.tuning"])


def test_the_command_line_goes_on_from_a_preset_and_holds_a_module(capsys, tmp_path):
    params = params_of(torch.tensor([7]), VOICE.spec)[0]
    start = tmp_path / "start.json"
    mine = patch.Patch("voice", VOICE.spec.hash, tuple(params.tolist()), 0, 0.0, 1.0, {}, 1.0, 1, 0, "0")
    start.write_text(patch.to_json(mine, VOICE.spec))
    words = (EXAMPLE, "--out", tmp_path / "out", "--renders", 40, "--start", start, "--hold", "vco_1, mixer.noise")
    code, _, err = run(capsys, "match", *words, "--json")
    assert code == 0, err
    found = patch.read(tmp_path / "out" / EXAMPLE.stem / "patch.json", lambda name: VOICE.spec)
    kept = [i for i, name in enumerate(VOICE.spec.names) if name.startswith("vco_1.") or name == "mixer.noise"]
    assert len(kept) > 3
    torch.testing.assert_close(torch.tensor(found.params)[kept], params[kept], rtol=0, atol=1e-6)
    assert 'resumed": true' in run(capsys, "match", *words, "--json")[1]
    other = run(capsys, "match", *words[:-1], "vco_1", "--json")[1]
    assert 'resumed": false' in other


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--hold", "vco_1"], "--start"),
        (["--start", "{start}", "--synth", "drum"], "has no patch of drum"),
        (["--start", "{start}", "--hold", "vco_9"], "no parameter 'vco_9'"),
        (["--start", "{start}", "--hold", "vco_1", "--method", "flow"], "cannot hold"),
        (["--start", "{missing}"], "no.json"),
    ],
)
def test_mistakes_about_what_to_hold_are_one_sentence(capsys, tmp_path, words, told):
    params = params_of(torch.tensor([7]), VOICE.spec)[0]
    start = tmp_path / "start.json"
    mine = patch.Patch("voice", VOICE.spec.hash, tuple(params.tolist()), 0, 0.0, 1.0, {}, 1.0, 1, 0, "0")
    start.write_text(patch.to_json(mine, VOICE.spec))
    named = [word.format(start=start, missing=tmp_path / "no.json") for word in words]
    code, out, err = run(capsys, "match", EXAMPLE, "--out", tmp_path / "out", "--renders", 2, *named)
    assert code in (2, 3)
    assert out == ""
    assert is_one_sentence(err)
    assert told in err


def test_variations_are_near_their_patch_and_differ():
    problem = held_problem(renders=1000, names=())
    start = Solution(ROW[None], problem.evaluate(ROW[None]))
    found = Vary(count=20, step=0.1)(problem, start)
    assert len(found.params.unique(dim=0)) == 21
    moved = (found.params - ROW).abs()
    assert moved.median(0).values.max() < 0.1
    assert (moved > 0).any(0).all()


def test_influence_tells_what_is_heard():
    heard = influence(Toy(), torch.tensor([0.3, 0.9, 0.5]))
    assert heard[0] > 1
    assert heard[2] == 0
    expected = SpectralDistance(Toy().render(ROW[None]))(Toy().render(ROW[None] + torch.tensor([[0.1, 0, 0]])))
    assert influence(Toy(), ROW)[0] == pytest.approx(float(expected))
