"""The index: finds sounds by themselves, holds training sounds only, resumes, refuses what is not one."""

import pytest
import torch

from unsynth.base import NotFoundError, PatchError
from unsynth.checkpoint import SHIPPED
from unsynth.search import index as ix
from unsynth.sounds.ids import is_train, params_of, train_ids
from unsynth.synths import synth

VOICE = synth("voice")
SMALL = {"dim": 16, "fitted_on": 96, "chunk": 32}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "small.safetensors"
    return path, ix.build(path, VOICE, 160, **SMALL)


def test_finds_its_own_sounds(small):
    _, index = small
    ids = train_ids(0, 160)
    chosen = ids[::13]
    sounds = VOICE.render(params_of(chosen, VOICE.spec), chosen + 7)  # other noise rows
    found = torch.stack([index.nearest(sound[None], 3) for sound in sounds])
    assert (found[:, :1] == chosen[:, None]).float().mean() > 0.9


def test_what_is_read_is_what_was_built(small):
    path, index = small
    read = ix.Index.load(path, VOICE)
    assert torch.equal(read.codes, index.codes)
    assert read.spec_hash == VOICE.spec.hash


def test_a_build_that_stopped_goes_on_to_the_same_index(small, tmp_path):
    class Stop(Exception):
        pass

    def stop(done):
        if done >= 64:
            raise Stop

    path = tmp_path / "again.safetensors"
    with pytest.raises(Stop):
        ix.build(path, VOICE, 160, **SMALL, on_progress=stop)
    assert not path.exists()
    done = []
    again = ix.build(path, VOICE, 160, **SMALL, on_progress=done.append)
    assert done[0] == 96
    assert torch.equal(again.codes, small[1].codes)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("damage", ["cut", "text", "other synth"])
def test_what_is_not_an_index_is_refused(small, tmp_path, damage):
    path = tmp_path / "bad.safetensors"
    content = small[0].read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "text":
        path.write_text("no index")
    else:
        path.write_bytes(content.replace(VOICE.spec.hash.encode(), b"0" * 12))
    with pytest.raises(PatchError, match="index build"):
        ix.Index.load(path, VOICE)
    with pytest.raises(NotFoundError, match="index build"):
        ix.Index.load(tmp_path / "none", VOICE)


def test_the_shipped_index_keeps_its_promises():
    path = SHIPPED / "voice-index.safetensors"
    assert path.stat().st_size <= 8 << 20
    index = ix.Index.load(path, VOICE)
    assert len(index.codes) >= 100_000
    target = torch.tensor([123])
    near = index.nearest(VOICE.render(params_of(target, VOICE.spec), target), 64)
    assert 123 in near.tolist()
    assert torch.all(is_train(near))
