"""The study: its recipes have losses, budgets are kept, rows resume and fill the table."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from commands import is_one_sentence, one_thread, run  # noqa: F401
from test_surge import nothing  # noqa: F401
from test_surge_rendered import shard

from unsynth import checkpoint, folders
from unsynth.base import UsageError
from unsynth.recipe import build, parse
from unsynth.sounds.live import Live
from unsynth.sounds.stream import Stream
from unsynth.space import JointSpace
from unsynth.study import compare as study
from unsynth.study.downstream import Measures, errors
from unsynth.study.table import page, table
from unsynth.synths import synth

RECIPES = Path(__file__).parent.parent / "recipes"
STUDY = {variant.name: variant for variant in study.variants([RECIPES / "study.yaml"])}
OPTIONS = ("--seeds", "0", "--targets", "1", "--among", "20", "--head-steps", "1", "--device", "cpu")


def tiny(base):
    """A shipped recipe, but as fast as it goes."""
    return {**yaml.safe_load((RECIPES / f"{base}.yaml").read_text()), "batch": 4, "precision": "32-true"}


@pytest.fixture
def recipes(tmp_path):
    for name in ("tiny-vicreg", "tiny-diffusion"):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(tiny(name)))
    return tmp_path


@pytest.mark.parametrize("name", STUDY)
def test_every_recipe_of_the_study_has_a_loss_with_gradients(name):
    torch.set_num_threads(1)
    recipe, _ = parse(STUDY[name].options, STUDY[name].settings)
    objective = build(recipe).train()
    batch = Stream(Live(synth(recipe.synth)), 4).at(0)
    for player, module in objective.players().items():
        objective.zero_grad()
        objective.loss(batch, player)["loss"].backward()
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        assert gradients
        assert all(g.isfinite().all() for g in gradients)


def test_what_starts_from_the_voice_and_from_scratch_differ_in_that_alone():
    variants = study.variants([RECIPES / "transfer.yaml"], settings=["batch=7"])
    recipes = {variant.name: parse(variant.options, variant.settings)[1]["recipe"] for variant in variants}
    for name in ("dexed", "drum", "vital", "surge"):
        one, other = recipes[f"{name}-from-the-voice"], recipes[f"{name}-from-scratch"]
        assert (one["synth"], one["batch"]) == (name, 7)
        assert other["objective"]["init_args"].pop("start") == ""
        assert one["objective"]["init_args"].pop("start") == "voice-space"
        assert one == other


def test_a_space_of_a_synth_without_an_engine_is_measured_by_recall(recipes, nothing):  # noqa: F811
    shard(recipes, "surge-000", 0, 30)
    options = {**tiny("tiny-vicreg"), "synth": "surge"}
    options["sounds"] = {"class_path": "unsynth.sounds.surge_rendered.SurgeRendered", "init_args": {"folder": recipes}}
    options = json.loads(json.dumps(options, default=str))
    measures = Measures(among=20, targets=1, head_steps=0, refined=0)
    plan = study.Plan(sounds=8, measures=measures)
    (row,) = study.run([study.Variant("surge", options)], [0], plan, recipes / "x.jsonl", recipes / "runs", "cpu")
    assert row.measured["mss"] == {}
    assert 0 < row.measured["errors"]["range"] < 0.6
    assert 0 < row.measured["errors"]["choices"] < 1
    assert row.measured["errors"]["semitones"] >= 0
    assert 0 <= row.measured["recall@10"] <= 1
    assert "MSS" not in row.line() + table([row])


def test_errors_of_parameters_are_those_of_what_is_heard():
    spec = synth("dexed").spec
    truth = spec.snap(torch.rand(4, len(spec), generator=torch.Generator().manual_seed(0)))
    assert errors(spec, truth, truth) == {"range": 0, "choices": 1, "semitones": 0}
    human = spec.to_human(truth)
    human[:, spec.index("note.pitch")] = 60
    lower, algorithm = human.clone(), spec.index("voice.algorithm")
    lower[:, spec.index("note.pitch")] = 57
    lower[:2, algorithm] = (human[:2, algorithm] + 1) % 32
    found = errors(spec, spec.to_unit(lower), spec.to_unit(human))
    assert found["semitones"] == pytest.approx(3)
    assert found["choices"] == pytest.approx(1 - 0.5 / int(spec.categorical.sum()))
    assert 0 < found["range"] < 0.01


def test_the_recipes_differ_and_there_are_few_files():
    assert len({variant.settings for variant in STUDY.values()}) == len(STUDY)
    one, other, plan = STUDY["dim-32"], STUDY["dim-64"], study.Plan(sounds=100)
    assert len({one.digest(plan), other.digest(plan), one.digest(study.Plan(sounds=101))}) == 3
    assert one.digest(plan) == one.digest(replace(plan, measures=Measures(targets=3)))
    assert len(list(RECIPES.iterdir())) <= 15


def test_steps_are_those_of_the_budget_that_ends_first():
    recipe, _ = parse(STUDY["contrastive"].options, ["batch=10"])

    def speed():
        return 100.0

    assert study.Plan(sounds=1000).steps(recipe, 0.5, lambda: pytest.fail("nothing to measure")) == 50
    assert study.Plan(minutes=1, filled=0.9).steps(recipe, 1.0, speed) == 540
    assert study.Plan(minutes=1, sounds=1000).steps(recipe, 1.0, speed) == 100
    for wrong in ({}, {"minutes": 0.0}, {"sounds": -1}):
        with pytest.raises(UsageError, match="budget"):
            study.Plan(**wrong)


def test_rows_are_measured_once_and_the_encoder_comes_from_the_training_before(capsys, recipes, monkeypatch):
    out, runs = recipes / "results" / "study.jsonl", recipes / "runs"
    command = ("study", recipes / "tiny-diffusion.yaml", "--sounds", "16", *OPTIONS)
    code, printed, _ = run(capsys, *command, "--out", out, "--runs", runs)
    assert code == 0
    (row,) = study.read(out)
    assert [(one["objective"], one["sounds"]) for one in row.trained] == [("Diffusion", 8), ("Joint", 8)]
    assert printed == f"{page([row])}\n"
    assert 0 <= row.measured["recall@1"] <= row.measured["recall@10"] <= 1
    assert row.measured["mss"].keys() == {"head_embedding", "head_params", "searched", "refined"}
    assert row.measured["mss"]["refined"] < row.measured["mss"]["head_params"]
    assert row.origin["command"]
    folder = next(runs.glob("tiny-diffusion-*")) / "seed-0"
    before, after = (checkpoint.load(path / "state.safetensors")[1] for path in (folder / "before", folder))
    assert after["recipe"]["objective"]["init_args"]["start"] == str(folder / "before" / "model.safetensors")
    assert before["recipe"]["steps"] == after["recipe"]["steps"] == 2

    monkeypatch.setattr(study, "train", lambda *_: pytest.fail("trained again"))
    twice = ["0,0" if word == "0" else word for word in command]
    assert run(capsys, *twice, "--out", out, "--runs", runs)[:2] == (0, printed)
    assert run(capsys, *command, "--out", out, "--runs", runs)[:2] == (0, printed)
    assert study.read(out) == [row]


def test_a_training_that_stopped_goes_on_with_its_steps(recipes, monkeypatch):
    variant = study.variants([recipes / "tiny-vicreg.yaml"])[0]
    plan = study.Plan(minutes=0.02, probed=1, measures=Measures())
    speeds = iter([100_000.0])
    monkeypatch.setattr(study, "speed", lambda *_: next(speeds))
    (first,) = study.train(variant, 0, plan, recipes / "run", "cpu", lambda *_: None)
    assert first["planned"] == pytest.approx(0.95 * 1.2 * 100_000 / 4, abs=1)
    assert 0 < first["steps"] < first["planned"]
    (again,) = study.train(variant, 0, plan, recipes / "run", "cpu", lambda *_: None)
    assert (again["planned"], again["steps"]) == (first["planned"], first["steps"])


def row(recipe, seed, recall, digest="d"):
    trained = [
        {"objective": "Joint", "sounds": 600, "seconds": 60.0, "sounds_per_second": 10.0, "steps": 6, "planned": 6}
    ]
    mss = {"head_embedding": 5.0, "head_params": 6.0, "searched": 4.0 + seed, "refined": 3.0}
    measured = {"recall@1": recall, "recall@10": 0.9, "mss": mss, "parameters": 1234, "encoder_parameters": 1000}
    plan = json.loads(json.dumps(study.asdict(study.Plan(sounds=600))))
    origin = {"version": "0", "processor": "P", "cores": 1, "torch": "2", "date": "today", "command": "unsynth study x"}
    return study.Row(recipe, seed, digest, plan, trained, measured, 99.0, origin)


def test_the_table_has_means_and_ranges_best_first():
    rows = [row("worse", 0, 0.1), row("better", 0, 0.5), row("better", 1, 0.7)]
    lines = table(rows).splitlines()
    assert lines[2].startswith("| better | Joint | 0, 1 | 0.600 (0.500–0.700) | 0.900 |")
    assert "| 4.50 (4.00–5.00) | 3.00 | 1,234 | 600 | 1.0 | 10 |" in lines[2]
    assert lines[3].startswith("| worse | Joint | 0 | 0.100 |")
    assert len({line.count("|") for line in lines}) == 1
    other = replace(rows[0], plan={**rows[0].plan, "sounds": None, "minutes": 5.0})
    assert [line for line in page([*rows, other]).splitlines() if line.startswith("##")] == [
        "## 600 sounds",
        "## 5 minutes",
    ]


def test_rows_of_two_machines_are_one_table_that_names_them():
    rows = [row("worse", 0, 0.1), row("better", 0, 0.5)]
    origin = {**rows[0].origin, "processor": "Q", "command": "unsynth study y"}
    elsewhere = replace(row("better", 1, 0.7), origin=origin)
    _, facts, heading, _, *lines = (line for line in page([*rows, elsewhere]).splitlines() if line)
    assert "P and Q" in facts
    assert "`unsynth study x`, `unsynth study y`" in facts
    assert heading.endswith("| processor |")
    assert lines[0].endswith("| P and Q |")
    assert lines[1].endswith("| P |")


def test_what_one_row_did_not_measure_is_a_dash():
    rows = [row("plain", 0, 0.1), row("better", 0, 0.5)]
    rows[1] = replace(rows[1], measured={**rows[1].measured, "errors": {"range": 0.2, "choices": 1, "semitones": 3}})
    assert "range" not in table(rows[:1])
    assert "errors of the nearest" in page(rows)
    heading, _, better, plain = (line.split(" | ") for line in table(rows).splitlines())
    where = heading.index("error, of the range")
    assert (better[where], plain[where]) == ("0.200", "–")


def test_mistakes_are_one_sentence(capsys, recipes):
    (recipes / "bad.yaml").write_text("variants: [1]\n")
    (recipes / "list.yaml").write_text("base: tiny-vicreg.yaml\nvariants: {a: [1, 2]}\n")
    (recipes / "out.yaml").write_text('base: tiny-vicreg.yaml\nvariants: {"../../evil": {steps: 3}}\n')
    (recipes / "b").mkdir()
    (recipes / "b" / "tiny-vicreg.yaml").write_text((recipes / "tiny-vicreg.yaml").read_text())
    said = [
        ((RECIPES / "study.yaml",), "--minutes or --sounds"),
        ((RECIPES / "study.yaml", "--sounds", "1", "--only", "vicrag"), "vicrag"),
        ((RECIPES / "study.yaml", "--sounds", "1", "--seeds", "a"), "seeds"),
        ((recipes / "bad.yaml", "--sounds", "1"), "not a study"),
        ((recipes / "list.yaml", "--sounds", "1"), "not a study"),
        ((recipes / "out.yaml", "--sounds", "1"), "../../evil"),
        ((recipes / "tiny-vicreg.yaml", recipes / "b" / "tiny-vicreg.yaml", "--sounds", "1"), "Two recipes"),
    ]
    for words, text in said:
        code, out, err = run(capsys, "study", *words, "--out", recipes / "x.jsonl", "--runs", recipes / "runs")
        assert (code, out) == (2, "")
        assert is_one_sentence(err)
        assert text in err


def test_an_exported_model_is_half_as_large_and_makes_the_same_points(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv(folders.OWN, str(tmp_path / "data"))
    recipe, facts = parse(tiny("tiny-vicreg"))
    checkpoint.save(tmp_path / "run" / "model.safetensors", build(recipe).state_dict(), facts)
    code, out, _ = run(capsys, "export-model", tmp_path / "run")
    own = tmp_path / "data" / "voice-space.safetensors"
    assert (code, out) == (0, f"{own}\n")
    model = tmp_path / "run" / "model.safetensors"
    assert own.stat().st_size < 0.75 * model.stat().st_size  # the recipe and what is kept as it was are in it too
    params = torch.rand(8, len(synth("voice").spec), generator=torch.Generator().manual_seed(0))
    full, half = (JointSpace(path, synth("voice")).patches(params) for path in (model, own))
    torch.testing.assert_close(half, full, rtol=0.01, atol=0.01 * float(full.std()))
