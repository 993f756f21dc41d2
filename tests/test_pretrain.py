"""``unsynth pretrain``: what it writes and says, Ctrl-C, and its mistakes."""

import os
import re
import signal
import sys

import pytest
import torch
import training
import yaml
from commands import ROOT, is_one_sentence, one_thread, run  # noqa: F401

from unsynth import checkpoint
from unsynth.commands.display import Display
from unsynth.recipe import build, rebuild


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "bell.yaml"
    path.write_text(yaml.safe_dump(training.packaged(training.options())))
    return path


def pretrain(capsys, recipe, out, *more):
    return run(capsys, "pretrain", recipe, "--out", out, "--device", "cpu", *more)


def test_it_trains_says_how_far_and_prints_the_model(capsys, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(Display.__init__, "__defaults__", (0.0,))
    code, out, err = pretrain(capsys, recipe, tmp_path / "run", "--set", "steps=40", "seed=3", "--set", "batch=8")
    assert (code, out) == (0, f"{tmp_path / 'run' / 'model.safetensors'}\n")
    assert re.search(r"run: 50%, step 20 of 40, [\d,]+ sounds/s, 0:00:\d\d left, loss \d", err)
    tensors, facts = checkpoint.load(tmp_path / "run" / "model.safetensors")
    assert {name: facts["recipe"][name] for name in ("steps", "seed", "batch")} == {"steps": 40, "seed": 3, "batch": 8}
    assert build(rebuild(facts)).encoder.dim == 16
    assert all(x.isfinite().all() for x in tensors.values())


def test_ctrl_c_saves_and_exits_130_and_the_same_command_goes_on(capsys, recipe, tmp_path, monkeypatch):
    calls = []

    def render(self, params, noise=None):
        calls.append(noise)
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(self, params, noise)

    plain = training.Chime.render
    monkeypatch.setattr(training.Chime, "render", render)
    code, _, err = pretrain(capsys, recipe, tmp_path / "run")
    assert code == 130
    assert is_one_sentence(err)
    assert 3 <= checkpoint.load(tmp_path / "run" / "state.safetensors")[1]["step"] <= 6
    assert pretrain(capsys, recipe, tmp_path / "run")[0] == 0
    assert checkpoint.load(tmp_path / "run" / "state.safetensors")[1]["step"] == 12
    code, _, err = pretrain(capsys, recipe, tmp_path / "run", "--set", "seed=5")
    assert code == 7
    assert "another recipe" in err


def test_mistakes_are_one_sentence(capsys, recipe, tmp_path):
    said = [
        ((), 2, "Name a recipe"),
        ((tmp_path / "gone.yaml",), 3, "no recipe"),
        ((recipe, "--set", "stepz=1"), 2, "stepz"),
        ((recipe, "--set", "steps"), 2, "steps is not a setting"),
        ((recipe, "--sets", "steps=1"), 2, "--sets"),
        ((recipe, "--device", "abacus"), 2, "abacus"),
        ((recipe, "--device", "cpu", "--devices", "3"), 2, "batch of 16"),
    ]
    for words, expected, text in said:
        code, out, err = run(capsys, "pretrain", *words, *(["--out", tmp_path / "run"] if words else []))
        assert (code, out) == (expected, "")
        assert is_one_sentence(err)
        assert text in err


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("batch=1", "more than 1"),
        ("batch=0", "batch"),
        ("clip=0", "clip"),
        ("clip=.nan", "clip"),
        ("ema=2", "ema"),
        ("augment=7", "augment"),
        ("untouched=-1", "untouched"),
        ("warmup=-1", "warmup"),
        ("first=-10", "first"),
        ("first=5000000000", "4,294,967,296"),
        ("seed=-1", "seed"),
        ("optimizer.lr=-1", "lr"),
        ("objective.init_args.audio.init_args.frontend.init_args.mels=0", "0 mel bands"),
        ("objective.init_args.audio.init_args.frontend.init_args.hop=0", "zero"),
        ("objective.init_args.audio.init_args.kernel=4", "must match"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_values_that_cannot_be_are_one_sentence(capsys, tmp_path, setting, told):
    code, out, err = pretrain(capsys, ROOT / "recipes" / "tiny-vicreg.yaml", tmp_path / "run", "--set", setting)
    assert (code, out) == (2, "")
    assert is_one_sentence(err)
    assert told in err
    assert not list(tmp_path.rglob("*.safetensors"))


def test_without_the_extra_it_says_what_to_install(capsys, recipe, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning.fabric", None)
    monkeypatch.delitem(sys.modules, "unsynth.train")
    code, _, err = run(capsys, "pretrain", recipe)
    assert code == 2
    assert is_one_sentence(err)
    assert "unsynth[train]" in err


def test_a_model_is_built_without_the_extra(recipe, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "lightning" or name == "unsynth.train"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lightning", None)
    torch.set_num_threads(1)
    assert build(training.parse(training.options())[0]).encoder.dim == 16
