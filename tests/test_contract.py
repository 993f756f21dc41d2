"""A synth that breaks its contract: the error says so wherever one renders, and names the synth."""

import json

import pytest
import torch
from commands import ROOT, is_one_sentence, run, tone, write
from toy import Toy

from unsynth import presets, synths
from unsynth.base import EngineError
from unsynth.contract import Losses, forgiven, lost
from unsynth.errors import ContractError
from unsynth.match import match
from unsynth.sounds.live import Live

RECIPE = ROOT / "recipes" / "tiny-vicreg.yaml"


def broken(change):
    """A synth whose sounds are what ``change`` makes of the toy's."""

    class Broken(Toy):
        def render(self, params, noise=None):
            return change(super().render(params))

    return Broken


def raises(sounds):
    raise RuntimeError("no such\noscillator")


WRONG = {
    "rows": (lambda sounds: sounds[:-1], "shape"),
    "samples": (lambda sounds: sounds[:, 1:], "shape"),
    "stereo": (lambda sounds: torch.stack([sounds, sounds], 1), "shape"),
    "double": (lambda sounds: sounds.double(), "float64"),
    "numpy": (lambda sounds: sounds.numpy(), "ndarray"),
    "nothing": (lambda sounds: None, "NoneType"),
    "error": (raises, "RuntimeError: no such oscillator"),
    "nan": (lambda sounds: sounds * torch.nan, "NaN or infinity"),
}


def every(number, value=torch.nan):
    """NaN or infinity in the middle of every so many of the toy's sounds, by their parameters."""

    def change(sounds):
        sounds[(sounds.abs().amax(1) * 1e4).long() % number == 0, 777] = value
        return sounds

    return change


@pytest.fixture
def here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNSYNTH_DATA", str(tmp_path / "data"))
    write(tmp_path / "tone.wav", tone())

    def known(change):
        monkeypatch.setitem(synths.SYNTHS, "toy", broken(change))

    return known


@pytest.mark.parametrize(("change", "why"), WRONG.values(), ids=WRONG)
def test_render_says_what_is_wrong(change, why):
    with pytest.raises(ContractError, match=why) as caught:
        broken(change)().render(torch.rand(3, 3))
    assert "unsynth synths check toy" in str(caught.value)


@pytest.mark.parametrize(("change", "why"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize(
    "argv",
    [
        ("match", "tone.wav", "--synth", "toy", "--budget", "0.2", "--out", "found"),
        ("pretrain", RECIPE, "--set", "synth=toy", "--out", "run"),
        ("shards", "build", "--synth", "toy", "--count", "40", "--out", "shards"),
        ("index", "build", "--synth", "toy", "--count", "40", "--out", "index.safetensors"),
    ],
    ids=lambda argv: argv[0],
)
def test_every_command_says_it_in_a_sentence(here, capsys, argv, change, why):
    here(change)
    code, _, err = run(capsys, *argv)
    assert code in (ContractError.exit_code, EngineError.exit_code)
    assert is_one_sentence(err.splitlines(keepends=True)[-1])
    assert why in err


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_patches_without_finite_sounds_are_passed_over_and_counted(here, value):
    here(every(5, value))
    found = match(tone(), 44100, synth="toy", budget=0.5)
    assert found.trouble.startswith("Patches")
    assert all(torch.isfinite(candidate.audio).all() for candidate in found.candidates)


def test_they_are_lost_where_that_is_forgiven_and_counted_once():
    params, losses = torch.rand(64, 3, generator=torch.Generator().manual_seed(0)), Losses()
    with forgiven(losses):
        sounds = broken(every(5))().render(params)
    assert (losses.asked, losses.lost) == (64, int(lost(sounds).sum()))
    assert 0 < losses.lost < 32
    assert sounds[lost(sounds)].isnan().all()
    assert sounds[~lost(sounds)].isfinite().all()


def test_sounds_to_learn_from_have_none_of_them():
    batch = Live(broken(every(5))()).take("train", 0, 64)
    assert batch.audio.isfinite().all()


def test_what_a_search_found_before_the_synth_failed_is_kept(here):
    left = [20]

    def change(sounds):
        left[0] -= 1
        return raises(sounds) if left[0] == 0 else sounds

    here(change)
    found = match(tone(), 44100, synth="toy", budget=30.0)
    assert "no such oscillator" in found.trouble
    assert found.candidates


def fails(*_):
    raise OSError("no disk")


@pytest.mark.parametrize(
    ("export", "told"),
    [
        (fails, "OSError: no disk"),
        (lambda *_: {"../up.syx": b""}, "'../up.syx'"),
        (lambda *_: {"patch.json": b""}, "'patch.json'"),
        (lambda *_: {"match.wav": b""}, "'match.wav'"),
        (lambda *_: {"match.toy": "text"}, "'match.toy'"),
        (lambda *_: None, "TypeError"),
    ],
)
def test_what_was_found_is_kept_where_its_presets_cannot_be_made(here, capsys, monkeypatch, tmp_path, export, told):
    here(lambda sounds: sounds)
    monkeypatch.setitem(presets.EXPORTS, "toy", export)
    code, _, err = run(capsys, "match", "tone.wav", "--synth", "toy", "--budget", "0.2", "--out", "found")
    assert code == ContractError.exit_code
    assert told in err
    assert is_one_sentence(err.splitlines(keepends=True)[-1])
    assert {path.name for path in (tmp_path / "found").rglob("*")} >= {"match.wav", "patch.json", "report.html"}
    assert json.loads(next((tmp_path / "found").rglob("patch.json")).read_text())["synth"] == "toy"
    assert not (tmp_path / "up.syx").exists()


def test_a_synth_that_cannot_be_made_spoils_no_other(here, capsys, monkeypatch):
    def made():
        raise ValueError("organ: parameter names must be unique")

    monkeypatch.setitem(synths.SYNTHS, "organ", made)
    code, out, err = run(capsys, "synths")
    assert code == ContractError.exit_code
    assert "voice" in out
    assert is_one_sentence(err)
    assert "organ: parameter names must be unique" in err
    _, out, _ = run(capsys, "doctor", "--json")
    assert [lack["why"] for lack in json.loads(out)["missing"] if lack["what"] == "organ"] == [
        "The synth organ cannot be made: ValueError: organ: parameter names must be unique"
    ]
