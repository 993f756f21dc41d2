"""Groups of weight decay by the type of their module, LARS by hand, and the learning rate over the steps."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from unsynth.encoders.layers import BatchNorm
from unsynth.encoders.params import ParamsPerceiver
from unsynth.optimizers import LARS, groups, peaks, rate
from unsynth.recipe import build, read
from unsynth.synths import synth

RECIPE = Path(__file__).parent.parent / "recipes" / "voice-small.yaml"


def recipe():
    return build(read(RECIPE)[0])


def perceiver():
    return ParamsPerceiver(synth("voice").spec, blocks=1)


@pytest.mark.parametrize("make", [recipe, perceiver])
def test_norms_and_biases_do_not_decay_and_matrices_do(make):
    model = make()
    decaying, others = groups(model, 0.1)
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    decaying, others = ({id(p) for p in group["params"]} for group in (decaying, others))
    assert decaying | others == {id(p) for p in model.parameters()}
    assert not decaying & others
    norms = [m for m in model.modules() if isinstance(m, BatchNorm | nn.LayerNorm)]
    matrices = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)]
    assert norms
    assert matrices
    assert {id(p) for m in norms for p in m.parameters()} <= others
    assert {id(m.bias) for m in model.modules() if isinstance(getattr(m, "bias", None), nn.Parameter)} <= others
    assert {id(m.weight) for m in matrices} <= decaying


def test_slow_parameters_are_a_group_of_their_own_and_frozen_ones_in_none():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    model[0].requires_grad_(False)
    model[1].slow = ("weight",)
    found = groups(model, 0.1)
    assert [[p is model[1].weight for p in group["params"]] for group in found] == [[], [False], [True]]
    assert peaks(torch.optim.AdamW(found, lr=0.01)) == [0.01, 0.01, 0.001]
    assert peaks(torch.optim.AdamW(groups(model, 0.1), lr=0.0001)) == [0.0001] * 3


def test_lars_by_hand():
    weight, bias = nn.Parameter(torch.tensor([[3.0, 4.0]])), nn.Parameter(torch.tensor([1.0]))
    decay, plain = {"params": [weight], "weight_decay": 0.1}, {"params": [bias], "weight_decay": 0.0}
    optimizer = LARS([decay, plain], lr=0.5, momentum=0.9, trust=0.01)
    w, v, b, u = [3.0, 4.0], [0.0, 0.0], 1.0, 0.0
    for gradient in ([0.6, -0.8], [0.1, 0.2]):
        weight.grad, bias.grad = torch.tensor([gradient]), torch.tensor([2.0])
        optimizer.step()
        update = [g + 0.1 * x for g, x in zip(gradient, w, strict=True)]
        local = 0.01 * math.hypot(*w) / math.hypot(*update)
        v = [0.9 * a + local * x for a, x in zip(v, update, strict=True)]
        w, u = [x - 0.5 * a for x, a in zip(w, v, strict=True)], 0.9 * u + 2.0
        b -= 0.5 * u
    assert weight.flatten().tolist() == pytest.approx(w, rel=1e-6)
    assert bias.item() == pytest.approx(b, rel=1e-6)


def test_lars_moves_a_matrix_of_zeros():
    weight = nn.Parameter(torch.zeros(2, 2))
    weight.grad = torch.ones(2, 2)
    LARS([weight], lr=0.1, weight_decay=0.0).step()
    torch.testing.assert_close(weight.detach(), torch.full((2, 2), -0.1))


@pytest.mark.parametrize("schedule", ["cosine", "stable", "constant"])
def test_schedules(schedule):
    shares = [rate(step, 110, 10, schedule) for step in range(110)]
    assert shares[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    formulas = {
        "cosine": lambda t: (1 + math.cos(math.pi * t)) / 2,
        "stable": lambda t: min(1.0, (1 - t) / 0.2),
        "constant": lambda t: 1.0,
    }
    assert shares[10:] == pytest.approx([formulas[schedule](step / 100) for step in range(100)])
    assert rate(110, 110, 10, schedule) == pytest.approx(float(schedule == "constant"))
    assert rate(0, 5, 0, schedule) == 1.0
