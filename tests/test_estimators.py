"""Estimators: the error that knows the symmetries, and heads that learn on a frozen encoder."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from toy import Toy

from unsynth.base import Batch, Budget, Encoder, Estimator, NotFoundError, Problem, Solution, UsageError
from unsynth.encoders.params import ParamsMlp
from unsynth.estimators.flow import Flow, _paired, params_from, states
from unsynth.estimators.regression import Regression, Told, params_error
from unsynth.params import Param, ParamSpec
from unsynth.search.chain import Chain, Later
from unsynth.search.draw import Draw
from unsynth.synths import SYNTHS, synth
from unsynth.trainer import train_mode

SPEC = synth("voice").spec
UNSTEPPED = torch.zeros(3, 78)  # what is known of the steps of parameters that have none


def test_the_equivalents_of_the_voice_are_its_two_swaps_and_both():
    assert SPEC.equivalents.shape == (4, 78)
    assert SPEC.equivalents[0].tolist() == list(range(78))
    assert all(sorted(order) == list(range(78)) for order in SPEC.equivalents.tolist())


def test_patches_that_sound_the_same_are_no_error():
    truth = torch.rand(3, 78, generator=torch.Generator().manual_seed(0))
    for order in SPEC.equivalents:
        assert params_error(Told(truth[:, order], UNSTEPPED), truth, SPEC).tolist() == [0, 0, 0]
    moved = truth.clone()
    moved[:, 0] = (moved[:, 0] + 0.39) % 1
    error = params_error(Told(moved, UNSTEPPED), truth, SPEC)
    assert torch.allclose(error, (moved - truth)[:, 0].abs() / 78, atol=1e-6)


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
    train_mode(model)
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


def test_every_output_of_a_head_by_embedding_learns():
    """Those of choices and small integers too, which are one-hot to the params encoder."""
    spec = synth("dexed").spec
    model = Regression(spec, Peak(), error="embedding", space="somewhere", width=16, blocks=1)
    side = ParamsMlp(spec, dim=8, width=32, blocks=1)
    space = SimpleNamespace(joint=side, patches=side, sounds=lambda audio: torch.zeros(len(audio), 8))
    model._spaces.append(space)
    heard = Batch(torch.arange(16), torch.rand(16, len(spec)), torch.rand(16, 100))
    model.loss(heard, "all")["loss"].backward()
    learned = model.head[-1].weight.grad.abs().sum(1) > 0
    many = (spec.steps > 0).repeat_interleave(model.sizes)
    assert learned[many].float().mean() > 0.99
    assert learned.float().mean() > 0.9


def test_who_only_guesses_needs_no_space(monkeypatch):
    monkeypatch.setitem(SYNTHS, "toy", Toy)
    model = Regression(Toy.spec, Peak(), error="embedding", space="/nowhere/model.safetensors")
    assert model.eval().guess(torch.rand(2, 100)).shape == (2, 3)
    with pytest.raises(NotFoundError):
        model.loss(batch(torch.Generator()), "all")


def test_a_draw_renders_what_the_estimator_says_and_counts_it():
    model, _ = trained(frozen=False)
    target = Toy().render(torch.tensor([[0.3, 0.6, 0.5]]))
    problem = Problem(Toy(), target, lambda audio: (audio - target).abs().mean(1), Budget(renders=100))
    found = Draw(model, 8)(problem, Solution(torch.empty(0, 3), torch.empty(0)))
    assert problem.renders == 1  # eight times the same
    assert torch.allclose(found.params[0, :2], torch.tensor([0.3, 0.6]), atol=0.1)


class Dice(Estimator):
    """Draws what its generator says."""

    def loss(self, batch, player):
        raise NotImplementedError

    def sample(self, audio, n, generator):
        return torch.rand(n, len(audio), 3, generator=generator)


def test_draws_come_in_parts_and_leave_the_budget_that_they_are_told_to_leave():
    target = Toy().render(torch.tensor([[0.3, 0.6, 0.5]]))
    nothing = Solution(torch.empty(0, 3), torch.empty(0))

    def found(renders, **options):
        problem = Problem(Toy(), target, lambda audio: (audio - target).abs().mean(1), Budget(renders=renders))
        return problem, Draw(Dice(), 40, 3, **options)(problem, nothing)

    whole, parts = found(100), found(100, batch=16)
    assert (whole[0].renders, parts[0].renders) == (40, 40)
    assert torch.equal(whole[1].params, parts[1].params)
    assert found(100, batch=8, until=0.8)[0].renders == 24  # with 20 of 100 gone there is room for no more
    assert found(100, batch=8, until=1.0)[0].renders == 0


def test_a_search_for_later_is_made_when_its_turn_comes():
    made = []
    problem = Problem(Toy(), torch.zeros(1, 8), lambda audio: audio.abs().mean(1), Budget(renders=8))
    later = Later(lambda: made.append(problem.renders) or Draw(Dice(), 4))
    Chain(Draw(Dice(), 2), later)(problem, Solution(torch.empty(0, 3), torch.empty(0)))
    assert (made, problem.renders) == ([2], 6)
    Later(lambda: pytest.fail("made too late"), until=0.5)(problem, Solution(torch.empty(0, 3), torch.empty(0)))


CHOICES = ParamSpec(
    "choices",
    [Param("level"), Param("wave", 0, 2, kind="categorical", choices=("sine", "saw", "square")), Param("tune")],
)


class Echo(Encoder):
    """The samples themselves."""

    def __init__(self):
        super().__init__(2, 2)

    def tokens(self, audio):
        return audio[:, None]

    def vector(self, tokens):
        return tokens[:, 0]


def test_a_regression_never_guesses_the_step_between_two():
    """Of a sound that is a sine or a square with the same parameters, it is sure that it is no saw."""
    torch.manual_seed(0)
    params = torch.rand(4096, 3, generator=torch.Generator().manual_seed(0))
    params[:, 1] = torch.where(params[:, 1] < 0.7, 1 / 6, 5 / 6)
    heard = Batch(torch.arange(4096), params, params[:, ::2])
    model = Regression(CHOICES, Echo(), width=16, blocks=1)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(200):
        optimizer.zero_grad()
        loss = model.loss(heard, "all")["loss"]
        loss.backward()
        optimizer.step()
    assert loss < 0.05 + 0.25 * 0.62 / 1.09 / 3  # two numbers known, and the entropy of the third
    drawn = model.eval().sample(heard.audio[:8], 400, torch.Generator().manual_seed(1))
    shares = [(CHOICES.to_human(drawn)[..., 1] == step).float().mean() for step in range(3)]
    assert abs(shares[0] - 0.7) < 0.06
    assert shares[1] < 0.02
    assert (CHOICES.to_human(drawn[0])[:, 1] == 0).all()  # the first is the likeliest
    assert (drawn[..., ::2] == drawn[0][:, ::2]).all()


# The flow


def test_the_flow_sees_parameters_without_loss():
    params = torch.rand(500, 3, generator=torch.Generator().manual_seed(0))
    x = states(params, CHOICES)
    assert torch.equal(CHOICES.to_human(params_from(x, CHOICES))[:, 1], CHOICES.to_human(params)[:, 1])
    torch.testing.assert_close(params_from(x, CHOICES)[:, ::2], params[:, ::2])
    assert x[:, 0, 1:].abs().max() == 0
    assert torch.allclose(x[:, 0, 0].var(), torch.tensor(1.0), atol=0.1)


def flow_on_toys(steps, **options):
    torch.manual_seed(0)
    model = Flow(Toy.spec, Peak(), width=32, depth=2, blur=0.0, guidance=1.0, **options)
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), 0.003)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model.loss(batch(generator), "all")["loss"]
        loss.backward()
        optimizer.step()
    return model.eval()


def test_a_flow_that_has_learned_nothing_does_not_move():
    model = flow_on_toys(0)
    field = model.field(torch.randn(4, 3, 1), torch.rand(4), torch.zeros(4), torch.randn(4, 1, 32))
    assert field.abs().max() == 0


@pytest.mark.parametrize(
    "options", [{"velocity": "mse"}, {"coupling": "optimal"}], ids=["mse", "mae, optimal transport"]
)
def test_a_flow_draws_what_can_be_heard_and_leaves_open_what_cannot(options):
    model = flow_on_toys(400, **options)
    truth = torch.tensor([[0.3, 0.6, 0.5], [0.7, 0.2, 0.5]])
    drawn = model.sample(Toy().render(truth), 64, torch.Generator().manual_seed(1))
    assert drawn.shape == (64, 2, 3)
    assert ((drawn >= 0) & (drawn <= 1)).all()
    assert ((drawn.median(0).values - truth)[:, :2].abs() < 0.12).all()
    heard, unheard = drawn.std(0)[:, :2].max(), drawn.std(0)[:, 2].min()
    assert unheard > 0.15
    assert heard < unheard / 1.5


def test_draws_repeat_by_their_generator():
    model = flow_on_toys(20)
    target = Toy().render(torch.rand(1, 3))
    one, again, other = (model.sample(target, 4, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_optimal_coupling_makes_the_paths_no_longer():
    begin, end = torch.randn(32, 3, 1), torch.randn(32, 3, 1)
    paired = _paired(begin, end)
    assert sorted(paired.tolist()) == list(range(32))
    assert (begin[paired] - end).square().sum() < (begin - end).square().sum()
