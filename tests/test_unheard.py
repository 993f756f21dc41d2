"""A synth that nothing here plays: its patches are guessed, and all that is written says that they were not heard."""

import csv
import json
from pathlib import Path

import pytest
import torch
import yaml
from commands import EXAMPLE, is_one_sentence, one_thread, run  # noqa: F401
from test_report import Page
from test_surge import nothing  # noqa: F401

from unsynth import checkpoint, folders, match
from unsynth.presets import fxp
from unsynth.presets.patch import UNHEARD, from_json
from unsynth.recipe import build, parse
from unsynth.synths import surge, synth

RECIPE = Path(__file__).parent.parent / "recipes" / "tiny-fusion.yaml"
COMMAND = ("match", EXAMPLE, "--synth", "surge", "--candidates", "3", "--json")


@pytest.fixture
def guesser(nothing, tmp_path, monkeypatch):  # noqa: F811
    """An untrained regression of Surge among the user's own models, and a folder for results."""
    monkeypatch.setenv(folders.OWN, str(tmp_path / "data"))
    monkeypatch.setattr(checkpoint, "SHIPPED", tmp_path / "none")
    mel = {"class_path": "unsynth.frontends.mel.LogMel", "init_args": {"n_fft": 1024, "hop": 882, "mels": 8}}
    encoder = {
        "class_path": "unsynth.encoders.temporal.Temporal",
        "init_args": {"frontend": mel, "dim": 8, "widths": [8]},
    }
    objective = {"encoder": encoder, "width": 8, "blocks": 1}
    options = {
        "synth": "surge",
        "objective": {"class_path": "unsynth.estimators.regression.Regression", "init_args": objective},
        "optimizer": yaml.safe_load(RECIPE.read_text())["optimizer"],
    }
    recipe, facts = parse(options)
    checkpoint.save(checkpoint.own("surge-regression"), build(recipe).state_dict(), facts)
    return tmp_path / "out"


def test_patches_presets_and_the_note_are_written_and_no_sound(capsys, guesser):
    code, out, err = run(capsys, *COMMAND, "--out", guesser)
    told, folder = json.loads(out), guesser / EXAMPLE.stem
    assert code == 0
    assert (told["distance"], told["metrics"], told["renders"], told["candidates"]) == (None, {}, 0, 3)
    assert told["unheard"].startswith("The synth surge has no engine here; build surgepy with")
    assert "3 patches guessed, none of them rendered or scored" in err
    assert "build surgepy" in err
    names = {path.name for path in folder.iterdir()}
    assert {"match.fxp", "match.mid", "patch.json", "candidate-3.fxp", "candidate-3.json", "preview.png"} <= names
    assert not any(name.endswith(".wav") for name in names)
    patch = from_json((folder / "patch.json").read_text(), lambda name: synth(name).spec)
    assert (patch.distance, patch.metrics) == (UNHEARD, {})
    raw = surge.to_raw(torch.tensor([patch.params]))
    written = surge.to_raw(fxp.to_params(fxp.read(folder / "match.fxp"))[None])
    torch.testing.assert_close(raw[:, :-3], written[:, :-3], atol=1e-4, rtol=1e-4)
    assert round(raw[0, -3].item()) in (folder / "match.mid").read_bytes()

    page = Page((folder / "report.html").read_text())
    assert len(page.all("audio")) == 1  # the target's
    assert "nothing was rendered" in page.text
    assert len({(folder / f"{stem}.json").read_text() for stem in ("patch", "candidate-2", "candidate-3")}) == 3

    again = json.loads(run(capsys, *COMMAND, "--out", guesser)[1])
    assert again["resumed"]


def test_a_result_that_was_not_heard_is_done_again_once_there_is_an_engine(capsys, guesser, monkeypatch):
    run(capsys, *COMMAND, "--out", guesser)
    asked = []
    monkeypatch.setattr(surge, "available", lambda: "surgepy")
    monkeypatch.setattr(surge, "played", lambda engine, samples, rows: asked.append(1) or torch.rand(1, 0))
    run(capsys, *COMMAND, "--out", guesser)
    assert asked


def test_several_sounds_are_in_the_index_and_the_table(capsys, guesser):
    other = EXAMPLE.parent / "bd_boom.flac"
    assert run(capsys, "match", other, *COMMAND[1:], "--out", guesser)[0] == 0
    assert len(Page((guesser / "index.html").read_text()).all("a")) >= 2
    rows = list(csv.DictReader((guesser / "summary.csv").read_text().splitlines()))
    assert [row["distance"] for row in rows] == ["", ""]


def test_without_an_estimator_or_with_a_method_that_renders_the_engine_is_asked_for(capsys, guesser):
    for method in ("genetic", "embedding", "flow"):
        code, out, err = run(capsys, *COMMAND, "--method", method, "--out", guesser)
        assert (code, out) == (2, "")
        assert is_one_sentence(err)
        assert "build surgepy" in err
    checkpoint.own("surge-regression").unlink()
    assert run(capsys, *COMMAND, "--out", guesser)[0] == 2


def test_the_same_from_python(guesser):
    found = match(EXAMPLE, synth="surge", candidates=2)
    assert found.unheard
    assert [len(candidate.audio) for candidate in found.candidates] == [0, 0]
    assert found.candidates[0].params.shape == (len(surge.SPEC),)
