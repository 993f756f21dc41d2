"""The list of real one-shots is a sound split, the script makes what it lists, and the bundled examples are small."""

import importlib.util
import shutil
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from unsynth.base import NotFoundError, UnusableError

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.flac"))


def load_script():
    spec = importlib.util.spec_from_file_location("one_shots", ROOT / "bench" / "one_shots.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


one_shots = load_script()
ROWS = one_shots.read_list()
DRUMS = one_shots.read_list(one_shots.LISTS["drums"])
ONE_OF_EACH_SOURCE = list({row.source: row for row in [*ROWS, *DRUMS]}.values())


@pytest.mark.parametrize(("rows", "least"), [(ROWS, 200), (DRUMS, 100)])
def test_list_is_large_and_names_are_unique(rows, least):
    assert len(rows) >= least
    assert len({row.name for row in rows}) == len(rows)
    assert len({row.crc32 for row in rows}) == len(rows)


def test_sounds_are_audible_and_at_most_four_seconds():
    assert all(0.05 <= row.seconds <= 4 for row in [*ROWS, *DRUMS])
    assert all(row.rms > 1e-3 for row in [*ROWS, *DRUMS])


def test_drums_are_for_testing_alone_and_there_are_some_of_each_kind():
    assert {row.split for row in DRUMS} == {"test"}
    number = Counter(row.family for row in DRUMS)
    assert set(number) == {"kick", "snare", "tom", "hat", "clap", "cymbal", "percussion"}
    assert min(number.values()) >= 5


def test_splits_share_no_recordings():
    splits = defaultdict(set)
    for row in ROWS:
        for key in (("group", row.group), ("sound", row.source, row.program, row.note, row.file)):
            splits[key].add(row.split)
        if row.source == "gm":
            splits["program", row.program].add(row.split)
    assert not [key for key, found in splits.items() if len(found) > 1]


def test_every_family_is_in_both_splits():
    number = Counter((row.family, row.split) for row in ROWS)
    assert {split for _, split in number} == {"validation", "test"}
    for family in {row.family for row in ROWS}:
        assert min(number[family, "validation"], number[family, "test"]) >= 2, family
    assert 0.35 < sum(row.split == "validation" for row in ROWS) / len(ROWS) < 0.45


@pytest.mark.parametrize(("gate", "delta"), [(2000, b"\x8f\x50"), (128, b"\x81\x00"), (100, b"\x80\x64")])
def test_midi_file_holds_the_note_for_its_gate(gate, delta):
    data = one_shots.midi_file(channel=9, program=25, note=36, gate=gate)
    track = data[data.index(b"MTrk") + 8 :]
    assert int.from_bytes(data[data.index(b"MTrk") + 4 :][:4], "big") == len(track)
    assert b"\x00\xc9\x19\x00\x99\x24\x64" + delta + b"\x89\x24\x00" in track


def test_pcm_is_mono_and_faded_where_it_is_cut():
    stereo = np.stack([np.full(200, 0.5), np.zeros(200)], axis=1)
    pcm = one_shots.to_pcm(stereo, seconds=100 / one_shots.RATE, fade=10 / one_shots.RATE)
    assert pcm.shape == (100,)
    assert pcm[89] == round(0.25 * one_shots.INT16_MAX)
    assert pcm[-1] == 0


def test_pcm_refuses_what_would_clip():
    with pytest.raises(UnusableError, match="gain"):
        one_shots.to_pcm(np.full((10, 1), 1.1))


def test_other_sounds_do_not_agree_with_the_list():
    pcm = np.full(1000, 1000, dtype="<i2")
    listed = one_shots.measure(ROWS[0], pcm)
    assert one_shots.agrees(listed, one_shots.measure(ROWS[0], pcm + 1))
    assert not one_shots.agrees(listed, one_shots.measure(ROWS[0], pcm[:-1]))
    assert not one_shots.agrees(listed, one_shots.measure(ROWS[0], pcm + 100))


def test_missing_packages_without_apt_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(NotFoundError, match=r"install .*sonic-pi-samples"):
        one_shots.install({"sonic-pi-samples": tmp_path / "absent"})


@pytest.mark.parametrize("row", ONE_OF_EACH_SOURCE, ids=lambda row: row.source)
def test_script_makes_the_listed_sound_and_mends_a_damaged_one(row, tmp_path):
    if not all(path.exists() for path in one_shots.PACKAGES[row.source].values()):
        pytest.skip("needs the Debian packages that bench/one_shots.py installs")
    assert one_shots.agrees(row, one_shots.build_one(row, tmp_path))
    soundfile.write(row.path(tmp_path), np.zeros(10, dtype=np.int16), one_shots.RATE)
    assert one_shots.agrees(row, one_shots.build_one(row, tmp_path))


def test_there_are_a_few_examples_and_the_readme_names_each():
    assert 5 <= len(EXAMPLES) <= 6
    readme = (ROOT / "examples" / "README.md").read_text()
    assert all(f"`{path.name}`" in readme for path in EXAMPLES)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_a_small_validation_sound(path):
    pcm, rate = soundfile.read(path, dtype="int16")
    (listed,) = [row for row in ROWS if row.name == path.stem]
    assert path.stat().st_size <= 100_000
    assert (rate, pcm.ndim) == (44100, 1)
    assert listed.seconds <= 3
    assert (listed.split, listed.source) == ("validation", "sonic-pi")
    assert one_shots.measure(listed, pcm) == listed
