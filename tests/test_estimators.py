"""Estimators: the error that knows the symmetries, and heads that learn on a frozen encoder."""

import pytest
import torch
from torch import nn
from toy import Toy

from unsynth.base import Batch, Budget, Encoder, Problem, Solution, UsageError
from unsynth.estimators.regression import Regression, params_error
from unsynth.search.draw import Draw
from unsynth.synths import synth

SPEC = synth("voice").spec


def test_the_equivalents_of_the_voice_are_its_two_swaps_and_both():
    assert SPEC.equivalents.shape == (4, 78)
    assert SPEC.equivalents[0].tolist() == list(range(78))
    assert all(sorted(order) == list(range(78)) for order in SPEC.equivalents.tolist())


def test_patches_that_sound_the_same_are_no_error():
    truth = torch.rand(3, 78, generator=torch.Generator().manual_seed(0))
    for order in SPEC.equivalents:
        assert params_error(truth[:, order], truth, SPEC).tolist() == [0, 0, 0]
    moved = truth.clone()
    moved[:, 0] = (moved[:, 0] + 0.39) % 1
    assert torch.allclose(params_error(moved, truth, SPEC), (moved - truth)[:, 0].abs() / 78, atol=1e-6)


class Peak(Encoder):
    """The loudest and the second sample: enough to know a toy sound's level and frequency."""

    def __init__(self):
        super().__init__(2, 2)
        self.norm = nn.BatchNorm1d(2)

    def tokens(self, audio):
        return self.norm(torch.stack([audio.amax(1), audio[:, 1] / audio.amax(1)], dim=1))[:, None]

    def vector(self, tokens):
        return tokens[:, 0]


def batch(generator):
    params = torch.rand(64, 3, generator=generator)
    return Batch(torch.arange(64), params, Toy().render(params))


def trained(frozen):
    torch.manual_seed(0)
    model, generator = Regression(Toy.spec, Peak(), width=32, blocks=1, frozen=frozen), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), 0.01)
    model.train()
    for _ in range(150):
        optimizer.zero_grad()
        model.loss(batch(generator), "all")["loss"].backward()
        optimizer.step()
    return model.eval(), batch(generator)


def test_a_regression_learns_what_can_be_heard():
    model, fresh = trained(frozen=False)
    error = (model.guess(fresh.audio) - fresh.params).abs().mean(0)
    assert error[0] < 0.06
    assert error[1] < 0.06
    assert 0.2 < error[2] < 0.3  # inaudible: the best guess is the middle


def test_a_frozen_encoder_keeps_its_weights_and_statistics():
    before, model = Peak().state_dict(), trained(frozen=True)[0]
    assert all(torch.equal(before[name], x) for name, x in model.encoder.state_dict().items())


def test_the_error_in_embedding_needs_a_space():
    with pytest.raises(UsageError, match="joint space"):
        Regression(Toy.spec, Peak(), error="embedding")


def test_a_draw_renders_what_the_estimator_says_and_counts_it():
    model, _ = trained(frozen=False)
    target = Toy().render(torch.tensor([[0.3, 0.6, 0.5]]))
    problem = Problem(Toy(), target, lambda audio: (audio - target).abs().mean(1), Budget(renders=100))
    found = Draw(model, 8)(problem, Solution(torch.empty(0, 3), torch.empty(0)))
    assert problem.renders == 1  # eight times the same
    assert torch.allclose(found.params[0, :2], torch.tensor([0.3, 0.6]), atol=0.1)
