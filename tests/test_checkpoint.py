"""Checkpoints come back as they went, and whatever else is in the file is refused with a sentence."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from unsynth import checkpoint
from unsynth.base import Estimator
from unsynth.errors import NotFoundError, OutputError, PatchError, UnsynthError
from unsynth.recipe import restored
from unsynth.space import JointSpace
from unsynth.synths import known

TENSORS = {
    "weight": torch.randn(3, 4).T,
    "brain": torch.randn(5).bfloat16(),
    "count": torch.tensor(7),
    "poles": torch.randn(3, dtype=torch.complex64),
    "none": torch.empty(0, 2),
}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "deep" / "a.safetensors"
    checkpoint.save(path, TENSORS, {"recipe": {"lr": 1e-4, "clip": float("inf")}, "step": 3})
    return path


def test_round_trip(saved):
    tensors, facts = checkpoint.load(saved)
    assert facts == {"recipe": {"lr": 1e-4, "clip": float("inf")}, "step": 3}
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], x) and tensors[name].dtype == x.dtype for name, x in TENSORS.items())
    assert [path.name for path in saved.parent.iterdir()] == ["a.safetensors"]


def test_tensors_that_share_memory_are_saved(tmp_path):
    x = torch.randn(4)
    checkpoint.save(tmp_path / "a", {"x": x, "again": x, "part": x[1:]}, {})
    assert torch.equal(checkpoint.load(tmp_path / "a")[0]["part"], x[1:])


def refused(path, kind=PatchError):
    with pytest.raises(UnsynthError) as caught:
        checkpoint.load(path)
    assert type(caught.value) is kind
    assert str(caught.value).count(str(path)) == 1
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated(saved, share):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(share * len(data))])
    refused(saved)


@pytest.mark.parametrize("place", [0, 9, -1])
def test_a_damaged_byte(saved, place):
    data = bytearray(saved.read_bytes())
    data[place] ^= 0x10
    saved.write_bytes(data)
    refused(saved)


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path(self.mark),)


def test_a_pickle_is_not_unpickled(tmp_path):
    path, bomb = tmp_path / "model.pt", Bomb()
    bomb.mark = str(tmp_path / "gone-off")
    path.write_bytes(pickle.dumps(bomb))
    refused(path)
    torch.save({"x": bomb}, path)
    refused(path)
    assert not Path(bomb.mark).exists()


def test_foreign_and_missing_files(tmp_path):
    save_file({"x": torch.zeros(2)}, tmp_path / "foreign", {"format": "pt"})
    refused(tmp_path / "foreign")
    save_file({"x": torch.zeros(2)}, tmp_path / "bare")
    refused(tmp_path / "bare")
    for facts in ("[1]", "{", ""):
        save_file({"x": torch.zeros(2)}, tmp_path / "facts", {"format": checkpoint.FORMAT, "facts": facts})
        refused(tmp_path / "facts")
    refused(tmp_path / "nowhere", NotFoundError)
    refused(tmp_path, NotFoundError)


def test_a_checkpoint_from_before_the_checksum_is_read(tmp_path):
    save_file({"x": torch.ones(2)}, tmp_path / "old", {"format": checkpoint.FORMAT, "facts": '{"step": 1}'})
    assert checkpoint.load(tmp_path / "old")[1] == {"step": 1}


def test_what_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="could not be written"):
        checkpoint.save(tmp_path / "file" / "a", TENSORS, {})


def test_an_encoder_is_known_whatever_its_precision_and_the_signs_of_its_zeros():
    mark = checkpoint._mark({"encoder.a": torch.tensor([0.0, 0.5])})
    assert checkpoint._mark({"encoder.a": torch.tensor([-0.0, 0.5]).half()}) == mark
    assert checkpoint._mark({"encoder.a": torch.tensor([0.0, 0.25])}) != mark


def test_what_is_shipped_is_small_and_fits_together():
    """32 MiB in all; an estimator without an encoder of its own was trained on that of the shipped space."""
    files = sorted(checkpoint.SHIPPED.iterdir())
    assert {path.suffix for path in files} == {".safetensors"}
    assert sum(path.stat().st_size for path in files) <= 32 << 20
    for kind in ("regression", "flow"):
        for path in checkpoint.SHIPPED.glob(f"*-{kind}.safetensors"):
            assert isinstance(restored(path, known(path.name.removesuffix(f"-{kind}.safetensors"))), Estimator)
    for path in checkpoint.SHIPPED.glob("*-space.safetensors"):
        JointSpace(path, known(path.name.removesuffix("-space.safetensors")))
