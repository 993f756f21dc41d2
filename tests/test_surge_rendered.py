"""Rendered sets: a tiny one is made here, with values as surgepy names them."""

import io
import os
import tarfile
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from unsynth.base import NotFoundError, PatchError, UnreadableError
from unsynth.sounds import surge_rendered as rendered
from unsynth.sounds.source import SPLITS
from unsynth.synths import surge, synth
from unsynth.synths.surge_values import facts, new_patch

FACTS = os.environ.get("UNSYNTH_SURGE_FACTS")  # a folder with data/*.tar and .npz
NAMES = ["scene/0/osc/0/type", "scene/0/osc/0/p/0", "scene/0/filterunit/0/cutoff", "note", "hold_s"]
RATE = 44100


def ogg(level, rate=RATE):
    file = io.BytesIO()
    soundfile.write(file, np.full(rate // 10, level, np.float32), rate, format="FLAC")
    return file.getvalue()


def shard(folder, name, first, count, gain=0.5, rate=RATE):
    with tarfile.open(folder / f"{name}.tar", "w") as tar:
        for i in range(count):
            data = ogg((first + i) / 1000, rate)
            info = tarfile.TarInfo(f"{first + i:08}.ogg")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    params = np.array([[1, 21, i - 10.5, 40 + i, 1.25] for i in range(count)], np.float32)
    np.savez(folder / f"{name}.npz", params=params, names=np.array(NAMES), gain=np.full(count, gain, np.float32))


@pytest.fixture
def folder(tmp_path):
    shard(tmp_path, "surge-000", 0, 20)
    shard(tmp_path, "surge-001", 100, 15)
    return tmp_path


def source(folder):
    return rendered.SurgeRendered(surge.Surge(), str(folder))


def test_a_split_has_its_sounds_once_with_their_own_parameters_and_audio(folder):
    there = [*range(20), *range(100, 115)]
    places = {"train": range(8), "validation": (8,), "test": (9,)}
    for split in SPLITS:
        size = source(folder).size(split)
        found = source(folder).take(split, 0, size)
        assert sorted(found.ids.tolist()) == [i for i in there if i % 10 in places[split]]
        raw = surge.to_raw(found.params)
        assert found.audio.shape == (size, 132300)
        assert torch.allclose(found.audio[:, 100], found.ids / 1000 / 0.5, atol=1e-4)  # the limiting is undone
        assert not found.audio[:, RATE // 10 :].any()
        assert raw[:, surge.SPEC.index("play.note")].tolist() == (40 + found.ids % 100).tolist()
        cutoff = raw[:, surge.SPEC.index("filter1.cutoff")]
        assert torch.allclose(cutoff, found.ids % 100 - 10.5, atol=1e-4)


def test_what_a_set_does_not_name_is_as_in_a_new_patch(folder):
    raw = surge.to_raw(source(folder).take("train", 0, 1).params)[0]
    named = [[param.get("path") for param in facts()["params"]].index(name) for name in NAMES]
    rest = [i for i in range(len(surge.SPEC)) if i not in named and not surge.SPEC.names[i].startswith("osc1.p")]
    assert raw[rest].tolist() == pytest.approx(torch.tensor(new_patch())[rest].tolist(), abs=1e-4)


def test_the_shapes_of_a_sine_are_renumbered():
    raw = torch.tensor([[1, shape, 0, 60, 1] for shape in (2.2, 21, 28, 30.6)])
    params = rendered.to_params(NAMES, raw)
    assert surge.to_raw(params)[:, surge.SPEC.index("osc1.p0")].tolist() == [2, 21, 1, 7]


def test_training_goes_round_in_another_order(folder):
    every = source(folder)
    size = every.size("train")
    first, second = (every.take("train", turn * size, size).ids.tolist() for turn in range(2))
    assert first != second
    assert sorted(first) == sorted(second)
    assert every.take("train", size - 3, 6).ids.tolist() == first[-3:] + second[:3]


def test_missing_and_damaged_shards_are_told(folder, tmp_path):
    with pytest.raises(NotFoundError, match="no rendered sounds"):
        source(tmp_path / "empty")
    with pytest.raises(PatchError, match="set synth to surge"):
        rendered.SurgeRendered(synth("voice"), str(folder))
    tar, npz = folder / "surge-000.tar", folder / "surge-000.npz"
    for path in (npz, tar):
        path.write_bytes(path.read_bytes()[:300])
        with pytest.raises(UnreadableError, match=path.name):
            source(folder)
    shard(folder, "surge-000", 0, 2, rate=48000)
    with pytest.raises(UnreadableError, match="48000"):
        source(folder).take("train", 0, 14)


def test_no_room_is_made_for_what_the_directory_of_an_npz_claims(folder):
    """The same array, of which the directory says that it is packed in 4 GB."""
    npz = folder / "surge-000.npz"
    data = bytearray(npz.read_bytes())
    at = data.index(b"PK\1\2") + 20
    data[at : at + 4] = (2**32 - 2).to_bytes(4, "little")
    npz.write_bytes(data)
    tracemalloc.start()
    with suppress(UnreadableError):
        source(folder)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 10 << 20


def test_the_core_is_the_sub_spec_of_the_published_set():
    assert len(rendered.CORE_SPEC) == 43
    assert rendered.CORE_SPEC.names[-2:] == ("play.note", "play.hold")
    assert [surge.SPEC.names[i] for i in rendered.CORE] == list(rendered.CORE_SPEC.names)


@pytest.mark.skipif(not FACTS, reason="UNSYNTH_SURGE_FACTS names no folder with a rendered set")
def test_a_real_shard_is_read_and_its_values_come_back():
    tar = rendered.shards(Path(FACTS, "data"))[0]
    with np.load(tar.with_suffix(".npz")) as arrays:
        names, raw = arrays["names"].tolist(), torch.from_numpy(arrays["params"])
    assert [rendered.CORE_SPEC.names.index(param["name"]) for param in facts()["params"] if param.get("path") in names]
    again = surge.to_raw(rendered.to_params(names, raw))
    sine = raw[:, [names.index(f"scene/0/osc/{k}/type") for k in (0, 1)]] == 1
    whole = {f"scene/0/osc/{k}/p/{j}": sine[:, k] for k in (0, 1) for j in (0, 2)}  # of a sine, drawn as fractions
    for column, name in enumerate(names):
        told = again[:, [param.get("path") for param in facts()["params"]].index(name)]
        kept = ~whole.get(name, torch.zeros(len(raw), dtype=torch.bool))
        step = 5e-4 if name == "hold_s" else 0  # notes are held for whole milliseconds
        assert torch.allclose(told[kept], raw[kept, column], atol=1e-4 + step, rtol=1e-5), name
    found = source(Path(FACTS, "data")).take("train", 0, 8)
    assert (found.params.shape, found.audio.shape) == ((8, len(surge.SPEC)), (8, surge.SAMPLES))
    assert (found.audio.abs().amax(1) > 1e-3).all()
    assert len(set(found.ids.tolist())) == 8
