"""Evaluation: every arm on every target, once; goes on where it stopped; the table is of the rows."""

import json

import pytest
import torch
from commands import is_one_sentence, run

from unsynth import audio, evaluate, scores
from unsynth.base import Budget, EngineError, Problem, Search, Solution, UsageError
from unsynth.benchmark.replay import Replay
from unsynth.search.baselines import Restarts
from unsynth.search.methods import Setting
from unsynth.search.objective import MatchDistance
from unsynth.synths import synth
from unsynth.targets import held_out, recordings

VOICE = synth("voice")
BUDGET = Budget(renders=40)
CONDITIONS = evaluate.Conditions(VOICE, BUDGET)
ARMS = ["oracle", "random", "retrieve"]


@pytest.fixture(scope="module")
def targets():
    return list(held_out(VOICE, 2, start=100_000))


def test_rows_resume_and_oracle_is_best(targets, tmp_path):
    out, seen = tmp_path / "deep" / "rows.jsonl", []
    evaluate.run(CONDITIONS, targets[:1], ARMS, out)
    rows = evaluate.run(CONDITIONS, targets, ARMS, out, seen.append)
    assert len(rows) == 6
    assert {row.target for row in seen} == {targets[1].name}
    by_arm = {arm: sum(r.metrics["MSS"] for r in rows if r.arm == arm) for arm in ARMS}
    assert by_arm["oracle"] < by_arm["retrieve"] < by_arm["random"]
    assert all(row.renders <= 40 for row in rows)
    header = json.loads(out.read_text().splitlines()[0])
    assert header["budget"] == {"seconds": None, "renders": 40}


def test_test_and_validation_sounds_and_recordings_are_not_mixed(targets, tmp_path):
    out = tmp_path / "rows.jsonl"
    evaluate.run(evaluate.Conditions(VOICE, BUDGET, split="validation"), targets[:1], ["mean"], out)
    for what, options in (("split", {"split": "test"}), ("sounds", {"sounds": "drums", "split": "validation"})):
        with pytest.raises(UsageError, match=f"another {what}"):
            evaluate.run(evaluate.Conditions(VOICE, BUDGET, **options), targets[:1], ["mean"], out)
    with pytest.raises(UsageError, match="another synth"):
        evaluate.run(evaluate.Conditions(synth("drum"), BUDGET, split="validation"), targets[:1], ["mean"], out)


@pytest.mark.parametrize("what", ["budget", "seed", "distance"])
def test_results_made_in_another_way_are_neither_mixed_nor_lost(targets, tmp_path, monkeypatch, what):
    out = tmp_path / "rows.jsonl"
    evaluate.run(CONDITIONS, targets[:1], ["random"], out)
    before = out.read_bytes()
    if what == "distance":
        monkeypatch.setattr(evaluate.MatchDistance, "measures", "something else")
    budget, seed = Budget(renders=20) if what == "budget" else BUDGET, int(what == "seed")
    with pytest.raises(UsageError, match=f"another {what}; name another file"):
        evaluate.run(evaluate.Conditions(VOICE, budget, seed), targets[:1], ["random"], out)
    assert out.read_bytes() == before


def test_an_index_that_came_or_went_meanwhile_makes_other_results(targets, tmp_path, monkeypatch):
    out, learned = tmp_path / "rows.jsonl", {"voice": "a"}
    monkeypatch.setattr(evaluate, "_learned", lambda synth, arms, presets: {**learned, **dict.fromkeys(arms[1:], "b")})
    evaluate.run(CONDITIONS, targets[:1], ["mean"], out)
    evaluate.run(CONDITIONS, targets[:1], ["mean", "random"], out)  # another arm, with a model of its own
    evaluate.run(CONDITIONS, targets[:1], ["mean"], out)
    for now in ({}, {"voice": "a", "voice-space": "c"}, {"voice": "d"}):
        learned = now
        with pytest.raises(UsageError, match="another voice"):
            evaluate.run(CONDITIONS, targets[:1], ["mean"], out)


def test_recordings_take_their_family_from_the_folder(tmp_path):
    (tmp_path / "kick").mkdir()
    tone = torch.sin(torch.arange(4410) * 0.05) * torch.linspace(1, 0, 4410)
    audio.write(tmp_path / "kick" / "one.wav", tone, 44100)
    (target,) = recordings(VOICE, tmp_path, 5)
    assert (target.name, target.family, target.sound.shape) == ("one", "kick", (1, 176400))


def test_recordings_of_one_name_are_two_targets_and_what_is_no_sound_is_told(tmp_path):
    tone = torch.sin(torch.arange(4410) * 0.05) * torch.linspace(1, 0, 4410)
    for kit in ("a", "b"):
        (tmp_path / kit / "kicks").mkdir(parents=True)
        audio.write(tmp_path / kit / "kicks" / "01.wav", tone, 44100)
    (tmp_path / "a" / "kicks" / "02.wav").write_bytes(b"nothing")
    told, out = [], tmp_path / "rows.jsonl"
    found = list(recordings(VOICE, tmp_path, 9, told.append))
    assert [target.name for target in found] == ["a/kicks/01.wav", "b/kicks/01.wav"]
    assert len(told) == 1
    assert "02.wav is damaged" in told[0]
    rows = evaluate.run(evaluate.Conditions(VOICE, BUDGET, sounds=str(tmp_path)), found, ["mean", "mean"], out)
    assert len(rows) == 2
    played = Replay(VOICE, str(tmp_path))
    assert all(torch.equal(played.target(row), one.sound) for row, one in zip(rows, found, strict=True))


def test_results_of_a_model_that_was_trained_again_are_not_mixed(targets, tmp_path, monkeypatch):
    out, model = tmp_path / "rows.jsonl", tmp_path / "model.safetensors"
    model.write_bytes(b"one")
    monkeypatch.setattr(evaluate, "solve", lambda setting, target, arm, budget: _row(arm, target))
    evaluate.run(CONDITIONS, targets[:1], [str(model), "random"], out)
    assert "voice-space" in json.loads(out.read_text().splitlines()[0])["learned"]
    evaluate.run(CONDITIONS, targets[:1], [str(model)], out)
    model.write_bytes(b"two")
    with pytest.raises(UsageError, match=rf"another {model}; name another file"):
        evaluate.run(CONDITIONS, targets, [str(model)], out)
    assert len(evaluate.run(CONDITIONS, targets, ["random"], out)) == 3  # for which that model is nothing


def _row(arm, target):
    return scores.Row(arm, target.name, target.family, dict.fromkeys(scores.METRICS, 1.0), 1.0, 1)


def test_the_best_so_far_counts_where_an_engine_fails_for_good(targets, tmp_path, monkeypatch):
    class Failing(Search):
        def __call__(self, problem, start):
            problem.evaluate(torch.full((1, 78), 0.5))
            raise EngineError("The licence ran out.")

    monkeypatch.setitem(evaluate.ARMS, "failing", lambda setting: Failing())
    (row,) = evaluate.run(CONDITIONS, targets[:1], ["failing"], tmp_path / "rows.jsonl")
    assert (row.renders, row.params) == (1, [0.5] * 78)


@pytest.mark.parametrize("option", ["targets", "start", "seed"])
def test_numbers_below_zero_are_one_sentence(capsys, option):
    code, out, err = run(capsys, "evaluate", f"--{option}=-1")
    assert (code, out) == (2, "")
    assert is_one_sentence(err)
    assert option in err


def test_table_has_a_line_for_each_arm_in_order():
    rows = [
        scores.Row(arm, f"t{i}", "f", {"MSS": mss + i, "wMFCC": 1, "SOT": 0.1, "RMS": 0.9}, 1.0, 10)
        for arm, mss in (("worse", 5.0), ("better", 2.0))
        for i in range(3)
    ]
    lines = scores.table(rows).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["better", "worse"]
    assert "| 3 | 3.00 (" in lines[2]


def test_interval_holds_the_mean():
    values = torch.randn(200, generator=torch.Generator().manual_seed(0)).tolist()
    low, high = scores.interval(values)
    assert low < sum(values) / len(values) < high
    assert high - low < 0.5


def test_an_unknown_arm_is_refused_before_any_work(targets, tmp_path):
    with pytest.raises(UsageError, match="choose one of: oracle"):
        evaluate.run(CONDITIONS, targets[:1], ["oracle", "magic"], tmp_path / "x.jsonl")
    assert not list(tmp_path.iterdir())


def test_rows_keep_the_patch_and_old_files_load_without(targets, tmp_path):
    out = tmp_path / "rows.jsonl"
    evaluate.run(CONDITIONS, targets[:1], ["oracle", "mean"], out)
    _, (oracle, mean) = scores.load(out)
    assert torch.equal(torch.tensor([oracle.params]), targets[0].params)
    assert oracle.noise == targets[0].noise + 1
    assert (mean.params, mean.noise, mean.renders) == ([0.5] * len(VOICE.spec), 0, 1)
    old = [
        {k: v for k, v in json.loads(line).items() if k not in ("params", "noise", "spec", "sounds")}
        for line in out.open()
    ]
    out.write_text("".join(json.dumps(line) + "\n" for line in old))
    assert [row.params for row in scores.load(out)[1]] == [None, None]
    assert len(evaluate.run(CONDITIONS, targets[:1], ["oracle", "mean"], out)) == 2


def test_gradient_from_scratch_starts_again_until_the_budget_is_spent(targets):
    row = evaluate.solve(Setting(VOICE), targets[0], "gradient-scratch", Budget(renders=6))
    assert row.renders == 6
    problem = Problem(VOICE, targets[0].sound, MatchDistance(targets[0].sound), Budget(renders=12))
    seen = []
    search = Restarts(Once(seen), seed=3)
    found = search(problem, Solution.nothing(len(VOICE.spec)))
    assert problem.renders == 12
    assert len(seen) == 3
    assert not torch.equal(seen[0], seen[1])
    assert found.best(1).distances.item() == min(found.distances).item() == problem.elite.distances[0].item()


class Once(Search):
    """Notes what it is started from, and leaves it at that."""

    def __init__(self, seen):
        self.seen = seen

    def __call__(self, problem, start):
        self.seen.append(start.params)
        return start


def test_one_name_in_two_folders_is_two_targets(tmp_path):
    tone = torch.sin(torch.arange(4410) * 0.05) * torch.linspace(1, 0, 4410)
    for family in ("kick", "snare"):
        (tmp_path / family).mkdir()
        audio.write(tmp_path / family / "one.wav", tone, 44100)
    found = list(recordings(VOICE, tmp_path, 5))
    assert (
        len(
            evaluate.run(
                evaluate.Conditions(VOICE, BUDGET, sounds=str(tmp_path)), found, ["mean"], tmp_path / "rows.jsonl"
            )
        )
        == 2
    )
    assert scores.load(tmp_path / "rows.jsonl")[0]["sounds"] == str(tmp_path)
