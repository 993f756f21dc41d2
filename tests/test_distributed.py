"""Two processes make the step that one makes of the double batch: torchrun with gloo, with NCCL where two GPUs are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import training

from unsynth import checkpoint

HERE = Path(__file__).parent


def torchrun(out, device):
    program = [str(HERE / "training.py"), str(out), device]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *program]
    paths = os.pathsep.join([str(HERE), str(HERE.parent)])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return torch.load(out / "steps.pt", map_location="cpu")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("alone")
    training.train(out, {"steps": 3, "optimizer": training.SMOOTH})
    return out, {criterion: training.one_step(criterion) for criterion in training.CRITERIA}


UNMOVED = {f"buffer/criterion.projectors.{side}.1.bias" for side in ("audio", "params")}  # of a norm without a shift


@pytest.fixture(scope="module", params=["cpu", "cuda"])
def together(request, tmp_path_factory):
    if request.param == "cuda" and torch.cuda.device_count() < 2:
        pytest.skip("NCCL between two processes needs two GPUs")
    out = tmp_path_factory.mktemp("together")
    return out, torchrun(out, request.param)


@pytest.mark.parametrize("criterion", training.CRITERIA)
def test_loss_gradients_and_running_statistics_are_those_of_the_double_batch(alone, together, criterion):
    expected, found = alone[1][criterion], together[1]["found"][criterion]
    assert together[1]["world"] == 2
    assert expected.keys() == found.keys()
    assert any(name.startswith("buffer/") for name in expected)
    for name, x in expected.items():
        torch.testing.assert_close(found[name], x, rtol=1e-5, atol=1e-5, msg=lambda m, name=name: f"{name}: {m}")
        assert x.abs().sum() > 0 or name in UNMOVED, name


def test_a_whole_training_is_the_one_of_a_single_process(alone, together):
    expected, found = training.rows(alone[0]), training.rows(together[0] / "run")
    assert [row["step"] for row in found] == [1, 2, 3]
    assert [row["loss"] for row in found] == pytest.approx([row["loss"] for row in expected], rel=1e-5)
    ours, theirs = (checkpoint.load(out / "state.safetensors")[0] for out in (alone[0], together[0] / "run"))
    for name, x in ours.items():
        torch.testing.assert_close(theirs[name], x, rtol=1e-4, atol=1e-5, msg=lambda m, name=name: f"{name}: {m}")
