"""Any VST3 instrument: what is found out about it, with a pretend plugin and, where they were built, with real ones."""

import json
import os
from types import SimpleNamespace

import mido
import numpy as np
import pytest
import soundfile
import torch
from commands import EXAMPLE, is_one_sentence, one_thread, run  # noqa: F401
from plugins import REASON, plugin

from unsynth.base import EngineError, NotFoundError, PatchError, UsageError
from unsynth.presets import patch
from unsynth.synths import plugin as plugins, plugin_engine, plugin_profile, synth


class Knob:
    """As pedalboard has a parameter; some share one value."""

    is_automatable = True
    label = ""

    def __init__(self, index, name, text, steps=2**31 - 1, shared=None):
        self.index, self.name, self.num_steps, self.text = index, name, steps, text
        self.shared = shared or {"value": 0.25}

    raw_value = property(lambda self: self.shared["value"], lambda self, value: self.shared.update(value=value))

    def get_text_for_raw_value(self, value):
        return self.text(value)


def percent(value):
    return f"{100 * value:.1f} %"


class Pretend:
    """A saw of a level; what it was told before can be heard until it is reset as ``forgets`` says."""

    name, version = "Pretend", "1"

    def __init__(self, path, forgets="reset"):
        level = {"value": 0.5}
        self.forgets, self.past = forgets, 0.0
        self._parameters = [
            Knob(0, "MIDI CC 1", percent),
            Knob(1, "Level", percent, shared=level),
            Knob(2, "Output Level", percent, shared=level),
            Knob(3, "Wave", lambda v: ["Saw", "Square", "Saw"][min(2, round(2 * v))], steps=3),
            Knob(4, "Octave", lambda v: str(round(4 * v) - 2), steps=5),
            Knob(5, "Sync", lambda v: "Off" if v < 0.5 else "On", steps=2),
            Knob(6, "Unheard", percent),
            Knob(7, "Bypass", percent),
            Knob(8, "Style", lambda v: ["thin", "wide", "odd"][min(2, int(3 * v))]),
            Knob(9, "Warp", lambda v: f"{v**3:.3f}"),
            Knob(10, "Level", percent),
        ]

    def reset(self):
        if self.forgets == "flush":
            self.past = 0.0

    def process(self, keys, *, duration, sample_rate, num_channels, reset):
        if num_channels == 2:
            raise ValueError("Plugin 'Pretend' does not support 2-channel output.")
        if self.forgets == "reset":
            self.past = 0.0
        heard = [knob.raw_value for knob in self._parameters if knob.name not in ("Unheard", "Bypass", "MIDI CC 1")]
        sound = np.zeros((1, round(duration * sample_rate)), np.float32)
        if keys:
            sound[0, :8] = [
                *heard,
            ]
            sound += self.past
            if self.forgets == "never":
                sound += np.random.default_rng().random()
            self.past = heard[0] + 0.1
        return sound


@pytest.fixture
def pretend(monkeypatch):
    monkeypatch.setattr(plugin_profile, "SCAN", 128)

    def use(forgets):
        monkeypatch.setattr(plugin_engine, "load", lambda path: Pretend(path, forgets))

    use("reset")
    return use


def test_parameters_are_typed_and_what_shapes_no_sound_is_left_out(pretend):
    told = plugin_profile.profile("Pretend.vst3", 0.1)
    params = {param["name"]: param for param in told["params"]}
    assert {name: param["kind"] for name, param in params.items()} == {
        "level": "continuous", "wave": "categorical", "octave": "integer", "sync": "categorical",
        "style": "categorical", "warp": "continuous", "level_2": "continuous",
    }  # fmt: skip
    assert params["wave"]["choices"] == ["Saw 1", "Square", "Saw 3"]
    assert params["sync"]["choices"] == ["off", "on"]
    assert params["style"]["choices"] == ["thin", "wide", "odd"]
    assert params["style"]["values"] == pytest.approx((1 / 6, 1 / 2, 5 / 6), abs=0.01)
    assert (params["octave"]["low"], params["octave"]["high"]) == (-2, 2)
    assert (params["level"]["high"], params["level"]["unit"]) == (100, "%")
    assert (params["warp"]["high"], params["warp"]["unit"]) == (1, "")  # not linear
    assert set(told["dropped"]) == {"MIDI CC 1", "Output Level", "Unheard", "Bypass"}
    assert told["dropped"]["Output Level"] == "the same as Level"
    assert told["channels"] == 1


@pytest.mark.parametrize("forgets", ["reset", "flush", "fresh"])
def test_the_past_is_forgotten_by_the_cheapest_way_that_works(pretend, forgets):
    pretend(forgets)
    told = plugin_profile.profile("Pretend.vst3", 0.1)
    assert (told["deterministic"], told["reset"]) == (True, forgets)


@pytest.mark.parametrize(("dear", "reset"), [(60, "fresh"), (-1, "flush")])
def test_a_plugin_that_cannot_repeat_itself_is_called_that_and_forgets_as_much_as_it_can(
    pretend, monkeypatch, dear, reset
):
    pretend("never")
    monkeypatch.setattr(plugin_profile, "DEAR", dear)
    told = plugin_profile.profile("Pretend.vst3", 0.1)
    assert not told["deterministic"]
    assert told["reset"] == reset
    assert "Unheard" not in told["dropped"]


def saved(tmp_path, monkeypatch, **changes):
    """A profile in a file, of a plugin that this user has used."""
    monkeypatch.setenv("UNSYNTH_DATA", str(tmp_path / "data"))
    file, told = tmp_path / "p.json", plugin_profile.profile(str(tmp_path / "Pretend.vst3"), 0.1) | changes
    for path in (file, plugins.own(told["path"])):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({name: value for name, value in told.items() if value is not None}))
    return file


def heard(monkeypatch):
    """How long the engine may take, each time that one is asked for sounds."""
    waits = []

    def played(engine, samples, rows, workers, **wait):
        waits.append(wait)
        return torch.full((len(rows), samples), 0.5)

    monkeypatch.setattr(plugins, "played", played)
    return waits


def test_slow_plugins_are_waited_for(pretend, tmp_path, monkeypatch):
    waits = heard(monkeypatch)
    quick = json.loads(saved(tmp_path, monkeypatch).read_text())
    assert (quick["timeout"], quick["start_timeout"]) == (20, 60)
    monkeypatch.setattr(plugin_profile, "SLACK", 1e9)
    slow = saved(tmp_path, monkeypatch)
    told = json.loads(slow.read_text())
    assert min(told["timeout"], told["start_timeout"]) > 60
    monkeypatch.setattr(plugins, "LONGEST_WAIT", 1e12)
    plugins.Plugin(str(slow)).render(torch.rand(1, 10))
    old = saved(tmp_path, monkeypatch, timeout=None, start_timeout=None)
    plugins.Plugin(str(old)).render(torch.rand(1, 10))
    assert waits == [{name: told[name] for name in ("timeout", "start_timeout")}, {"timeout": 20, "start_timeout": 60}]


@pytest.mark.parametrize("wait", [0, -1, float("nan"), float("inf"), "x", []])
def test_a_profile_with_impossible_waits_is_none(pretend, tmp_path, monkeypatch, wait):
    with pytest.raises(PatchError):
        plugins.read(saved(tmp_path, monkeypatch, timeout=wait))


def test_a_patch_of_a_plugin_is_played_from_any_folder(pretend, tmp_path, monkeypatch, capsys):
    file = saved(tmp_path, monkeypatch)
    heard(monkeypatch)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    specs = [synth(f"plugin:{path}").spec for path in ("p.json", "./elsewhere/../p.json", file)]
    assert len({spec.hash for spec in specs}) == 1
    assert specs[0].synth == f"plugin:{file}"
    made = patch.Patch(specs[0].synth, specs[0].hash, (0.5,) * 10, 0, 0.0, 0.0, {}, 0.0, 0, 0, "0")
    (tmp_path / "patch.json").write_text(patch.to_json(made, specs[0]))
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, out, err = run(capsys, "render", "../patch.json", "--out", "a.wav")
    assert (code, out, err) == (0, "a.wav\n", "")
    assert soundfile.info("a.wav").frames == 4410


def test_rows_are_raw_values(pretend, tmp_path):
    file = tmp_path / "profile.json"
    file.write_text(json.dumps(plugin_profile.profile("Pretend.vst3", 0.1)))
    instrument = plugins.Plugin(str(file))
    names = instrument.spec.names
    human = {"plugin.level": 25, "plugin.wave": 1, "plugin.octave": 1, "plugin.sync": 1, "plugin.style": 2}
    unit = instrument.spec.to_unit(torch.tensor([[human.get(name, 0.0) for name in names]]))
    rows = dict(zip(names, instrument.rows(unit)[0].tolist(), strict=True))
    expected = {
        "plugin.level": 0.25,
        "plugin.wave": 0.5,
        "plugin.octave": 0.75,
        "plugin.sync": 1,
        "plugin.style": 5 / 6,
    }
    assert {name: rows[name] for name in human} == pytest.approx(expected, abs=0.01)
    assert names[-3:] == ("note.pitch", "note.velocity", "note.length")
    engine = plugin_engine.Engine(str(file))
    sound = engine(instrument.rows(unit)[0].numpy())
    assert sound[:3] == pytest.approx([0.25, 0.25, 0.5])
    told = json.loads(file.read_text())
    told["params"][0]["host_name"] = "Gain"
    file.write_text(json.dumps(told))
    with pytest.raises(ValueError, match="no longer has Gain"):
        plugin_engine.Engine(str(file))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": "unsynth.plugin/1", "params": [1]}', "\xff"])
def test_what_is_no_profile(tmp_path, text):
    (tmp_path / "p.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(PatchError, match="unsynth synths profile"):
        synth(f"plugin:{tmp_path / 'p.json'}")


def test_what_is_no_plugin(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("UNSYNTH_DATA", str(tmp_path / "data"))
    with pytest.raises(NotFoundError, match="no plugin at"):
        synth("plugin:/nowhere.vst3")
    (tmp_path / "bad.vst3").write_text("this is no plugin")
    monkeypatch.setattr(plugins, "find_spec", lambda name: None)
    code, _, err = run(capsys, "synths", "profile", tmp_path / "bad.vst3")
    assert (code, bool(is_one_sentence(err)), plugins.INSTALL in err) == (UsageError.exit_code, True, True)
    monkeypatch.setattr(plugins, "find_spec", lambda name: SimpleNamespace())
    code, _, err = run(capsys, "synths", "profile", tmp_path / "bad.vst3")
    assert (code, bool(is_one_sentence(err))) == (EngineError.exit_code, True)
    assert not list((tmp_path / "data").rglob("*.json"))


# real plugins


def needs(name):
    return pytest.mark.skipif(not plugin(name).exists(), reason=REASON)


@pytest.fixture(scope="module")
def nekobi(tmp_path_factory):
    pytest.importorskip("pedalboard", reason="needs pedalboard: pip install 'unsynth[plugin]'")
    path = str(plugin("Nekobi"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("UNSYNTH_DATA", str(tmp_path_factory.mktemp("data")))
        yield plugins.Plugin(str(plugins.make(path, plugins.own(path), 0.5)))


@needs("Nekobi")
def test_a_real_plugin_is_profiled_and_repeats_itself(nekobi):
    told = nekobi.profile
    kinds = {param["name"]: param["kind"] for param in told["params"]}
    assert kinds == {
        "waveform": "categorical",
        **dict.fromkeys(("tuning", "cutoff", "vcf_resonance", "env_mod", "decay", "accent", "volume"), "continuous"),
    }
    assert told["deterministic"]
    assert told["reset"] == "fresh"  # its accent is left from the note before
    assert len(told["dropped"]) == 1  # 2,080 MIDI controllers
    params = torch.rand(6, len(nekobi.spec), generator=torch.Generator().manual_seed(0))
    sounds = nekobi.render(params)
    assert torch.equal(nekobi.render(params.flip(0)).flip(0), sounds)
    assert sounds.abs().amax(1).min() > 1e-3


@needs("Nekobi")
def test_match_writes_presets_that_play_what_was_scored(nekobi, capsys, tmp_path):
    name = f"plugin:{nekobi.profile_file}"
    options = ["--synth", name, "--renders", "12", "--candidates", "2", "--out", tmp_path, "--json"]
    code, told, _ = run(capsys, "match", EXAMPLE, *options)
    folder = tmp_path / EXAMPLE.stem
    assert code == 0
    assert {path.name for path in folder.iterdir()} >= {"match.vstpreset", "match.mid", "candidate-2.vstpreset"}
    found = soundfile.read(folder / "match.wav")[0]
    assert run(capsys, "render", folder / "patch.json", "--out", tmp_path / "again.wav")[0] == 0
    np.testing.assert_allclose(found, soundfile.read(tmp_path / "again.wav")[0], atol=1e-4)
    on, off = [message for message in mido.MidiFile(folder / "match.mid") if message.type.startswith("note")]
    loaded = plugin_engine.load(str(plugin("Nekobi")))
    loaded.preset_data = (folder / "match.vstpreset").read_bytes()
    keys = [([0x90, on.note, on.velocity], 0.0), ([0x80, on.note, 0], off.time)]
    heard = loaded.process(keys, duration=0.5, sample_rate=44100, num_channels=1)[0]
    np.testing.assert_allclose(found, heard * 10 ** (json.loads(told)["gain_db"] / 20), atol=1e-3)


@needs("Kars")
def test_a_real_plugin_with_random_numbers_is_called_that(capsys, tmp_path):
    file = tmp_path / "kars.json"
    code, told, _ = run(capsys, "synths", "profile", plugin("Kars"), "--out", file)
    assert (code, told.splitlines()[-1]) == (0, str(file))
    assert "the same patch differs every time" in told
    assert os.path.getsize(file) < 4000
