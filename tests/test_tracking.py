"""What trackers are told of a training; each is tested where it is installed."""

import json
import os
import sys

import pytest
from commands import ROOT, is_one_sentence, run

RECIPE = ROOT / "recipes" / "tiny-vicreg.yaml"


def pretrain(capsys, out, tracker, *more):
    return run(capsys, "pretrain", RECIPE, "--out", out, "--device", "cpu", "--track", tracker, *more)


def scalars(out):
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reading.EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    return {name: {one.step: one.value for one in events.Scalars(name)} for name in events.Tags()["scalars"]}


def test_tensorboard_has_the_log(capsys, tmp_path):
    pytest.importorskip("tensorboard")
    assert pretrain(capsys, tmp_path, "tensorboard", "--set", "steps=40", "--minutes", "0")[0] == 0  # goes on
    assert pretrain(capsys, tmp_path, "tensorboard", "--set", "steps=40")[0] == 0
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    found = scalars(tmp_path)
    for row in log:
        for name, value in row.items():
            if name not in ("step", "seconds") and value is not None:
                assert found[name][row["step"]] == pytest.approx(value, rel=1e-6)
    assert {row["step"] for row in log} == set(found["loss"]) == {20, 40}


def test_wandb_has_a_run(capsys, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    assert pretrain(capsys, tmp_path / "run", "wandb")[0] == 0
    assert list((tmp_path / "run").rglob("*.wandb"))


def test_trackio_has_a_run(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "TRACKIO_DIR", str(tmp_path / "trackio"))  # read when it is imported
    pytest.importorskip("trackio")
    assert pretrain(capsys, tmp_path / "run", "trackio")[0] == 0
    assert list((tmp_path / "trackio").rglob("unsynth*"))


@pytest.mark.parametrize("tracker", ["abacus", "wandb"])
def test_a_tracker_that_is_not_there_is_said_before_anything_is_made(capsys, tmp_path, monkeypatch, tracker):
    monkeypatch.setitem(sys.modules, "wandb", None)
    code, out, err = pretrain(capsys, tmp_path / "run", tracker)
    assert (code, out) == (2, "")
    assert is_one_sentence(err)
    assert tracker in err
    assert not (tmp_path / "run").exists()
