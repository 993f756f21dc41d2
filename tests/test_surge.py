"""Surge XT's parameters and engines. Where there is no engine, what it is told is tested; with one, what it plays."""

import struct
import subprocess
import sys
from io import BytesIO
from types import SimpleNamespace

import fake_surgepy
import mido
import numpy as np
import pytest
import torch

from unsynth.base import UsageError
from unsynth.cli import main
from unsynth.presets import fxp
from unsynth.synths import surge, surge_engine, synth
from unsynth.synths.surge_patch import from_preset, parse
from unsynth.synths.surge_values import facts, new_patch

SPEC = surge.SPEC


def has_engine():
    try:
        return bool(surge_engine.available())
    except UsageError:
        return False


@pytest.fixture
def nothing(monkeypatch):
    """Neither surgepy nor a VST3."""
    monkeypatch.setattr(surge_engine, "find_spec", lambda name: None)
    monkeypatch.setattr(surge_engine, "FOLDERS", ())
    monkeypatch.delenv(surge_engine.PLUGIN, raising=False)


def test_the_spec_is_at_least_the_published_subset_with_its_choices_and_the_note():
    assert len(SPEC) >= 92
    kinds = {param.name: param.kind for param in SPEC.params}
    assert {kinds[n] for n in ("osc1.type", "osc3.type", "filter1.type", "filter2.type")} == {"categorical"}
    assert {"play.note", "play.velocity", "play.hold"} <= kinds.keys()
    assert sum(name.startswith("mod.") for name in kinds) >= 8


def test_defaults_are_within_their_ranges():
    human = torch.tensor([surge.surge_values.to_human(new_patch())])
    assert torch.allclose(SPEC.to_human(SPEC.to_unit(human)), human, atol=1e-4)


def test_raw_values_come_back_for_a_thousand_random_patches():
    raw = surge.to_raw(torch.rand(1000, len(SPEC), generator=torch.Generator().manual_seed(0)))
    again = surge.to_raw(surge.to_params(raw))
    scale = SPEC.column("high") - SPEC.column("low")
    assert ((again - raw).abs() <= 1e-5 * scale.clamp(min=60)).all()


def test_the_note_that_is_heard_is_the_one_in_the_files():
    params = torch.rand(50, len(SPEC), generator=torch.Generator().manual_seed(1))
    holds = surge.to_raw(params)[:, -1].double() * 1000
    assert holds.tolist() == pytest.approx(holds.round().tolist(), abs=1e-3)
    files = fxp.export("a.wav", [str(n) for n in range(50)], params)
    for n, hold in enumerate(holds.tolist()):
        on, off = [m for m in mido.MidiFile(file=BytesIO(files[f"{n}.mid"])) if m.type.startswith("note")]
        assert off.time * 1000 == pytest.approx(hold, abs=1e-3)
        assert from_preset(parse(files[f"{n}.fxp"]))[-3:] == pytest.approx([on.note, on.velocity, hold / 1000])


def test_shares_are_of_the_range_of_the_type():
    human = torch.tensor([surge.surge_values.to_human(new_patch())] * 3)
    human[:, SPEC.index("osc1.type")] = torch.tensor([0.0, 1, 2])  # classic, sine, modern
    human[:, SPEC.index("osc1.p0")] = 0.75
    human[:, SPEC.index("osc1.p4")] = 0.5
    raw = surge.surge_values
    rows = torch.tensor([raw.to_raw(row) for row in human.tolist()])
    assert rows[:, SPEC.index("osc1.type")].tolist() == [0, 1, 8]
    assert rows[:, SPEC.index("osc1.p0")].tolist() == [0.5, 21, 0.5]  # -1..1, 28 shapes, -1..1
    assert rows[:, SPEC.index("osc1.p4")].tolist() == [30, 5, 30]  # sync 0..60, a cut -60..70, sync


def test_a_filter_has_the_subtypes_of_its_type():
    human = torch.tensor(surge.surge_values.to_human(new_patch()))
    human[SPEC.index("filter1.subtype")] = 3
    subtypes = []
    for kind in range(len(facts()["subtypes"])):
        human[SPEC.index("filter1.type")] = kind
        subtypes.append(surge.surge_values.to_raw(human.tolist())[SPEC.index("filter1.subtype")])
    assert subtypes == [0, 2, 2, 3, 2, 2, 2, 1, 2]


def test_the_two_lfos_are_a_symmetry():
    (first, second), *others = SPEC.symmetries
    assert not others
    assert [SPEC.names[i].replace("lfo1", "lfo2") for i in first] == [SPEC.names[i] for i in second]


def test_surgepy_is_told_the_preset_and_the_note(monkeypatch):
    monkeypatch.setitem(sys.modules, "surgepy", fake_surgepy)
    monkeypatch.setattr(fake_surgepy, "LOG", [])
    row = np.array(new_patch(), np.float32)
    row[-3:] = 48, 90, 1.5
    engine = surge_engine.SurgePy()
    sound = engine(row)
    created, (_, file), play, release = fake_surgepy.LOG
    assert (created, play, release) == (("create", 44100.0), ("play", 0, 48, 90), ("release", 0, 48))
    assert from_preset(parse(file))[:-3] == pytest.approx(row[:-3].tolist())
    held = np.flatnonzero(sound == 0.5)  # the mean of both channels
    assert sound.shape == (132300,)
    assert (held[0], abs(held[-1] - 1.5 * 44100) <= 32, len(held)) == (0, True, held[-1] + 1)
    fake_surgepy.LOG.clear()
    engine(row)
    assert fake_surgepy.LOG[0] == created  # a new synth for every patch: nothing is left of the one before


def test_a_plugin_is_told_the_preset_then_settles_and_plays_the_note(monkeypatch):
    told = []

    class FakePlugin:
        preset_data = property(lambda _: b"VST3" + bytes(4) + b"C" * 32 + bytes(8), lambda _, data: told.append(data))

        def __call__(self, keys, *, duration, sample_rate, reset=True):
            told.append((keys, duration, reset))
            return np.ones((2, round(duration * sample_rate)), np.float32)

        def __setattr__(self, name, value):
            pytest.fail("pedalboard looks through every parameter here")

    def load_plugin(path):
        ignored = scan.PARAMETER_NAME_REGEXES_TO_IGNORE
        assert any(regex.match("MIDI CC 0|1") for regex in ignored), "every value of every parameter is tried"
        return FakePlugin()

    scan = SimpleNamespace(PARAMETER_NAME_REGEXES_TO_IGNORE=set())
    monkeypatch.setitem(sys.modules, "pedalboard", SimpleNamespace(load_plugin=load_plugin, _pedalboard=scan))
    row = np.array(new_patch(), np.float32)
    row[-3:] = 48, 90, 1.5
    assert surge_engine.Plugin("Surge XT.vst3")(row).shape == (132300,)
    preset, settle, play = told
    assert preset.startswith(b"VST3\1\0\0\0" + b"C" * 32)
    assert b"sub3" in preset
    assert settle == ([], 0.1, True)
    assert play == ([([0x90, 48, 90], 0.0), ([0x80, 48, 0], 1.5)], 3.0, False)


def test_the_vst3_gets_the_chunk_of_the_preset_as_its_state():
    preset = surge_engine.vst_preset(b"0123456789ABCDEF0123456789ABCDEF", b"sub3 and so on")
    magic, version, plugin, table = struct.unpack_from("<4si32sq", preset)
    assert (magic, version, plugin) == (b"VST3", 1, b"0123456789ABCDEF0123456789ABCDEF")
    assert struct.unpack_from("<4si", preset, table) == (b"List", 1)
    name, offset, size = struct.unpack_from("<4sqq", preset, table + 8)
    assert (name, preset[offset : offset + size]) == (b"Comp", b"sub3 and so on")
    assert table + 8 + 20 == len(preset)


def test_without_an_engine_the_user_is_told_how_to_get_one(nothing):
    with pytest.raises(
        UsageError, match=r"pip install \./surge/src/surge-python.*unsynth\[surge\].*UNSYNTH_SURGE_VST3"
    ):
        synth("surge").render(torch.rand(1, len(SPEC)))


def test_a_plugin_is_found_by_name_and_by_variable(nothing, monkeypatch, tmp_path):
    (tmp_path / "Surge Synth Team" / "Surge XT.vst3").mkdir(parents=True)
    monkeypatch.setattr(surge_engine, "FOLDERS", (str(tmp_path),))
    with pytest.raises(UsageError, match=r"needs pedalboard to play .*Surge XT\.vst3"):
        surge_engine.available()
    monkeypatch.setattr(surge_engine, "find_spec", lambda name: name == "pedalboard" or None)
    assert surge_engine.available() == str(tmp_path / "Surge Synth Team" / "Surge XT.vst3")
    monkeypatch.setenv(surge_engine.PLUGIN, str(tmp_path / "gone.vst3"))
    with pytest.raises(UsageError, match=r"gone\.vst3, which is not there"):
        surge_engine.available()


def test_match_says_in_one_sentence_that_there_is_no_engine(nothing, capsys, tmp_path):
    sound = "examples/bd_boom.flac"
    command = ["match", sound, "--synth", "surge", "--method", "genetic", "--out", str(tmp_path)]
    assert main(command) == UsageError.exit_code
    told = capsys.readouterr().err
    assert "no engine" in told
    assert "Traceback" not in told


def test_synths_lists_the_parameters(capsys):
    assert main(["synths", "surge"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in SPEC.names)


def test_doctor_tells_how_to_get_an_engine(nothing, capsys):
    main(["doctor"])
    assert surge_engine.INSTALL in capsys.readouterr().out


def test_the_engine_is_imported_without_torch():
    code = "import sys, unsynth.synths.surge_engine; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not has_engine(), reason="neither surgepy nor Surge XT's VST3 is installed")
def test_a_real_engine_plays_the_note_and_repeats_itself():
    raw = torch.tensor([new_patch()] * 2)
    raw[1, SPEC.index("play.note")] = 72
    instrument = synth("surge")
    first = instrument.render(surge.to_params(raw))
    assert first.shape == (2, 132300)
    spectrum = torch.fft.rfft(first[:, 22050:66150]).abs()  # of one second, so that bins are Hz
    assert spectrum[:, :1000].argmax(1).tolist() == pytest.approx([261.6, 523.3], abs=2)
    assert torch.allclose(instrument.render(surge.to_params(raw.flip(0))).flip(0), first, atol=1e-4)
