"""Vital: the same sound whatever came before, files that hold what was heard, and clear words about damaged ones."""

import base64
import json
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
import soundfile
import torch
from commands import EXAMPLE, is_one_sentence, one_thread, run  # noqa: F401
from hypothesis import given, settings, strategies as st

from unsynth.base import PatchError, UsageError
from unsynth.presets import vital as files
from unsynth.synths import synth, vital
from unsynth.synths.vital import SPEC, to_rows
from unsynth.synths.vital_patch import CONTROLS, NOTE, ROUTES, stored

vita = pytest.importorskip("vita", reason="needs vita: pip install 'unsynth[vital]'")


@pytest.fixture(autouse=True)
def subnormal_numbers():
    """vita's render makes its thread treat subnormal numbers as zero, which breaks what is tested after it."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="module")
def instrument():
    return synth("vital")


def patch(**changes):
    """The default patch, with some human values changed."""
    values = {control.name: control.default for control in [*CONTROLS, *NOTE]}
    rows = torch.tensor([list({**values, **changes}.values())])
    assert rows.shape == (1, len(SPEC))
    return SPEC.to_unit(rows)


def random_params(count, seed=0):
    return files.random_patches()(count, torch.Generator().manual_seed(seed))


def test_the_subset_is_what_the_engine_has():
    engine = vita.Synth()
    assert 60 <= len(SPEC) <= 120
    for control in (c for c in CONTROLS if not c.name.endswith(".shape") or c.name.startswith("osc")):
        told = engine.get_control_details(control.control)
        assert told.min - 1e-4 <= stored(control, control.low) < stored(control, control.high) <= told.max + 1e-4
        if told.options and control.choices and not control.name.endswith((".style", ".on")):
            assert len(control.choices) <= len(told.options)
            assert [c.split()[0][:4] for c in control.choices] == [o.split()[0][:4].lower() for o in told.options][
                : len(control.choices)
            ]
    sources, destinations = vita.get_modulation_sources(), vita.get_modulation_destinations()
    assert all(source in sources and to in destinations for source, to, _ in ROUTES)


def test_the_engine_takes_every_number_of_a_file():
    engine, text = vita.Synth(), files.write(random_params(1)[0])
    assert engine.load_json(text.decode())
    given_, taken = (json.loads(t)["settings"] for t in (text, engine.to_json()))
    numbers = {name: value for name, value in given_.items() if isinstance(value, int | float)}
    assert len(numbers) > 100
    assert {name: taken[name] for name in numbers} == pytest.approx(numbers, rel=1e-5, abs=1e-6)
    assert [lfo["points"] for lfo in taken["lfos"]] == [lfo["points"] for lfo in given_["lfos"]]
    assert taken["modulations"] == given_["modulations"]
    noises = [np.frombuffer(base64.b64decode(t["sample"]["samples"]), "<i2").astype(int) for t in (taken, given_)]
    assert np.abs(np.subtract(*noises)).max() <= 1


def test_a_written_file_played_by_the_engine_is_what_was_heard(instrument):
    params = random_params(3, seed=5)
    for row, sound in zip(params, instrument.render(params), strict=True):
        engine = vita.Synth()
        assert engine.load_json(files.write(files.to_params(files.parse(files.write(row)))).decode())
        note, velocity, hold = to_rows(row[None])[0, -3:].tolist()
        heard = engine.render(round(note), velocity / 127, hold, 3.0).mean(0)
        np.testing.assert_allclose(sound, heard / max(1.0, np.abs(heard).max()), atol=1e-6)


def test_the_same_patch_sounds_the_same_after_any_other(instrument):
    params = torch.cat([random_params(4), patch(**{"reverb.on": 1, "delay.on": 1, "noise.level": 1})])
    sounds = instrument.render(params)
    assert torch.equal(instrument.render(params.flip(0)).flip(0), sounds)
    assert sounds.shape == (5, 132300)
    assert torch.isfinite(sounds).all()
    assert 0.01 < sounds.abs().max() <= 1


def test_shapes_notes_and_lengths_are_heard(instrument):
    """Harmonics of a sine, a triangle, a saw and a square have closed forms; a release of nothing ends the sound."""
    filters = {f"filter{n}.mix": 0 for n in (1, 2)}
    rows = [
        patch(**filters, **{"osc1.shape": at, "play.note": 69, "play.hold": 2, "env1.release": 0})
        for at in range(0, 193, 64)
    ]
    sounds = instrument.render(torch.cat(rows))
    spectrum = torch.fft.rfft(sounds[:, 22050:66150] * torch.hann_window(44100)).abs()  # bins are Hz
    assert spectrum.argmax(1).tolist() == [440] * 4
    ratios = spectrum[:, [880, 1320, 2200]] / spectrum[:, [440]]
    expected = [[0, 0, 0], [0, 1 / 9, 1 / 25], [1 / 2, 1 / 3, 1 / 5], [0, 1 / 3, 1 / 5]]
    torch.testing.assert_close(ratios, torch.tensor(expected), atol=0.02, rtol=0)
    assert sounds[:, round(2.2 * 44100) :].abs().max() < 1e-3


def test_a_thousand_random_patches_come_back():
    params = SPEC.snap(torch.rand(1000, len(SPEC), generator=torch.Generator().manual_seed(0)))
    table = files.parse(files.write(params[0]))["settings"]["wavetables"]
    for row in params:
        told = files.parse(files.write(row))
        told["settings"]["wavetables"] = table
        rows = to_rows(torch.stack([row, files.to_params(told)]))
        torch.testing.assert_close(rows[1], rows[0], atol=1e-4, rtol=1e-5)


# files of others


@given(st.integers(0, 3000), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_damaged_file_is_a_clear_error_or_a_patch(seed, cut):
    rng = np.random.default_rng(seed)
    data = bytearray(TEXT[: rng.integers(len(TEXT))] if cut else TEXT)
    for at in rng.integers(0, max(1, len(data)), 0 if cut else 20):
        data[at] = rng.integers(256)
    with suppress(PatchError):
        assert files.to_params(files.parse(bytes(data))).isfinite().all()


@pytest.mark.parametrize(
    "bad", ["x", None, [], {}, True, 10**400, -(10**400), 1e308, float("nan"), float("inf")], ids=str
)
@pytest.mark.parametrize("name", ["osc_1_level", "filter_1_model", "wavetables", "modulations", "lfos", "env_1_attack"])
def test_wrong_types_and_huge_numbers(name, bad):
    told = json.loads(TEXT)
    told["settings"][name] = bad
    with suppress(PatchError):
        params = files.to_params(files.parse(json.dumps(told).encode()))
        assert ((params >= 0) & (params <= 1)).all()


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"settings": 1}', b"[" * 100_000, b" " * (files.LARGEST + 1), b"\xff\xfe"]
)
def test_what_is_no_preset(data):
    with pytest.raises(PatchError, match=r"\.$"):
        files.parse(data)


def test_what_the_subset_has_not_is_named():
    told = json.loads(TEXT)
    told["settings"]["wavetables"][0]["name"] = "Growl"
    with pytest.raises(PatchError, match="Oscillator 1 has the wavetable 'Growl'"):
        files.to_params(told)
    told = json.loads(TEXT)
    told["settings"]["osc_1_destination"] = 9.0
    with pytest.raises(PatchError, match=r"osc1\.to \(9\)"):
        files.to_params(told)


def test_modulations_are_found_wherever_they_are():
    told = json.loads(TEXT)
    slots = told["settings"]["modulations"]
    slots[0], slots[40] = slots[40], slots[0]
    told["settings"]["modulation_41_amount"], told["settings"]["modulation_1_amount"] = 0.75, 0.0
    assert SPEC.to_human(files.to_params(told))[SPEC.index("mod.env_2_to_filter_1_cutoff")] == pytest.approx(0.75)


ALL_ON = {"osc2.level": 0.4, "osc2.transpose": 7, "noise.level": 0.3, "noise.to": 1, "osc1.to": 2, "filter1.cutoff": 60,
          "filter2.cutoff": 50, "mod.lfo_2_to_osc_2_level": 1, "mod.env_2_to_filter_1_cutoff": 0.5}  # fmt: skip
SWITCHES = ["osc_1_on", "osc_2_on", "sample_on", "filter_1_on", "filter_2_on"]


def heard(told):
    """The second note of an engine, as its levels glide from those of a new patch while the first sounds."""
    engine = vita.Synth()
    engine.set_sample_rate(44100)
    assert engine.load_json(json.dumps(told))
    return [engine.render(48, 100 / 127, 0.3, 0.5) for _ in range(2)][1]


@pytest.mark.parametrize("follows", [0, 1], ids=["parallel", "in a row"])
@pytest.mark.parametrize("off", [*([name] for name in SWITCHES), SWITCHES[1:], SWITCHES[3:]], ids=" ".join)
def test_what_is_switched_off_is_as_silent_as_in_vital(off, follows):
    told = json.loads(files.write(patch(**ALL_ON, **{"filter2.follows_filter1": follows})[0]))
    with_all = heard(told)
    told["settings"].update(dict.fromkeys(off, 0.0))
    np.testing.assert_allclose(heard(json.loads(files.write(files.to_params(told)))), heard(told), atol=1e-5)
    assert np.abs(heard(told) - with_all).max() > 1e-3


def test_a_switch_that_the_file_lacks_is_as_in_a_new_patch():
    engine, told = vita.Synth(), json.loads(files.write(patch(**ALL_ON)[0]))
    given_ = [engine.get_control_details(name).default_value for name in SWITCHES]
    for name in SWITCHES:
        del told["settings"][name]
    human = dict(zip(SPEC.names, SPEC.to_human(files.to_params(told)).tolist(), strict=True))
    found = [human[name] > 0 for name in ("osc1.level", "osc2.level", "noise.level", "filter1.mix", "filter2.mix")]
    assert found == [bool(default) for default in given_]


def test_a_modulation_that_is_bypassed_is_none():
    told = json.loads(files.write(patch(**{"mod.env_2_to_filter_1_cutoff": 0.5})[0]))
    amount = SPEC.index("mod.env_2_to_filter_1_cutoff")
    told["settings"]["modulation_1_bypass"] = 1.0
    assert SPEC.to_human(files.to_params(told))[amount] == pytest.approx(0)
    told["settings"]["modulations"][40] = told["settings"]["modulations"][0]  # the same again, and not bypassed
    told["settings"]["modulation_41_amount"] = 0.25
    assert SPEC.to_human(files.to_params(told))[amount] == pytest.approx(0.25)


def test_a_preset_that_names_no_note_plays_c4_for_a_second():
    told = json.loads(TEXT) | {"comments": "A fat bass."}
    assert SPEC.to_human(files.to_params(told))[-3:].tolist() == pytest.approx([60, 100, 1])
    told["comments"] = "Mine. Play MIDI note 33 at velocity 64 and hold it for 0.456 s."
    assert SPEC.to_human(files.to_params(told))[-3:].tolist() == pytest.approx([33, 64, 0.456])


# the command line


def test_match_writes_files_that_play_what_was_scored(capsys, tmp_path):
    code, told, _ = run(
        capsys, "match", EXAMPLE, "--synth", "vital", "--renders", "4", "--candidates", "2", "--out", tmp_path, "--json"
    )
    folder = tmp_path / EXAMPLE.stem
    assert code == 0
    assert {path.name for path in folder.iterdir()} >= {"match.vital", "match.mid", "candidate-2.vital", "patch.json"}
    row = files.to_params(files.read(folder / "match.vital"))
    sound = synth("vital").render(row[None])[0] * 10 ** (json.loads(told)["gain_db"] / 20)
    np.testing.assert_allclose(soundfile.read(folder / "match.wav")[0], sound, atol=1e-4)
    played = tmp_path / "played.wav"
    assert run(capsys, "render", folder / "match.vital", "--out", played)[0] == 0
    heard = soundfile.read(played)[0] * 10 ** (json.loads(told)["gain_db"] / 20)
    np.testing.assert_allclose(soundfile.read(folder / "match.wav")[0], heard, atol=1e-4)
    assert run(capsys, "render", folder / "match.vital", "--note", "200", "--out", played)[0] == UsageError.exit_code


def test_without_the_engine_there_is_one_clear_sentence(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(vital, "find_spec", lambda name: None)
    code, _, err = run(capsys, "match", EXAMPLE, "--synth", "vital", "--out", tmp_path)
    assert code == UsageError.exit_code
    assert is_one_sentence(err)
    assert vital.INSTALL in [missing["fix"] for missing in json.loads(run(capsys, "doctor", "--json")[1])["missing"]]


def test_the_engine_is_imported_without_torch():
    code = "import sys, unsynth.synths.vital_engine; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


TEXT = files.write(patch()[0])
