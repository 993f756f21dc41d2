"""Recipes: the shipped ones train, misspelt ones say where, and those of checkpoints import nothing foreign."""

import copy
from dataclasses import fields
from pathlib import Path

import pytest
import torch
import training
from test_surge_rendered import shard
from torch import nn

from unsynth.errors import NotFoundError, PatchError, UsageError
from unsynth.recipe import Recipe, build, glorot, load, parse, read, rebuild, same
from unsynth.train import fit

FOLDER = Path(__file__).parent.parent / "recipes"
STUDIES = ("study", "transfer")  # test_study.py has these
RECIPES = sorted(path for path in FOLDER.glob("*.yaml") if path.stem not in STUDIES)
SMALL = FOLDER / "voice-small.yaml"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_makes_two_steps(path, tmp_path):
    torch.set_num_threads(1)
    if path.stem == "dexed-small":
        pytest.importorskip("dexed", reason="needs dexed-py: pip install 'unsynth[dexed]'")
    if path.stem == "surge-small":
        shard(tmp_path, "surge-000", 0, 20)
        more = [f"sounds.folder={tmp_path}"]
    else:
        more = []
    recipe, facts = read(path, ["steps=2", "batch=4", "warmup=1", "precision=32-true", "compiled=false", *more])
    fit(recipe, facts, tmp_path, device="cpu", log_steps=1)
    made_two_steps(tmp_path)


def test_the_recipe_of_dexed_serves_the_drum(tmp_path):
    torch.set_num_threads(1)
    settings = ["synth=drum", "steps=2", "batch=4", "warmup=1", "precision=32-true"]
    fit(*read(FOLDER / "dexed-small.yaml", settings), tmp_path, device="cpu", log_steps=1)
    made_two_steps(tmp_path)


def made_two_steps(tmp_path):
    assert [row["step"] for row in training.rows(tmp_path)] == [1, 2]
    for row in training.rows(tmp_path):
        told = [value for name, value in row.items() if name.rpartition("/")[2] == "loss"]  # one of each player
        assert told
        assert None not in told
        assert row["skipped"] == 0


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("stepz=3", "stepz"),
        ("steps=many", '"steps"'),
        ("steps", "steps is not a setting"),
        ("batch=0", "batch"),
        ("synth=moog", "'moog'"),
        ("sounds.priors=uniform", "'priors'"),
        ("schedule=linear", '"schedule"'),
        ("optimizer.lrate=1", "'lrate'"),
        ("optimizer.lr=-1", "learning rate: -1"),
        ("objective.criterion.dimm=3", "'dimm'"),
        ("objective.audio.widths=[a]", '"widths"'),
        ("objective.params.width=-4", "-4"),
        ("objective=os.system", "os.system"),
    ],
)
def test_an_option_that_is_wrong_is_named(setting, named):
    with pytest.raises(UsageError) as caught:  # noqa: PT012
        recipe, _ = read(SMALL, [setting])
        recipe.optimizer(build(recipe).parameters())
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [field.name for field in fields(Recipe)])
def test_an_option_that_is_left_empty_is_named(name):
    with pytest.raises(UsageError, match=rf"leaves {name} empty|required: {name};"):
        parse({**load(SMALL), name: None})


def test_a_long_name_is_not_said_whole():
    with pytest.raises(UsageError, match="no synth 'ffff") as error:
        parse({**load(SMALL), "synth": "f" * 5000})
    assert len(str(error.value)) < 300


def test_files_that_are_not_recipes(tmp_path):
    with pytest.raises(NotFoundError, match=r"no recipe at .*nowhere"):
        read(tmp_path / "nowhere")
    for content in (b"\xff\xfe\x00", b"a: [", b"- 1", b""):
        (tmp_path / "a.yaml").write_bytes(content)
        with pytest.raises(UsageError, match=r"a\.yaml"):
            read(tmp_path / "a.yaml")


def test_settings_reach_every_depth_and_the_facts():
    recipe, facts = read(SMALL, ["steps=7", "objective.criterion.dim=64", "optimizer.lr=1e-4"])
    assert (recipe.steps, facts["recipe"]["optimizer"]["init_args"]["lr"]) == (7, 1e-4)
    assert build(recipe).criterion.heads["audio"].out_features == 64


def test_a_class_in_the_place_of_another_has_its_own_defaults_and_what_was_said():
    settings = ["optimizer=unsynth.optimizers.LARS", "objective.audio=unsynth.encoders.transformer.Transformer"]
    options = read(SMALL, settings)[1]["recipe"]
    assert options["optimizer"]["init_args"]["weight_decay"] == 1e-6  # AdamW has 0.01
    assert options["optimizer"]["init_args"]["lr"] == 0.002  # as the recipe says
    assert options["objective"]["init_args"]["audio"]["init_args"]["depth"] == 4  # Temporal has 1
    assert read(SMALL)[1]["recipe"]["optimizer"]["init_args"]["weight_decay"] == 0.01


def test_the_seed_decides_all_weights():
    def weights(seed):
        torch.rand(seed)  # whatever was drawn before
        return nn.utils.parameters_to_vector(build(parse(training.options(seed=seed))[0]).parameters())

    first, again, other = weights(1), weights(1), weights(2)
    assert torch.equal(first, again)
    changed = (first != other).float().mean()
    assert changed > 0.9


def test_xavier_changes_the_weights_to_the_variance_of_glorot():
    plain, xavier = (build(parse(training.options(initialise=kind))[0]) for kind in ("torch", "xavier"))
    named = dict(xavier.named_modules())
    for name, module in plain.named_modules():
        if isinstance(module, nn.Linear | nn.Conv1d):
            assert not torch.equal(module.weight, named[name].weight)
            assert named[name].bias is None or not named[name].bias.any()
    for layer, into, out in ((nn.Linear(300, 500), 300, 500), (nn.Conv1d(64, 96, 5), 64 * 5, 96 * 5)):
        glorot(layer)
        assert layer.weight.var().item() == pytest.approx(2 / (into + out), rel=0.02)
    zero = nn.Linear(3, 3)
    nn.init.zeros_(zero.weight)
    glorot(zero)
    assert not zero.weight.any()


def test_recipes_are_the_same_whatever_a_new_version_added():
    ours = read(SMALL)[1]
    older = copy.deepcopy(ours)
    del older["recipe"]["cooldown"], older["recipe"]["objective"]["init_args"]["params"]["init_args"]["harmonics"]
    assert same(ours, older)
    assert not same(ours, read(SMALL, ["seed=1"])[1])
    assert not same(ours, {**ours, "spec": "another"})
    assert not same(ours, {})


def poisoned(path):
    facts = read(SMALL)[1]
    facts["recipe"]["objective"]["init_args"]["params"] = path
    return facts


@pytest.mark.parametrize(
    "path",
    [
        {"class_path": "training.Small"},
        {"class_path": "os.system"},
        {"class_path": "unsynth.checkpoint.os.system", "init_args": {}},
        {"class_path": "unsynth.__main__.main"},
        {"class_path": "unsynth.cli.main"},
        {"class_path": "unsynth.nothing.Here"},
        "os.system",
        "unsynth.checkpoint.os.system",
        {"class_path": ["os.system"]},
    ],
)
def test_a_checkpoint_that_asks_for_foreign_code_is_refused(path, monkeypatch):
    ours, facts = read(SMALL)[1], poisoned(path)
    monkeypatch.setattr("unsynth.recipe._parsed", lambda *_: pytest.fail("it was parsed"))
    with pytest.raises(PatchError, match="not part of unsynth"):
        rebuild(facts)
    assert not same(ours, facts)


def test_checkpoints_of_other_versions_are_refused():
    facts = read(SMALL)[1]
    assert rebuild(facts).steps == read(SMALL)[0].steps
    for wrong in ({}, {**facts, "spec": "another"}, {**facts, "recipe": {**facts["recipe"], "gone": 1}}):
        with pytest.raises(PatchError):
            rebuild(wrong)
