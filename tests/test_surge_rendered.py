"""Rendered sets: a tiny one is made here, with values as surgepy names them."""

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from unsynth.base import NotFoundError, UnreadableError
from unsynth.sounds import surge_rendered as rendered
from unsynth.synths import surge
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


def test_batches_have_every_sound_of_a_split_once_with_its_own_parameters_and_audio(folder):
    for train in (True, False):
        found = [*rendered.batches(folder, 4, train=train)]
        ids = torch.cat([batch[0] for batch in found])
        assert ids.tolist() == [i for i in (*range(20), *range(100, 115)) if (i % 10 == 9) != train]
        for numbers, params, audio in found:
            raw = surge.to_raw(params)
            assert audio.shape == (len(numbers), 132300)
            assert torch.allclose(audio[:, 100], numbers / 1000 / 0.5, atol=1e-4)  # the limiting is undone
            assert not audio[:, RATE // 10 :].any()
            assert raw[:, surge.SPEC.index("play.note")].tolist() == (40 + numbers % 100).tolist()
            cutoff = raw[:, surge.SPEC.index("filter1.cutoff")]
            assert torch.allclose(cutoff, numbers % 100 - 10.5, atol=1e-4)


def test_what_a_set_does_not_name_is_as_in_a_new_patch(folder):
    raw = surge.to_raw(next(rendered.batches(folder, 1))[1])[0]
    named = [[param.get("path") for param in facts()["params"]].index(name) for name in NAMES]
    rest = [i for i in range(len(surge.SPEC)) if i not in named and not surge.SPEC.names[i].startswith("osc1.p")]
    assert raw[rest].tolist() == pytest.approx(torch.tensor(new_patch())[rest].tolist(), abs=1e-4)


def test_the_shapes_of_a_sine_are_renumbered():
    raw = torch.tensor([[1, shape, 0, 60, 1] for shape in (2.2, 21, 28, 30.6)])
    params = rendered.to_params(NAMES, raw)
    assert surge.to_raw(params)[:, surge.SPEC.index("osc1.p0")].tolist() == [2, 21, 1, 7]


def test_a_generator_shuffles_and_is_repeatable(folder):
    def order(seed):
        generator = torch.Generator().manual_seed(seed)
        return torch.cat([batch[0] for batch in rendered.batches(folder, 8, generator=generator)]).tolist()

    assert order(0) == order(0) != order(1)
    assert sorted(order(0)) == sorted(order(1))


def test_missing_and_damaged_shards_are_told(folder, tmp_path):
    with pytest.raises(NotFoundError, match="no rendered sounds"):
        rendered.shards(tmp_path / "empty")
    tar, npz = folder / "surge-000.tar", folder / "surge-000.npz"
    for path in (npz, tar):
        path.write_bytes(path.read_bytes()[:300])
        with pytest.raises(UnreadableError, match=path.name):
            next(rendered.batches(folder, 4))
    shard(folder, "surge-000", 0, 2, rate=48000)
    with pytest.raises(UnreadableError, match="48000"):
        next(rendered.batches(folder, 4))


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
        assert torch.allclose(told[kept], raw[kept, column], atol=1e-4, rtol=1e-5), name
    ids, params, audio = next(rendered.batches(Path(FACTS, "data"), 8))
    assert (params.shape, audio.shape) == ((8, len(surge.SPEC)), (8, surge.SAMPLES))
    assert (audio.abs().amax(1) > 1e-3).all()
    assert len(set(ids.tolist())) == 8
