"""`unsynth diff`: what is said of two patches whose difference is known, and what of mistakes."""

import json
import math

import pytest
import torch
from commands import is_one_sentence, one_thread, run  # noqa: F401
from voices import BELL, HELD, ORGAN, operator, voice

from unsynth.diff import at_note_of, difference
from unsynth.presets import patch, syx
from unsynth.presets.saved import Preset, read
from unsynth.sounds.ids import params_of
from unsynth.synths import dexed, synth

VOICE = synth("voice")
FLUTE = voice("FLUTE", {1: operator(90, 1, *HELD)}, 32)  # the first drawbar of ORGAN alone
needs_dexed = pytest.mark.skipif(not dexed.installed(), reason="needs dexed-py: pip install 'unsynth[dexed]'")


def voice_patch(path, row):
    made = patch.Patch("voice", VOICE.spec.hash, tuple(row.tolist()), 0, 0.0, 0.0, {}, 0.0, 0, 0, "0")
    path.write_text(patch.to_json(made, VOICE.spec))
    return path


@pytest.fixture
def row():
    return params_of(torch.tensor([7]), VOICE.spec)[0]


def bank(path, *voices):
    path.write_bytes(syx.bank(list(voices)))
    return path


def test_a_patch_is_like_itself(capsys, tmp_path, row):
    path = voice_patch(tmp_path / "a.json", row)
    code, out, _ = run(capsys, "diff", path, path)
    assert code == 0
    assert "alike in brightness" in out
    assert "MSS 0.00 dB" in out
    assert out.endswith("Every parameter is the same.\n")


def test_the_knobs_that_were_turned_are_told_and_what_is_not_heard_comes_last(capsys, tmp_path, row):
    turned = row.clone()
    for name in ("keyboard.midi_f0", "keyboard.duration"):
        turned[VOICE.spec.index(name)] = (row[VOICE.spec.index(name)] + 0.4) % 1
    paths = voice_patch(tmp_path / "a.json", row), voice_patch(tmp_path / "b.json", turned)
    code, out, _ = run(capsys, "diff", *paths, "--json")
    found = json.loads(out)
    assert code == 0
    assert {move["name"] for move in found["parameters"]} == {"keyboard.midi_f0", "keyboard.duration"}
    heard = [move["decibels"] for move in found["parameters"]]
    assert heard == sorted(heard, reverse=True)
    assert found["mss"] > heard[-1] > 0
    human = VOICE.spec.to_human(row)
    before = {move["name"]: move["one"] for move in found["parameters"]}
    i = VOICE.spec.index("keyboard.duration")
    assert before["keyboard.duration"] == VOICE.spec.text(i, float(human[i]))
    text = run(capsys, "diff", *paths)[1]
    assert "2 parameters differ; 2 are heard alone." in text
    assert "keyboard.midi_f0" in text


@needs_dexed
def test_a_preset_is_told_in_words_both_ways(capsys, tmp_path):
    path = bank(tmp_path / "bank.syx", ORGAN, FLUTE, BELL)
    said = [run(capsys, "diff", path, path, "--voice", a, "--other-voice", b)[1] for a, b in ((1, 2), (2, 1), (1, 3))]
    assert said[0].startswith("FLUTE (dexed) beside ORGAN (dexed)")
    assert "darker" in said[0]
    assert "brighter" in said[1]
    assert "shorter" in said[2] or "noisier" in said[2] or "purer" in said[2]


@needs_dexed
def test_a_preset_plays_the_note_of_the_patch(tmp_path, row):
    own, preset = Preset("voice", "a", None, row), read(bank(tmp_path / "bank.syx", ORGAN))[0]
    pitch = VOICE.spec.to_human(row)[VOICE.spec.index("keyboard.midi_f0")]
    moved = at_note_of(preset, own)
    spec = synth("dexed").spec
    note = [spec.index(name) for name in ("note.pitch", "note.velocity", "note.length")]
    assert spec.to_human(moved.params)[note[0]] == pytest.approx(pitch.round().clamp(0, 127))
    others = [i for i in range(len(spec)) if i != note[0]]
    assert torch.equal(moved.params[others], preset.params[others])
    louder = moved.params.clone()
    louder[note] = torch.tensor([0.9, 0.2, 0.3])
    copied = at_note_of(preset, Preset("dexed", "b", None, louder))
    torch.testing.assert_close(spec.to_human(copied.params)[note], spec.to_human(louder)[note])


@needs_dexed
def test_patches_of_two_synths_are_told_by_sound_alone(capsys, tmp_path, row):
    paths = voice_patch(tmp_path / "a.json", row), bank(tmp_path / "bank.syx", ORGAN)
    out = run(capsys, "diff", *paths, "--other-voice", "1")[1]
    assert "ORGAN (dexed) beside a (voice)" in out
    assert "parameters cannot be compared" in out
    assert json.loads(run(capsys, "diff", *paths, "--other-voice", "1", "--json")[1])["parameters"] is None


def test_what_was_not_tried_is_listed_without_a_number(row):
    other = 1 - row
    moves = difference(Preset("voice", "a", None, row), Preset("voice", "b", None, other)).moves
    tried = [not math.isnan(move.decibels) for move in moves]
    assert sum(tried) == 64
    assert tried == sorted(tried, reverse=True)


def test_mistakes_are_one_sentence(capsys, tmp_path, row):
    path, voices = voice_patch(tmp_path / "a.json", row), bank(tmp_path / "bank.syx", ORGAN, BELL)
    for words, code in (
        ([], 2),
        ([path], 2),
        ([path, voices], 2),
        ([path, voices, "--other-voice", "33"], 2),
        ([path, path, "--voice", "0"], 2),
        ([path, tmp_path / "missing.json"], 3),
        ([path, __file__], 7),
    ):
        found, out, err = run(capsys, "diff", *words)
        assert (found, out) == (code, ""), words
        assert is_one_sentence(err)
