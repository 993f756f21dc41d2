"""The adversarial autoencoder: losses in closed form, two players that do not touch each other, and that it learns."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from unsynth.base import Batch
from unsynth.objectives.adversarial import gradient_penalty, hinge
from unsynth.recipe import read
from unsynth.sounds.live import Live
from unsynth.sounds.stream import Stream
from unsynth.synths import synth
from unsynth.train import fit

RECIPE = Path(__file__).parent.parent / "recipes" / "tiny-adversarial.yaml"
SPEC = synth("voice").spec


@pytest.fixture(scope="module")
def batch():
    """Eight sounds, half a second of each."""
    whole = Stream(Live(synth("voice")), 8).at(0)
    return Batch(whole.ids, whole.params, whole.audio[:, :22050].contiguous())


@pytest.fixture
def objective():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return read(RECIPE)[0].objective(SPEC)


def test_the_hinge_loss_is_two_for_no_opinion_and_none_for_a_sure_one():
    none = [torch.zeros(2, 1, 3, 4), torch.zeros(2, 1, 1, 2)]
    sure = [torch.full((2, 1, 3, 4), 1.5), torch.ones(2, 1, 1, 2)]
    assert hinge(none, none) == 2
    assert hinge(sure, [-s for s in sure]) == 0
    assert hinge([-s for s in sure], sure) == pytest.approx((2 * 2.5 + 2 * 2) / 2)


def test_the_gradient_penalty_of_linear_critics_is_half_their_squared_weights():
    frames, weights = torch.randn(5, 4, 6, requires_grad=True), torch.randn(4, 6)
    whole = (frames * weights).sum((1, 2))[:, None, None, None]
    halves = torch.stack([(frames * weights)[..., :3].sum((1, 2)), (frames * weights)[..., 3:].sum((1, 2))], -1)
    power = weights.square().sum() / 2
    torch.testing.assert_close(gradient_penalty([whole], frames), power)
    torch.testing.assert_close(gradient_penalty([halves[:, None, None]], frames), power / 2)
    torch.testing.assert_close(gradient_penalty([whole, 2 * whole], frames), (power + 4 * power) / 2)


def test_every_parameter_belongs_to_one_player(objective):
    owned = [id(p) for player in objective.players().values() for p in player.parameters()]
    assert sorted(owned) == sorted(id(p) for p in objective.parameters())
    assert list(objective.players()) == ["autoencoder", "critic"]


def test_no_loss_reaches_the_other_player(objective, batch):
    players = objective.players()
    for own, other in (("autoencoder", "critic"), ("critic", "autoencoder")):
        objective.zero_grad(set_to_none=True)
        objective.loss(batch, own)["loss"].backward()
        assert [p for p in players[other].parameters() if p.grad is not None] == []
        assert [p for p in players[own].parameters() if p.grad is None] == []


def test_the_critics_opinion_alone_moves_the_encoder(batch):
    objective = read(RECIPE, ["objective.init_args.reconstruction=0"])[0].objective(SPEC)
    objective.loss(batch, "autoencoder")["loss"].backward()
    assert all(p.grad.norm() > 0 for p in objective.encoder.blocks.parameters() if p.ndim > 1)


def test_the_critic_learns_to_tell_spectrograms_from_decoded_ones(objective, batch):
    optimizer = torch.optim.AdamW(objective.critic.parameters(), lr=0.003)
    for _ in range(50):
        optimizer.zero_grad()
        terms = objective.loss(batch, "critic")
        terms["loss"].backward()
        optimizer.step()
    assert terms["hinge"] < 1


def test_the_recipe_trains_both_players(tmp_path):
    recipe, facts = read(RECIPE)
    fresh = fit(recipe, facts, tmp_path / "fresh", device="cpu", minutes=0).state_dict()
    trained = fit(recipe, facts, tmp_path, device="cpu", log_steps=1).state_dict()
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == recipe.steps
    for part in ("encoder.", "decoder.", "critic."):
        assert not all(fresh[name].equal(trained[name]) for name in fresh if name.startswith(part))


@pytest.mark.parametrize("samples", [1, 1000, 50_000])
def test_sounds_of_any_length_are_made_again_and_judged(objective, samples):
    audio = torch.randn(2, samples)
    frames = objective.eval().frontend(audio)
    made = objective.reconstruct(audio, frames.shape[-1])
    assert made.shape == frames.shape
    assert [len(s) for s in objective.critic(made)] == [2, 2]


def test_eight_sounds_are_learned_by_heart(objective, batch):
    """They come back with a fifth of the squared error of their mean; with each other's codes they do not."""
    players = objective.players().items()
    optimizers = {name: torch.optim.AdamW(p.parameters(), lr=0.003, betas=(0.5, 0.9)) for name, p in players}
    for _ in range(60):
        for name, optimizer in optimizers.items():
            objective.zero_grad(set_to_none=True)
            objective.loss(batch, name)["loss"].backward()
            optimizer.step()
    with torch.no_grad():
        frames = objective.frontend(batch.audio)
        back, wrong = (objective.reconstruct(a, frames.shape[-1]) for a in (batch.audio, batch.audio.roll(1, 0)))
    mean = F.mse_loss(frames.mean(0).expand_as(frames), frames)
    assert F.mse_loss(back, frames) < mean / 5
    assert F.mse_loss(wrong, frames) > mean
