"""``unsynth evaluate --calibration``: a file, a well-formed page with nothing to fetch, and its mistakes."""

import json
import re
import sys

import pytest
import training
from commands import is_one_sentence, one_thread, run  # noqa: F401
from test_report import Page

from unsynth import checkpoint
from unsynth.benchmark.curves import coverage, histogram
from unsynth.recipe import build, parse

ENCODER = {
    "class_path": "unsynth.encoders.temporal.Temporal",
    "init_args": {
        "frontend": {"class_path": "unsynth.frontends.mel.LogMel", "init_args": {"n_fft": 512, "hop": 256, "mels": 16}},
        "dim": 8,
        "widths": [8],
    },
}
OBJECTIVES = {
    "Flow": {"class_path": "unsynth.estimators.flow.Flow", "init_args": {"width": 16, "depth": 1, "steps": 2}},
    "Regression": {"class_path": "unsynth.estimators.regression.Regression", "init_args": {"width": 16, "blocks": 1}},
    "Joint": {
        "class_path": "unsynth.objectives.joint.Joint",
        "init_args": {key: training.options()["objective"]["init_args"][key] for key in ("params", "criterion")},
    },
}
FEW = ["--synth", "chime", "--targets", "10", "--draws", "15"]


def untrained(path, kind="Flow"):
    """A checkpoint of a model for the chime."""
    part = "audio" if kind == "Joint" else "encoder"
    made = OBJECTIVES[kind]
    objective = {**made, "init_args": {**made["init_args"], part: ENCODER}}
    recipe, facts = parse({**training.options(), "objective": objective})
    checkpoint.save(path, build(recipe).state_dict(), facts)
    return path


def calibrated(capsys, *words):
    return run(capsys, "evaluate", "--calibration", *words)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("model") / "model.safetensors")


def test_it_writes_a_file_and_a_page(capsys, tmp_path, model):
    out = tmp_path / "deep" / "c.json"
    code, told, _ = calibrated(capsys, *FEW, "--model", model, "--guidance", "1.5", "--out", out)
    assert code == 0
    assert told.splitlines()[-1] == str(tmp_path / "deep" / "c.html")
    assert told.splitlines()[2].startswith("| all together |")
    found = json.loads(out.read_text())
    assert {name: found[name] for name in ("targets", "draws", "start", "raw", "guidance", "synth")} == {
        "targets": 10,
        "draws": 15,
        "start": 0,
        "raw": False,
        "guidance": 1.5,
        "synth": "chime",
    }
    assert list(found["params"]) == list(training.Chime.spec.names)
    assert all(len(check["coverage"]) == len(found["levels"]) for check in [found["joint"], *found["params"].values()])
    assert all(sum(check["histogram"]) == 10 for check in found["params"].values())
    text = (tmp_path / "deep" / "c.html").read_text()
    page = Page(text)
    assert len(page.all("svg")) == 3 + 2 * 3
    assert all(a["aria-label"] for a in page.all("svg"))
    assert not re.search(r"url\(|@import|fetch\(|https?:|<script", text)
    assert "$" not in text
    assert "guidance 1.5" in page.text
    assert all(name in page.text for name in training.Chime.spec.names)


def test_the_installed_flow_is_calibrated_and_a_regression_can_be(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("UNSYNTH_DATA", str(tmp_path))
    untrained(checkpoint.own("chime-flow"))
    untrained(checkpoint.own("chime-regression"), "Regression")
    out = tmp_path / "c.json"
    assert calibrated(capsys, *FEW, "--out", out)[0] == 0
    assert json.loads(out.read_text())["guidance"] == 2.0
    assert calibrated(capsys, *FEW, "--model", "chime-regression", "--out", out)[0] == 0
    found = json.loads(out.read_text())
    assert found["guidance"] is None
    assert min(check["overconfidence"] for check in found["params"].values()) > 0.5  # one guess, ever so sure
    code, _, err = calibrated(capsys, *FEW, "--model", "chime-regression", "--guidance", "1", "--out", out)
    assert code == 2
    assert "no flow" in err


def test_mistakes_are_one_sentence(capsys, tmp_path, model):
    joint = untrained(tmp_path / "joint.safetensors", "Joint")
    here = ["--out", tmp_path / "c.json"]
    said = [
        (["--calibration", *FEW, *here, "--model", model, "--sounds", tmp_path], 2, "recordings"),
        (["--calibration", *FEW, *here, "--model", joint], 7, "no estimator"),
        (["--calibration", *FEW, *here, "--model", tmp_path / "gone.safetensors"], 3, "no checkpoint"),
        (["--calibration", "--targets", "10", *here, "--model", model], 7, "another synth"),
        (["--calibration", *FEW, *here, "--model", model, "--draws", "1"], 2, "draws of 8"),
        (["--calibration", *FEW, "--model", model, "--out", tmp_path / "c.html"], 2, "c.json"),
        ([*here, "--model", model], 2, "--calibration"),
    ]
    for words, expected, message in said:
        code, _, err = run(capsys, "evaluate", *words)
        assert (code, bool(is_one_sentence(err))) == (expected, True), err
        assert message in err
    assert not (tmp_path / "c.json").exists()


def test_missing_packages_are_told(capsys, tmp_path, monkeypatch, model):
    monkeypatch.setitem(sys.modules, "scipy", None)
    code, _, err = calibrated(capsys, *FEW, "--model", model, "--out", tmp_path / "c.json")
    assert code == 2
    assert "unsynth[eval]" in err


def points(text, kind):
    """The corners of the paths of a class."""
    paths = re.findall(rf'class="{kind}" d="M([^"HZ]*)"', text)
    return [[tuple(map(float, corner.split())) for corner in path.split("L")] for path in paths]


def test_curves_and_bars_are_drawn_in_proportion():
    text = coverage("name", [0.25, 0.5], [[0.5, 0.75]], ([0.2, 0.4], [0.3, 0.6]))
    ((left, bottom), (right, top)) = points(text, "zero")[0]
    ((_, one, two, _),) = points(text, "curve")
    assert (one[0] - left) / (right - left) == pytest.approx(0.25, abs=1e-3)
    assert (bottom - one[1]) / (bottom - top) == pytest.approx(0.5, abs=1e-3)
    assert (bottom - two[1]) / (bottom - top) == pytest.approx(0.75, abs=1e-3)
    assert len(points(text, "band")[0]) == 8
    bars = points(histogram("name", [10, 20, 0, 5], (5, 13)), "bar")
    heights = [max(y for _, y in bar) - min(y for _, y in bar) for bar in bars]
    assert [height / heights[1] for height in heights] == pytest.approx([0.5, 1, 0, 0.25], abs=1e-3)
