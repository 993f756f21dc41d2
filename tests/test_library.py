"""A library of presets: what is kept comes back, and a sound finds its preset."""

import os
import tempfile
from itertools import pairwise
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from tones import Tones, known, params, same, taken, twelve, write  # noqa: F401

from unsynth.audio import SILENT
from unsynth.base import NotFoundError, PatchError
from unsynth.presets.saved import Preset
from unsynth.search import index, library
from unsynth.search.collect import hear
from unsynth.search.library import File, Heard, Library, Stamp

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


@pytest.mark.parametrize("damage", ["cut", "text", "another index", "files", "count", "features"])
def test_what_is_no_library_is_refused(folder, tmp_path, damage):
    path = tmp_path / "presets.safetensors"
    taken(folder, path)
    content = path.read_bytes()
    if damage == "another index":
        index.write(path, {"codes": torch.zeros(1)}, {"format": index.FORMAT})
    elif damage == "features":
        tensors, metadata = index.read(path, "library")
        index.write(path, tensors | {"features": tensors["features"][:, 1:].contiguous()}, metadata)
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
    """dB under the loudest, as the published distance has its middle scale, averaged over segments."""
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
        noise = SILENT * torch.randn(sound.shape, generator=torch.Generator().manual_seed(seed))
        first, second = found.nearest(sound / 7 + noise, 2)
        assert Path(first.file).stem == str(seed) == first.preset.name
        assert first.semitones == 12
        assert library.note_of(first) == 72
        assert first.distance < second.distance


def test_noise_hides_what_is_softer_than_it(folder, tmp_path):
    """As much as is over four seconds in the tail of a sound of one would else be all that counts."""
    found, *_ = taken(folder, tmp_path / "index", octaves=0)
    generator = torch.Generator().manual_seed(0)
    for seed in range(12):
        sound = torch.nn.functional.pad(Tones().render(params(seed)[None]), (0, 3 * 44100))
        noise = 0.03 * sound.square().mean().sqrt() * torch.randn(sound.shape, generator=generator)
        assert found.nearest(sound + noise, 1)[0].preset.name == str(seed)


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
