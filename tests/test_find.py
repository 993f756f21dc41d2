"""`unsynth index presets` and `unsynth find` on good and on bad input; matches that start from one's own presets."""

import json

import numpy as np
import pytest
import soundfile
import torch
from commands import EXAMPLE, RATE, is_one_sentence, matched, one_thread, run, write  # noqa: F401
from voices import BELL, BRASS, ORGAN

from unsynth.commands.index import key
from unsynth.presets import fxp, patch, saved, syx, vital
from unsynth.search.library import Library, own
from unsynth.sounds.ids import params_of
from unsynth.synths import dexed, surge, synth, vital as vital_synth

VOICE = synth("voice")
IDS = torch.tensor([7, 70, 9300])  # the last is held out, so no index has it


@pytest.fixture(autouse=True)
def own_data(tmp_path, monkeypatch):
    monkeypatch.setenv("UNSYNTH_DATA", str(tmp_path / "data"))


def voice_patch(path, sound_id):
    row = params_of(torch.tensor([sound_id]), VOICE.spec)[0]
    made = patch.Patch("voice", VOICE.spec.hash, tuple(row.tolist()), sound_id, 0.0, 0.0, {}, 0.0, 0, 0, "0")
    path.write_text(patch.to_json(made, VOICE.spec))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine").mkdir()
    for sound_id in IDS.tolist():
        voice_patch(tmp_path / "mine" / f"{sound_id}.json", sound_id)
    return tmp_path / "mine"


def sound_of(path, sound_id):
    row = torch.tensor([sound_id])
    return write(path, 0.1 * VOICE.render(params_of(row, VOICE.spec), row)[0].numpy())


def test_a_sound_finds_its_patch_and_plays_it(capsys, folder, tmp_path):
    code, out, err = run(capsys, "index", "presets", folder)
    assert (code, out) == (0, f"{own()}\n")
    assert err == "3 presets of 3 files, 3 rendered now.\n"
    sound = sound_of(tmp_path / "sound.wav", 70)
    code, out, err = run(capsys, "find", sound, "--count", "2", "--json", "--play", tmp_path / "heard")
    first, second = map(json.loads, out.splitlines())
    assert (code, err) == (0, "")
    assert (first["rank"], first["name"], first["synth"], first["slot"]) == (1, "70", "voice", None)
    assert first["file"] == str(folder / "70.json")
    assert 2 * first["distance"] < second["distance"]
    np.testing.assert_allclose(soundfile.read(first["wav"])[0], soundfile.read(sound)[0], atol=1e-4)
    code, out, _ = run(capsys, "find", sound)
    assert code == 0
    assert len(out.splitlines()) == 3
    assert out.split()[3:5] == ["70", "voice"]
    assert out.splitlines()[0].endswith(str(folder / "70.json"))


def test_a_second_run_says_that_nothing_was_to_do(capsys, folder, tmp_path):
    place = ["--out", tmp_path / "index", "--octaves", "0"]
    assert run(capsys, "index", "presets", folder, *place)[2].endswith("3 rendered now.\n")
    assert run(capsys, "index", "presets", *place, folder)[2].endswith("0 rendered now.\n")


@pytest.mark.skipif(not dexed.installed(), reason="needs dexed-py: pip install 'unsynth[dexed]'")
def test_a_slot_of_a_bank_is_found(capsys, tmp_path):
    (tmp_path / "bank.syx").write_bytes(syx.bank([BELL, ORGAN, BRASS]))
    assert run(capsys, "index", "presets", tmp_path / "bank.syx", "--octaves", "0", "--synth", "dexed")[0] == 0
    softer = synth("dexed").render(syx.to_params([BRASS], velocity=70, seconds=0.9))[0]
    sound = write(tmp_path / "sound.wav", softer.numpy())
    code, out, _ = run(capsys, "find", sound, "--count", "2", "--json")
    first, second = map(json.loads, out.splitlines())
    assert code == 0
    assert (first["name"], first["slot"], first["note"]) == ("BRASS", 3, 60)
    assert 2 * first["distance"] < second["distance"]
    assert "C4" in run(capsys, "find", sound)[1]


def test_presets_of_every_kind_are_read(tmp_path):
    (tmp_path / "a.fxp").write_bytes(fxp.write(torch.full((len(surge.SPEC),), 0.3), "Pluck"))
    (tmp_path / "b.VITAL").write_bytes(vital.write(torch.full((len(vital_synth.SPEC),), 0.3), ""))
    (tmp_path / "c.syx").write_bytes(syx.single(BELL))
    (tmp_path / "d.dx7").write_bytes(BELL.packed + ORGAN.packed)
    found = [preset for path in saved.find([tmp_path]) for preset in saved.read(path)]
    told = [(preset.synth, preset.name, preset.slot) for preset in found]
    assert told == [
        ("surge", "Pluck", None),
        ("vital", "b", None),
        ("dexed", "BELL", None),
        ("dexed", "BELL", 1),
        ("dexed", "ORGAN", 2),
    ]
    assert found[0].params.equal(fxp.to_params(fxp.read(tmp_path / "a.fxp")))
    assert found[1].params.equal(vital.to_params(vital.read(tmp_path / "b.VITAL")))
    assert found[2].params.equal(syx.to_params([BELL])[0])


def test_keys_have_the_names_of_musicians():
    assert [key(note) for note in (0, 21, 60, 61, 69, 127)] == ["C-1", "A0", "C4", "C#4", "A4", "G9"]


def test_matches_start_from_the_presets(capsys, folder, tmp_path):
    sound = sound_of(tmp_path / "sound.wav", 9300)
    _, (without,), _ = matched(capsys, sound, "--out", tmp_path / "without")
    run(capsys, "index", "presets", folder)
    _, (found,), _ = matched(capsys, sound, "--out", tmp_path / "with")
    assert found["renders"] == without["renders"] == 1
    assert found["distance"] < without["distance"] / 4


# bad input


def test_bad_arguments_of_find(capsys, folder, tmp_path):
    sound = sound_of(tmp_path / "sound.wav", 7)
    Library({}).save(tmp_path / "empty")
    (tmp_path / "damaged").write_text("no index")
    (tmp_path / "silence.wav").write_bytes(b"")
    run(capsys, "index", "presets", folder, "--octaves", "0")
    for argv, code in (
        ([], 2),
        ([sound, "--count", "0"], 2),
        ([sound, "--index", tmp_path / "none"], 3),
        ([sound, "--index", tmp_path / "empty"], 3),
        ([tmp_path / "none.wav"], 3),
        ([tmp_path / "silence.wav"], 4),
        ([write(tmp_path / "zeros.wav", np.zeros(RATE))], 5),
        ([sound, "--play", sound], 6),
        ([sound, "--index", tmp_path / "damaged"], 7),
    ):
        found, out, err = run(capsys, "find", *argv)
        assert (found, out) == (code, "")
        assert is_one_sentence(err)


def test_bad_arguments_of_index_presets(capsys, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").write_text("no index")
    for argv, code in (
        ([], 2),
        ([folder, "--synth", "moog"], 2),
        ([folder, "--octaves", "5"], 2),
        ([tmp_path / "none"], 3),
        ([tmp_path / "empty"], 3),
        ([folder, "--out", folder], 6),
        ([folder, "--out", tmp_path / "damaged"], 7),
    ):
        found, out, err = run(capsys, "index", "presets", *argv)
        assert (found, out) == (code, "")
        assert is_one_sentence(err)
    assert (tmp_path / "damaged").read_text() == "no index"


def test_without_an_engine_the_others_are_indexed(capsys, folder, monkeypatch):
    monkeypatch.setattr(dexed, "find_spec", lambda name: None)
    (folder / "bank.syx").write_bytes(syx.bank([BELL]))
    (folder / "more.syx").write_bytes(syx.bank([ORGAN]))
    code, out, err = run(capsys, "index", "presets", folder)
    lines = err.splitlines()
    assert (code, out) == (8, f"{own()}\n")
    assert "pip install 'unsynth[dexed]'" in lines[0]
    assert lines[1:] == [
        "3 presets of 3 files, 3 rendered now.",
        "unsynth: 2 files could not be used, for the reasons above.",
    ]


def test_patches_of_another_version_are_found_but_not_played(capsys, folder, tmp_path, monkeypatch):
    run(capsys, "index", "presets", folder, "--octaves", "0")
    sound = sound_of(tmp_path / "sound.wav", 7)
    monkeypatch.setattr("unsynth.synths.voice.Voice.spec", synth("drum").spec)
    assert json.loads(run(capsys, "find", sound, "--json")[1].splitlines()[0])["name"] == "7"
    code, _, err = run(capsys, "find", sound, "--play", tmp_path / "heard")
    assert code == 7
    assert is_one_sentence(err)
    assert "index presets" in err


def test_patches_of_matches_have_the_names_of_their_sounds(capsys, tmp_path):
    for name in ("kick one", "snare"):
        (tmp_path / "out" / name).mkdir(parents=True)
        voice_patch(tmp_path / "out" / name / "patch.json", 7)
        voice_patch(tmp_path / "out" / name / "candidate-2.json", 70)
    names = {preset.name for file in saved.find([tmp_path / "out"]) for preset in saved.read(file)}
    assert names == {"kick one (patch)", "kick one (candidate-2)", "snare (patch)", "snare (candidate-2)"}
