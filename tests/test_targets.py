"""Held-out presets as targets: what is held out is matched, and no search ever knows it."""

import json
from pathlib import Path

import pytest
import torch
from voices import BELL, BRASS, ORGAN

from unsynth import evaluate, scores
from unsynth.base import Budget, NotFoundError, Problem, Solution, UsageError
from unsynth.benchmark.replay import replay
from unsynth.commands.evaluate import evaluate_methods
from unsynth.presets import syx
from unsynth.search.collect import Collector
from unsynth.search.library import own
from unsynth.search.notes import Notes
from unsynth.search.objective import MatchDistance
from unsynth.sounds import banks
from unsynth.synths import synth
from unsynth.synths.dexed import SPEC
from unsynth.targets import Presets

pytest.importorskip("dexed", reason="needs dexed-py: pip install 'unsynth[dexed]'")
DEXED = synth("dexed")
NOTE = [0, 1, 2]  # its columns
BUDGET = Budget(renders=80)
ARMS = ["oracle", "chain", "presets", "evolve", "genetic", "refine", "random", "gradient-scratch"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three banks, of which each is a split."""
    folder = tmp_path_factory.mktemp("banks")
    for seed in range(3):
        chance = torch.rand(4, len(SPEC), generator=torch.Generator().manual_seed(seed))
        loud = [SPEC.index(f"operator_{n}.output_level") for n in range(1, 7)]
        chance[:, loud] = 1.0
        (folder / f"{seed}.dx7").write_bytes(b"".join(v.packed for v in syx.from_params(chance, [""] * 4)))
    return folder


@pytest.fixture(scope="module")
def presets(folder):
    return Presets(DEXED, folder, "test")


@pytest.fixture
def own_data(tmp_path, monkeypatch, folder):
    """A user whose own banks and index hold everything, the held-out presets too."""
    monkeypatch.setenv("UNSYNTH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("unsynth.presets.dexed.DEBIAN", Path(folder))
    Collector(own(), "dexed")([folder], lambda done, files: None, print)


def voices_of(params):
    return {tuple(row) for row in SPEC.to_human(params)[:, len(NOTE) :].tolist()}


def test_targets_are_the_held_out_presets_with_other_notes(presets, folder):
    found = list(presets.targets(100))
    held_out = banks.read(folder, SPEC).patches["test"]
    assert voices_of(torch.cat([t.params for t in found])) <= voices_of(held_out)
    assert len(found) >= 3
    assert len({tuple(t.params[0, NOTE].tolist()) for t in found}) == len(found)
    again, other = (list(Presets(DEXED, folder, "test", seed).targets(100)) for seed in (0, 1))
    assert all(torch.equal(a.sound, b.sound) for a, b in zip(again, found, strict=True))
    assert not torch.equal(other[0].sound, found[0].sound)


def test_no_search_plays_a_held_out_preset(presets, folder, own_data, tmp_path, monkeypatch):
    played, patches = [], banks.read(folder, SPEC).patches
    evaluated = Problem.evaluate

    def watched(problem, params):
        played.append(params)
        return evaluated(problem, params)

    monkeypatch.setattr(Problem, "evaluate", watched)
    arms = [arm for arm in ARMS if arm not in ("oracle", "gradient-scratch")]
    evaluate.run(
        evaluate.Conditions(DEXED, BUDGET, presets=presets), list(presets.targets(1)), arms, tmp_path / "rows.jsonl"
    )
    heard = voices_of(torch.cat(played))
    assert heard & voices_of(patches["train"])  # or the test sees nothing
    assert not heard & (voices_of(patches["test"]) | voices_of(patches["validation"]))
    evaluate.run(evaluate.Conditions(DEXED, BUDGET), list(presets.targets(1)), ["chain"], tmp_path / "known.jsonl")
    assert voices_of(torch.cat(played)) & voices_of(patches["test"])  # the user's own presets, without the rule


def test_a_preset_is_played_at_the_note_of_the_target():
    voices = syx.to_params([BELL, ORGAN, BRASS], note=60, velocity=100, seconds=1.0)
    target = DEXED.render(syx.to_params([BRASS], note=67, velocity=60, seconds=0.3))
    problem = Problem(DEXED, target, MatchDistance(target), Budget(renders=200))
    found = Notes()(problem, Solution(voices, problem.evaluate(voices))).best(1)
    assert SPEC.to_human(found.params)[0, NOTE].tolist() == pytest.approx([67, 60, 0.3], abs=1e-3)
    assert float(found.distances) < 0.1
    little = Problem(DEXED, target, MatchDistance(target), Budget(renders=40))
    Notes()(little, Solution(voices, little.evaluate(voices)))
    assert 20 <= little.left() * 40 < 37  # half of it is left to what comes after
    empty = Solution.nothing(len(SPEC))
    assert len(Notes()(problem, empty).params) == 0


def test_rows_tell_the_algorithm_and_can_do_without_patches(presets, tmp_path):
    out = tmp_path / "rows.jsonl"
    target = next(presets.targets(1))
    kept = evaluate.run(evaluate.Conditions(DEXED, BUDGET, presets=presets, patches=False), [target], ["oracle"], out)
    assert (kept[0].algorithm, kept[0].params, kept[0].metrics["MSS"]) == (True, None, 0)
    cells = scores.cells(kept)
    assert [cells[0][-1], cells[1][-1]] == ["algorithm", "100 %"]
    header = json.loads(out.read_text().splitlines()[0])
    assert header["presets"] == presets.facts


def test_results_of_other_presets_are_not_mixed(presets, folder, tmp_path):
    out = tmp_path / "rows.jsonl"
    evaluate.run(evaluate.Conditions(DEXED, BUDGET, presets=presets), list(presets.targets(1)), ["oracle"], out)
    other = Presets(DEXED, folder, "validation")
    with pytest.raises(UsageError, match="another presets; name another file"):
        evaluate.run(evaluate.Conditions(DEXED, BUDGET, presets=other), list(other.targets(1)), ["oracle"], out)


def test_a_report_finds_the_targets_again(presets, folder, tmp_path):
    out = tmp_path / "rows.jsonl"
    target = next(presets.targets(1))
    header, rows = {}, evaluate.run(evaluate.Conditions(DEXED, BUDGET, presets=presets), [target], ["oracle"], out)
    header, rows = scores.load(out)
    assert torch.equal(replay(header, rows, DEXED).target(rows[0]), target.sound)
    moved = tmp_path / "fewer"
    moved.mkdir()
    for path in sorted(folder.iterdir()):
        (moved / path.name).write_bytes(path.read_bytes() * 2)
    with pytest.raises(NotFoundError, match="no longer holds"):
        replay(header, rows, DEXED, str(moved)).target(rows[0])


@pytest.mark.parametrize(("name", "split", "match"), [("voice", "test", "no banks"), ("dexed", "train", "held-out")])
def test_mistakes_are_told(folder, name, split, match):
    with pytest.raises(UsageError, match=match):
        Presets(synth(name), folder, split)


def test_sounds_and_presets_are_not_mixed(tmp_path):
    with pytest.raises(UsageError, match="either --sounds or --presets"):
        evaluate_methods(sounds="a", presets="b", out=str(tmp_path / "rows.jsonl"))


def test_the_command_matches_held_out_presets(folder, tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    options = {"presets": str(folder), "split": "validation", "targets": 1, "renders": 1, "private": True}
    evaluate_methods(synth="dexed", arms="oracle,random", out=str(out), **options)
    rows = scores.load(out)[1]
    assert [(row.arm, row.family, row.params) for row in rows] == [
        (a, "validation", None) for a in ("oracle", "random")
    ]
    assert "algorithm" in capsys.readouterr().out
