"""Presets by sound: what is kept comes back, only what changed is heard again, and a sound finds its preset."""

import math
import os
import tempfile
from itertools import pairwise
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unsynth.audio import SILENT
from unsynth.base import EngineError, NotFoundError, OutputError, PatchError, Synth, UsageError
from unsynth.params import Param, ParamSpec
from unsynth.presets import patch
from unsynth.presets.saved import Preset
from unsynth.search import collect, index, library
from unsynth.search.collect import Collector, hear
from unsynth.search.library import File, Heard, Library, Stamp
from unsynth.synths import SYNTHS

LEVELS = ("silent", "heard", "broken")


class Tones(Synth):
    """Harmonics of a note, some of which are louder."""

    name = "tones"
    spec = ParamSpec(
        "tones",
        [
            Param("note.pitch", 24, 96, kind="integer"),
            Param("level", 0, 2, kind="categorical", choices=LEVELS),
            *(Param(f"harmonic_{n}") for n in range(1, 9)),
        ],
    )
    rate, seconds, differentiable = 44100, 1.0, False
    rendered = 0

    def render(self, params, noise=None):
        pitch, level, *strengths = self.spec.to_human(params).unbind(1)
        if LEVELS.index("broken") in level.tolist():
            raise EngineError("The engine failed.")
        Tones.rendered += len(params)
        time = torch.arange(self.rate) / self.rate
        hertz = 440 * 2 ** ((pitch[:, None] - 69) / 12)
        waves = [a[:, None] * torch.sin(2 * math.pi * n * hertz * time) for n, a in enumerate(strengths, start=1)]
        return torch.stack(waves).sum(0) * (-3 * time).exp() * level[:, None] / 20


SPEC = Tones.spec


@pytest.fixture(autouse=True)
def tones(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setitem(SYNTHS, "tones", Tones)
    monkeypatch.setattr(Tones, "rendered", 0)


def params(seed, level="heard", note=60):
    strengths = torch.rand(8, generator=torch.Generator().manual_seed(seed)) ** 4
    return SPEC.to_unit(torch.cat([torch.tensor([float(note), float(LEVELS.index(level))]), strengths]))


def write(path, row):
    made = patch.Patch("tones", SPEC.hash, tuple(row.tolist()), 0, 0.0, 0.0, {}, 0.0, 0, 0, "0")
    path.write_text(patch.to_json(made, SPEC))
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine").mkdir()
    for seed in range(12):
        write(tmp_path / "mine" / f"{seed}.json", params(seed))
    return tmp_path / "mine"


def taken(folder, path, **options):
    """The library, what rendered how many presets, and what was told about the others."""
    told = []
    collector = Collector(path, group=4, **options)
    found = collector([folder], lambda done, files: None, told.append)
    return found, collector, told


def same(one, other):
    return list(one.files) == list(other.files) and all(
        a.stamp == b.stamp and len(a.presets) == len(b.presets) and all(map(same_preset, a.presets, b.presets))
        for a, b in zip(one.files.values(), other.files.values(), strict=True)
    )


def same_preset(one, other):
    facts = [(h.preset.synth, h.preset.name, h.preset.slot, h.preset.noise) for h in (one, other)]
    tensors = [(h.preset.params, h.semitones, h.features) for h in (one, other)]
    return facts[0] == facts[1] and all(a.dtype == b.dtype and a.equal(b) for a, b in zip(*tensors, strict=True))


# on disk


@st.composite
def heard(draw, synth):
    notes, seed = draw(st.integers(0, 3)), draw(st.integers(0, 2**31))
    generator = torch.Generator().manual_seed(seed)
    row = torch.rand(draw(st.integers(1, 5)), generator=generator)
    slot, noise = draw(st.none() | st.integers(1, 32)), draw(st.integers(0, 2**63 - 1))
    features = torch.randint(256, (notes, library.WIDTH), generator=generator, dtype=torch.uint8)
    semitones = torch.randint(-48, 49, (notes,), generator=generator, dtype=torch.int8)
    return Heard(Preset(synth, draw(st.text()), slot, row, noise), semitones, features)


@st.composite
def libraries(draw):
    files = {}
    for path in draw(st.lists(st.text(), unique=True, max_size=4)):
        synth = draw(st.text())
        numbers = [draw(st.integers(0, 2**62)) for _ in range(2)]
        stamp = Stamp(*numbers, synth, draw(st.text()), draw(st.integers(0, 4)))
        files[path] = File(stamp, draw(st.lists(heard(synth), max_size=3)))
    return Library(files)


@settings(max_examples=60, deadline=None)
@given(libraries())
def test_what_is_saved_is_what_is_loaded(made):
    with tempfile.TemporaryDirectory() as where:
        path = Path(where) / "presets.safetensors"
        made.save(path)
        assert same(Library.load(path), made)
        assert os.listdir(where) == [path.name]


@pytest.mark.parametrize("damage", ["cut", "text", "another index", "files", "count"])
def test_what_is_no_library_is_refused(folder, tmp_path, damage):
    path = tmp_path / "presets.safetensors"
    taken(folder, path)
    content = path.read_bytes()
    if damage == "another index":
        index.write(path, {"codes": torch.zeros(1)}, {"format": index.FORMAT})
    else:
        damaged = {
            "cut": content[: len(content) // 2],
            "text": b"no library",
            "files": content.replace(b'\\"presets\\"', b'\\"perstes\\"'),
            "count": content.replace(b'\\"octaves\\"', b'\\"octavia\\"'),
        }
        path.write_bytes(damaged[damage])
    with pytest.raises(PatchError, match="index presets"):
        Library.load(path)
    with pytest.raises(NotFoundError, match="index presets"):
        Library.load(tmp_path / "none")


def expected(sound, edges=(*index.EDGES, 401)):
    """dB under the loudest, as the published spectral distance has its middle scale, averaged over the segments."""
    padded = torch.nn.functional.pad(sound, (0, 176400 - len(sound)))
    mel = librosa.feature.melspectrogram(
        y=padded.numpy(), sr=44100, n_fft=1102, hop_length=441, n_mels=64, pad_mode="constant"
    )
    decibels = librosa.power_to_db(mel, ref=np.max, amin=1e-10, top_db=80)
    return np.concatenate([decibels[:, a:b].mean(1) for a, b in pairwise(edges)])


def test_a_byte_keeps_a_value_to_half_a_step():
    for sound in Tones().render(torch.stack([params(1), params(2)])):
        (kept,) = library.features(sound[None])
        assert len(kept) == library.WIDTH
        np.testing.assert_allclose(-kept.float().numpy() * 80 / 255, expected(sound), atol=0.51 * 80 / 255)


# what is heard


def test_each_preset_is_heard_at_its_octaves():
    (found,) = hear(Tones(), [Preset("tones", "a", None, params(3, note=72))], octaves=2)
    assert found.semitones.tolist() == [-24, -12, 0, 12, 24]
    (edge,) = hear(Tones(), [Preset("tones", "a", None, params(3, note=90))], octaves=1)
    assert edge.semitones.tolist() == [-12, 0]
    for step, row in zip(found.semitones.tolist(), found.features, strict=True):
        alone = Tones().render(params(3, note=72 + step)[None])
        assert library.features(alone)[0].equal(row)


def test_silence_is_remembered_but_never_found(folder, tmp_path):
    write(folder / "silent.json", params(5, "silent"))
    found, _, told = taken(folder, tmp_path / "index")
    assert len(found.files) == 13
    assert len(found) == 12
    assert told == []
    assert len(found.nearest(Tones().render(params(5)[None]), 100)) == 12
    assert taken(folder, tmp_path / "index")[1].rendered == 0


def test_a_sound_finds_its_preset_at_any_level_with_noise_and_in_another_octave(folder, tmp_path):
    found, *_ = taken(folder, tmp_path / "index")
    for seed in range(12):
        sound = Tones().render(params(seed, note=72)[None])
        noise = SILENT / 100 * torch.randn(sound.shape, generator=torch.Generator().manual_seed(seed))
        first, second = found.nearest(sound / 7 + noise, 2)
        assert Path(first.file).stem == str(seed) == first.preset.name
        assert first.semitones == 12
        assert library.note_of(first) == 72
        assert first.distance < second.distance


def test_distances_are_mean_differences_in_decibels(folder, tmp_path):
    found, *_ = taken(folder, tmp_path / "index", octaves=0)
    sounds = Tones().render(torch.stack([params(seed) for seed in range(12)]))
    distances = {one.preset.name: one.distance for one in found.nearest(sounds[4:5], 12)}
    for seed in range(12):
        difference = np.abs(expected(sounds[4]) - expected(sounds[seed])).mean()
        assert distances[str(seed)] == pytest.approx(difference, abs=80 / 255)
    assert distances["4"] == 0


def test_presets_with_the_same_parameters_are_found_once(folder, tmp_path):
    write(folder / "again.json", params(3))
    found, *_ = taken(folder, tmp_path / "index")
    assert len(found) == 13
    names = [one.preset.name for one in found.nearest(Tones().render(params(3)[None]), 13)]
    assert len(names) == 12
    assert names[0] == "3"
    assert found.nearest(Tones().render(params(3)[None]), 13, synth="voice") == []


# again


def test_only_what_is_new_or_changed_is_heard_again(folder, tmp_path):
    path = tmp_path / "index"
    assert taken(folder, path)[1].rendered == 12
    assert Tones.rendered == 36
    before = path.stat().st_mtime_ns
    assert taken(folder, path)[1].rendered == 0
    assert path.stat().st_mtime_ns == before
    write(folder / "3.json", params(99))
    write(folder / "new.json", params(98))
    found, collector, _ = taken(folder, path)
    assert collector.rendered == 2
    assert Tones.rendered == 36 + 6
    assert found.nearest(Tones().render(params(99)[None]), 1)[0].preset.name == "3"
    assert same(Library.load(path), found)
    assert taken(folder, path, octaves=0)[1].rendered == 13


def test_files_that_are_gone_are_forgotten_and_other_folders_are_not(folder, tmp_path):
    (tmp_path / "other").mkdir()
    path = tmp_path / "index"
    taken(folder, path)
    elsewhere = write(tmp_path / "other" / "far.json", params(50))
    (folder / "7.json").unlink()
    found, collector, _ = taken(tmp_path / "other", path)
    assert collector.rendered == 1
    names = {Path(file).name for file in found.files}
    assert names == {f"{n}.json" for n in range(12) if n != 7} | {elsewhere.name}
    assert same(Library.load(path), found)


def test_a_run_that_was_stopped_goes_on_to_the_same_library(folder, tmp_path):
    def stop(done, files):
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Collector(tmp_path / "stopped", group=4)([folder], stop, pytest.fail)
    assert len(Library.load(tmp_path / "stopped").files) == 4
    again, collector, _ = taken(folder, tmp_path / "stopped")
    assert collector.rendered == 8
    whole, *_ = taken(folder, tmp_path / "whole")
    assert same(again, whole)


def test_it_is_written_now_and_then(folder, tmp_path, monkeypatch):
    """A kill cannot be caught: what is on disk when it comes is what is left."""
    sizes, path = [], tmp_path / "index"

    def look(done, files):
        if path.exists():
            sizes.append(len(Library.load(path).files))

    Collector(path, group=4, every=0)([folder], look, pytest.fail)
    assert sizes == [4, 8]


# what cannot be used


def test_bad_files_are_told_and_the_others_go_on(folder, tmp_path):
    (folder / "bank.syx").write_bytes(b"no bank")
    (folder / "other.vital").write_text("{}")
    (folder / "cut.json").write_text((folder / "1.json").read_text()[:200])
    (folder / "notes.json").write_text('{"not": "a patch"}')
    write(folder / "broken.json", params(5, "broken"))
    found, collector, told = taken(folder, tmp_path / "index")
    assert sorted(found.files) == sorted(str(folder / f"{n}.json") for n in range(12))
    assert collector.skipped == 4
    for name in ("bank.syx", "other.vital", "cut.json", "broken.json"):
        assert sum(name in str(error) for error in told) == 1
    assert len(told) == 4


def test_a_synth_without_engine_is_told_once(folder, tmp_path, monkeypatch):
    def lacking(self, params, noise=None):
        raise UsageError("The synth tones needs an engine.")

    monkeypatch.setattr(Tones, "render", lacking)
    found, collector, told = taken(folder, tmp_path / "index")
    assert [str(error) for error in told] == ["The synth tones needs an engine."]
    assert collector.skipped == 12
    assert found.files == {}
    assert not (tmp_path / "index").exists()


def test_an_unwritable_place_is_told_before_anything_is_rendered(folder, tmp_path):
    for place in (folder, folder / "1.json" / "index"):
        with pytest.raises(OutputError):
            taken(folder, place)
    assert Tones.rendered == 0


def test_what_there_is_to_read(folder, tmp_path):
    (folder / ".hidden").mkdir()
    write(folder / ".hidden" / "no.json", params(0))
    assert len(collect.find([folder, folder / "1.json"])) == 12
    assert len(collect.find([folder], "dexed" if (folder / "a.syx").write_bytes(b"") else "tones")) == 12
    (folder / "bank.syx").write_bytes(b"")
    assert [path.name for path in collect.find([folder], "dexed") if path.suffix == ".syx"] == ["a.syx", "bank.syx"]
    (tmp_path / "empty").mkdir()
    for bad, error in ((tmp_path / "none", NotFoundError), (tmp_path / "empty", NotFoundError)):
        with pytest.raises(error):
            collect.find([bad])
    with pytest.raises(UsageError, match="dexed"):
        collect.find([folder], "moog")
