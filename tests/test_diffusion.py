"""The diffusion autoencoder: the schedule's identities, optima that have a closed form, and that it learns."""

import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from unsynth.base import Batch, Encoder, Frontend
from unsynth.objectives.diffusion import Diffusion, ddim, diffuse, gaussian_velocity, schedule, spread
from unsynth.recipe import read
from unsynth.sounds.live import Live
from unsynth.sounds.stream import Stream
from unsynth.synths import synth
from unsynth.train import fit

RECIPE = Path(__file__).parent.parent / "recipes" / "tiny-diffusion.yaml"
SPEC = synth("voice").spec


class Gaussian(Frontend):
    """Frames that are Gaussian noise of a known deviation, whatever the sound."""

    bands, frame_rate = 8, 100.0

    def __init__(self, deviation):
        super().__init__()
        self.deviation = deviation

    def analyse(self, audio):
        return self.deviation * torch.randn(len(audio), self.bands, audio.shape[1])


class Silent(Encoder):
    def tokens(self, audio):
        return torch.zeros(len(audio), 1, self.channels)

    def vector(self, tokens):
        return torch.zeros(len(tokens), self.dim)


def knows(data):
    """The velocity as predicted with the data known: of z = alpha x + sigma e, v = (alpha z - x) / sigma."""

    def predict(z, t):
        alpha, sigma = schedule(t[:, None, None])
        return (alpha * z - data) / sigma

    return predict


def best_for_gaussian(deviation):
    """E[v | z] of data N(0, deviation^2): covariance of v and z over the variance of z, times z."""

    def predict(z, t):
        alpha, sigma = schedule(t[:, None, None])
        return alpha * sigma * (1 - deviation**2) / ((alpha * deviation) ** 2 + sigma**2) * z

    return predict


def test_the_schedule_goes_from_data_to_noise_at_constant_power():
    alpha, sigma = schedule(torch.linspace(0, 1, 101))
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(101))
    torch.testing.assert_close(torch.stack([alpha[0], sigma[0], alpha[100], sigma[100]]), torch.tensor([1.0, 0, 0, 1]))


def test_the_velocity_is_the_derivative_by_the_angle():
    x, noise = torch.randn(2, 4, 3, 5, dtype=torch.float64)
    t, step = torch.rand(4, dtype=torch.float64), 1e-6
    slope = (diffuse(x, noise, t + step)[0] - diffuse(x, noise, t - step)[0]) / (2 * step * math.pi / 2)
    torch.testing.assert_close(diffuse(x, noise, t)[1], slope, atol=1e-8, rtol=0)


def test_times_are_uniform_and_evenly_spread():
    draws = torch.stack([spread(8, torch.device("cpu")).sort().values for _ in range(500)])
    assert (draws.diff(dim=1) - 1 / 8).abs().max() < 1e-6
    assert draws.mean() == pytest.approx(0.5, abs=0.01)


def test_a_denoiser_that_knows_the_data_has_no_loss():
    objective = Diffusion(SPEC, Silent(4, 4), Gaussian(0.0), (8, 8))
    objective.velocity = lambda audio, frames: knows(torch.zeros(len(audio), 8, frames))
    batch = Batch(torch.arange(16), torch.zeros(16, 1), torch.zeros(16, 20))
    assert objective.loss(batch, "all")["loss"] < 1e-10


@pytest.mark.parametrize("deviation", [0.3, 0.8])
def test_the_least_loss_on_gaussian_data_is_their_deviation(deviation):
    """The variance of v given z is s^2 / (alpha^2 s^2 + sigma^2), whose mean over a quarter turn is s."""
    objective = Diffusion(SPEC, Silent(4, 4), Gaussian(deviation), (8, 8))
    objective.velocity = lambda audio, frames: best_for_gaussian(deviation)
    batch = Batch(torch.arange(1024), torch.zeros(1024, 1), torch.zeros(1024, 50))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert objective.loss(batch, "all")["loss"].item() == pytest.approx(deviation, rel=0.01)


def test_what_the_denoiser_has_to_add_is_nothing_on_average_and_has_the_stated_deviation():
    deviation, t = 0.3, torch.tensor(0.37)
    z, v = diffuse(deviation * torch.randn(1000, 10, 10), torch.randn(1000, 10, 10), t.expand(1000))
    gain, rest = gaussian_velocity(t, deviation)
    assert ((v - gain * z) * z).mean().abs() < 0.01
    assert (v - gain * z).std().item() == pytest.approx(rest.item(), rel=0.01)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_the_sampler_returns_the_data_that_the_denoiser_knows(steps):
    data = torch.randn(3, 4, 6)
    torch.testing.assert_close(ddim(knows(data), torch.randn(3, 4, 6), steps), data, atol=1e-5, rtol=0)


def test_the_sampler_solves_the_flow_of_gaussian_data():
    """There the flow is a scaling: unit noise ends at the same noise times the deviation; one step ends at the mean."""
    noise = torch.randn(3, 4, 6)
    torch.testing.assert_close(ddim(best_for_gaussian(0.3), noise, 500), 0.3 * noise, atol=0, rtol=0.01)
    torch.testing.assert_close(ddim(best_for_gaussian(0.3), noise, 1), torch.zeros(3, 4, 6), atol=1e-6, rtol=0)


def test_the_recipe_trains(tmp_path):
    recipe, facts = read(RECIPE)
    objective = fit(recipe, facts, tmp_path, device="cpu", log_steps=1)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == recipe.steps
    assert objective.encoder.dim == 32


@pytest.mark.parametrize("samples", [1, 1000, 50_000])
@pytest.mark.parametrize("detail", [0, 2])
def test_sounds_of_any_length_are_coded_and_sampled(samples, detail):
    recipe, _ = read(RECIPE, [f"objective.init_args.detail={detail}"])
    objective = recipe.objective(SPEC).eval()
    audio = torch.randn(2, samples)
    one, same, other = (objective.sample(audio, torch.Generator().manual_seed(seed), 2) for seed in (0, 0, 1))
    assert one.shape == objective.frontend(audio).shape
    assert one.equal(same)
    assert not one.equal(other)


def test_eight_sounds_are_learned_by_heart():
    """They come back with a third of the squared error of their mean; with each other's codes they do not."""
    recipe, _ = read(RECIPE, ["objective.init_args.deviation=0.3"])
    sounds = Stream(Live(synth("voice")), 8).at(0)
    batch = Batch(sounds.ids, sounds.params, sounds.audio[:, :22050].contiguous())
    twice = Batch(*(torch.cat([x, x]) for x in (batch.ids, batch.params, batch.audio)))  # at two noise levels
    with torch.random.fork_rng():
        torch.manual_seed(0)
        objective = recipe.objective(SPEC)
        optimizer = torch.optim.AdamW(objective.parameters(), lr=0.004, betas=(0.9, 0.95))
        for _ in range(120):
            optimizer.zero_grad()
            objective.loss(twice, "all")["loss"].backward()
            optimizer.step()
    objective.eval()
    frames = objective.frontend(batch.audio)
    back, wrong = (objective.sample(x, torch.Generator().manual_seed(0)) for x in (batch.audio, batch.audio.roll(1, 0)))
    mean = F.mse_loss(frames.mean(0).expand_as(frames), frames)
    assert F.mse_loss(back, frames) < mean / 3
    assert F.mse_loss(wrong, frames) > mean
