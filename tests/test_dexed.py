"""Dexed: the same sound whatever came before, every knob does what it says, and the files hold what was heard."""

import io
import json
from collections import Counter

import mido
import numpy as np
import pytest
import soundfile
import torch
from commands import EXAMPLE, is_one_sentence, one_thread, run  # noqa: F401
from voices import BELL, BRASS, ORGAN

from unsynth import audio, doctor
from unsynth.base import PatchError, UsageError
from unsynth.presets import syx
from unsynth.presets.dexed import banks, random_patches, voices
from unsynth.synths import dexed, dexed_prior, synth
from unsynth.synths.dexed import SPEC

dx7 = pytest.importorskip("dexed", reason="needs dexed-py: pip install 'unsynth[dexed]'")


@pytest.fixture(autouse=True)
def own_data(tmp_path, monkeypatch):
    monkeypatch.setenv("UNSYNTH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("unsynth.presets.dexed.DEBIAN", tmp_path / "none")
    return tmp_path / "data"


@pytest.fixture(scope="module")
def instrument():
    return synth("dexed")


def random_params(count, seed=0):
    return torch.rand(count, len(SPEC), generator=torch.Generator().manual_seed(seed))


def test_it_plays_what_the_engine_plays(instrument):
    """Through dexed-py's own files and its own interface."""
    params = syx.to_params([BELL, ORGAN, BRASS], note=57, velocity=90, seconds=0.5)
    for sound, voice in zip(instrument.render(params), [BELL, ORGAN, BRASS], strict=True):
        engine = dx7.DexedSynth(sample_rate=44100)
        engine.load_patch(dx7.Patch.from_packed(voice.packed))
        expected = engine.render(midi_note=57, velocity=90, note_duration=0.5, render_duration=4.0)
        np.testing.assert_array_equal(sound.numpy(), expected / max(1.0, np.abs(expected).max()))
        assert 0.05 < sound.abs().max() <= 1


def test_the_same_patch_sounds_the_same_after_any_other(instrument):
    params = random_params(12)
    sounds = instrument.render(params)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    assert torch.equal(instrument.render(params[order]), sounds[order])
    assert torch.equal(torch.cat([instrument.render(row[None]) for row in params]), sounds)


def test_no_sound_exceeds_full_scale_and_all_are_finite(instrument):
    loud = syx.to_params([ORGAN], velocity=127, seconds=4.0)
    sounds = instrument.render(torch.cat([loud, random_params(8, 1)]))
    assert sounds.shape == (9, 176400)
    assert torch.isfinite(sounds).all()
    assert sounds.abs().max() <= 1


def test_the_note_has_the_frequency_and_the_length_it_says(instrument):
    sound = instrument.render(syx.to_params([ORGAN], note=69, seconds=1.0))[0]
    spectrum = torch.fft.rfft(sound[4410:39690] * torch.hann_window(35280)).abs()
    assert spectrum[:500].argmax() * 44100 / 35280 == pytest.approx(440, abs=1.5)
    assert audio.loudness(sound[int(0.8 * 44100) : 44100]) > audio.loudness(sound[int(1.5 * 44100) : 88200]) + 20


def test_integers_and_choices_are_steps(instrument):
    params = random_params(4, 2)
    assert torch.equal(instrument.render(SPEC.snap(params)), instrument.render(params))
    steps = [p.name for p in SPEC.params if p.kind == "continuous"]
    assert steps == ["note.length"]


def test_without_the_engine_there_is_one_clear_sentence(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(dexed, "find_spec", lambda name: None)
    code, _, err = run(capsys, "match", EXAMPLE, "--synth", "dexed", "--out", tmp_path)
    assert code == UsageError.exit_code
    assert is_one_sentence(err)
    assert "pip install 'unsynth[dexed]'" in err
    facts = json.loads(run(capsys, "doctor", "--json")[1])
    assert facts["dexed"] is None
    assert "pip install 'unsynth[dexed]'" in [missing["fix"] for missing in facts["missing"]]


# priors


def test_the_carriers_are_those_of_the_dx7():
    for algorithm, carriers in enumerate(dexed_prior.CARRIERS):
        assert [int(c) - 1 for c in carriers] == sorted(dx7.get_carriers(algorithm))


def test_the_prior_is_a_pure_function_near_its_voices():
    known = syx.to_params([BELL, ORGAN, BRASS])
    first, second = (dexed_prior.prior(known, 500, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert ((first >= 0) & (first <= 1)).all()
    same = (first[:, None, 3:] == known[None, :, 3:]).float().mean(2).amax(1)
    assert 0.7 < same.median() < 0.99
    unlike = (random_params(500)[:, None, 3:] == known[None, :, 3:]).float().mean(2).amax(1)
    assert unlike.max() < 0.1
    pitch = SPEC.to_human(first)[:, 0]
    assert (pitch.min(), pitch.max()) == (36, 84)


def test_cross_overs_take_whole_modules():
    known = syx.to_params([BELL, ORGAN])
    bred = dexed_prior.prior(known, 400, torch.Generator().manual_seed(0), crossed=1.0, moved=0.0)
    operator = [i for i, name in enumerate(SPEC.names) if name.startswith("operator_2.")]
    kinds = Counter(
        "bell" if torch.equal(row[operator], known[0, operator]) else "organ"
        for row in bred
        if torch.equal(row[operator], known[0, operator]) or torch.equal(row[operator], known[1, operator])
    )
    assert sum(kinds.values()) == 400
    assert min(kinds.values()) > 150


def test_invented_voices_are_heard(instrument):
    """Uniform ones are mostly not: their median is far below."""
    invented = dexed_prior.invent(24, torch.Generator().manual_seed(0))
    levels = [audio.loudness(instrument.render(params)).median() for params in (invented, random_params(24))]
    assert levels[0] > -40
    assert levels[0] > levels[1] + 10


def test_the_banks_of_the_user_are_the_prior(own_data):
    assert banks() == []
    (own_data / "dx7").mkdir(parents=True)
    (own_data / "dx7" / "mine.SYX").write_bytes(syx.bank([BELL, BELL, ORGAN]))
    assert len(voices(banks())) == 3  # one of them is the initial voice of the empty slots
    drawn = random_patches()(50, torch.Generator().manual_seed(0))
    known = syx.to_params([BELL, ORGAN, syx.INITIAL])
    assert (drawn[:, None, 3:] == known[None, :, 3:]).float().mean(2).amax(1).median() > 0.7


def test_a_bank_that_cannot_be_read_costs_nothing_but_itself(own_data):
    folder = own_data / "dx7"
    folder.mkdir(parents=True)
    (folder / "a.syx").write_bytes(syx.bank([BELL])[:-2])
    (folder / "b.syx").write_bytes(syx.bank([ORGAN]))
    (folder / "._b.syx").write_bytes(b"what macOS keeps beside a file in an archive")
    assert [path.name for path in banks()] == ["a.syx", "b.syx"]
    (lack,) = [lack for lack in doctor.examine()["missing"] if lack["what"] == "dx7_banks"]
    assert "a.syx" in lack["why"]
    with pytest.raises(PatchError, match=r"a\.syx"):
        voices(banks())
    draw = random_patches()
    assert len(draw(5, torch.Generator().manual_seed(0))) == 5
    (folder / "b.syx").write_bytes(syx.bank([BRASS]))
    again = random_patches()
    assert not torch.equal(draw(5, torch.Generator().manual_seed(0)), again(5, torch.Generator().manual_seed(0)))


# from sound to files and back


def test_match_writes_files_that_play_what_was_scored(capsys, tmp_path, instrument):
    out = tmp_path / "out"
    target = tmp_path / "bell.wav"
    audio.write(target, instrument.render(syx.to_params([BELL], 70, 100, 0.5))[0], 44100)
    options = ["--synth", "dexed", "--renders", "40", "--candidates", "2", "--out", out, "--json"]
    code, told, _ = run(capsys, "match", target, *options)
    folder = out / "bell"
    assert code == 0
    names = {"match.wav", "match.syx", "match.mid", "patch.json", "candidate-2.wav", "candidate-2.mid"}
    assert {path.name for path in folder.iterdir()} >= names
    bank = syx.read(folder / "match.syx")
    assert [voice.name for voice in bank[:3]] == ["BELL 1", "BELL 2", "INIT VOICE"]
    on, off = [message for message in mido.MidiFile(folder / "match.mid") if message.type.startswith("note")]
    arguments = ["--note", on.note, "--velocity", on.velocity, "--length", round(off.time, 3)]
    assert run(capsys, "render", folder / "match.syx", "--voice", 1, *arguments, "--out", tmp_path / "a.wav")[0] == 0
    found, played = (soundfile.read(path)[0] for path in (folder / "match.wav", tmp_path / "a.wav"))
    gain = 10 ** (json.loads(told)["gain_db"] / 20)
    np.testing.assert_allclose(found, played * gain, atol=2e-6)
    assert run(capsys, "render", folder / "patch.json", "--out", tmp_path / "b.wav")[0] == 0
    np.testing.assert_allclose(found, soundfile.read(tmp_path / "b.wav")[0], atol=2e-6)


def test_a_match_with_another_synth_leaves_no_preset_of_this_one(capsys, tmp_path):
    for name in ("dexed", "voice"):
        assert run(capsys, "match", EXAMPLE, "--synth", name, "--renders", "2", "--out", tmp_path)[0] == 0
    assert not list((tmp_path / EXAMPLE.stem).glob("*.syx"))
    assert not list((tmp_path / EXAMPLE.stem).glob("*.mid"))


def test_the_name_of_a_slot_keeps_its_rank(capsys, tmp_path):
    from unsynth.presets.dexed import export

    files = export("a_very_long_naïve_name.wav", [f"c{i}" for i in range(40)], random_params(40))
    bank = syx.parse(files["c0.syx"])
    assert (bank[0].name, bank[31].name) == ("A_VERY_L 1", "A_VERY_ 32")
    assert len(files) == 41


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "--voice 1 to 32"),
        (["--voice", "0"], "no voice 0"),
        (["--voice", "33"], "no voice 33"),
        (["--voice", "1", "--note", "200"], "note.pitch of 200"),
    ],
)
def test_render_of_a_bank_says_what_it_needs(capsys, tmp_path, options, told):
    (tmp_path / "bank.syx").write_bytes(syx.bank([BELL]))
    code, _, err = run(capsys, "render", tmp_path / "bank.syx", *options)
    assert code == 2
    assert is_one_sentence(err)
    assert told in err


def test_render_of_a_single_voice_needs_no_number(capsys, tmp_path, monkeypatch, instrument):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "organ.syx").write_bytes(syx.single(ORGAN))
    assert run(capsys, "render", "organ.syx")[:2] == (0, "organ.wav\n")
    expected = instrument.render(syx.to_params([ORGAN]))[0]
    np.testing.assert_allclose(
        soundfile.read(io.BytesIO((tmp_path / "organ.wav").read_bytes()))[0], expected, atol=1e-6
    )
