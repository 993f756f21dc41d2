"""A diffusion autoencoder: the encoder must tell a denoiser all that a spectrogram's noisy version no longer shows.

Source: Preechakul et al., "Diffusion Autoencoders", https://arxiv.org/abs/2111.15640, section 3; for audio, Schneider
et al., "Moûsai", https://arxiv.org/abs/2301.11757. Time runs from 0 (data) to 1 (noise).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from unsynth.base import Audio, Batch, Encoder, Frames, Frontend, Objective
from unsynth.objectives.blocks import Compact, UNet
from unsynth.params import ParamSpec

Times = Float[Tensor, " batch"]
Velocity = Callable[[Frames, Times], Frames]


def schedule(t: Tensor) -> tuple[Tensor, Tensor]:
    """How much of the data and of the noise there is at each time: cosine and sine of an angle up to a quarter turn.

    Source: Salimans and Ho, "Progressive Distillation", https://arxiv.org/abs/2202.00512, section 2 and appendix D.
    """
    angle = t * (math.pi / 2)
    return angle.cos(), angle.sin()


def diffuse(x: Frames, noise: Frames, t: Times) -> tuple[Frames, Frames]:
    """The data at each time, and its velocity (the derivative by the angle), which the denoiser learns to predict.

    Source: as :func:`schedule`: ``z = alpha x + sigma e`` and ``v = alpha e - sigma x``.

    Shape: ``(batch, band, frame)`` twice and ``(batch,)`` in, ``(batch, band, frame)`` twice out.
    """
    alpha, sigma = schedule(t[:, None, None])
    return alpha * x + sigma * noise, alpha * noise - sigma * x


def ddim(velocity: Velocity, noise: Frames, steps: int) -> Frames:
    """From noise to data in equal steps, always the same data for the same noise.

    Source: Song et al., "Denoising Diffusion Implicit Models", https://arxiv.org/abs/2010.02502, eq. 12 with sigma 0,
    in terms of the velocity (as :func:`schedule`, appendix D).

    Args:
        velocity: of frames at times, as predicted.
        noise: to start from, unit Gaussian.
        steps: how often the velocity is asked for; after one step, the mean of all data.
    """
    x = noise
    for now, then in pairwise(torch.linspace(1, 0, steps + 1, device=noise.device)):
        v, (alpha, sigma) = velocity(x, now.expand(len(x))), schedule(now)
        data, rest = alpha * x - sigma * v, sigma * x + alpha * v
        alpha, sigma = schedule(then)
        x = alpha * data + sigma * rest
    return x


def gaussian_velocity(t: Tensor, deviation: float) -> tuple[Tensor, Tensor]:
    """The best velocity for Gaussian data around zero: ``gain * z``; and the deviation of what that leaves to predict.

    A denoiser that predicts the rest, in units of its deviation, need not carry the noise through its narrow layers.

    Source: Karras et al., "Elucidating the Design Space", https://arxiv.org/abs/2206.00364, section 5, for velocities.
    """
    alpha, sigma = schedule(t)
    power = (alpha * deviation) ** 2 + sigma**2
    return alpha * sigma * (1 - deviation**2) / power, deviation * power.rsqrt()


def spread(count: int, device: torch.device) -> Times:
    """Times of a batch, each uniform within [0, 1) and together evenly spread, which makes the loss less noisy.

    Source: Kingma et al., "Variational Diffusion Models", https://arxiv.org/abs/2107.00630, appendix I.1.
    """
    return (torch.rand((), device=device) + torch.arange(count, device=device) / count) % 1


class _Clock(nn.Module):
    """The diffusion time as a vector, from the harmonics of its angle."""

    def __init__(self, width: int, harmonics: int) -> None:
        super().__init__()
        self.harmonics = harmonics
        self.layers = nn.Sequential(nn.Linear(2 * harmonics, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Times) -> Float[Tensor, "batch width"]:
        multiples = torch.arange(1, self.harmonics + 1, device=t.device)
        return self.layers(torch.cat(schedule(t[:, None] * multiples), dim=1))


@final
class Diffusion(Objective):
    """Learns an encoder by denoising the spectrogram of each sound, given the encoder's vector of that sound.

    Args:
        spec: of the synth.
        encoder: what is learned.
        frontend: makes the frames that are denoised, of about unit variance.
        widths: channels of the denoiser at each of its frame rates, multiples of 8.
        kernel: frames that the denoiser's convolutions see.
        clock: size of the vector of the diffusion time.
        harmonics: of the diffusion angle that the clock sees.
        deviation: of the data that the encoder's output leaves open, as far as one guesses; in units of the front end.
        detail: channels of the tokens that the denoiser gets besides the vector; 0 makes the vector tell all.
    """

    def __init__(
        self,
        spec: ParamSpec,
        encoder: Encoder,
        frontend: Frontend,
        widths: tuple[int, ...] = (128, 192, 256),
        kernel: int = 3,
        clock: int = 64,
        harmonics: int = 16,
        deviation: float = 0.4,
        detail: int = 0,
    ) -> None:
        super().__init__()
        self.encoder, self.frontend, self.clock = encoder, frontend, _Clock(clock, harmonics)
        self.deviation = deviation
        self.compact = Compact(encoder.channels, detail) if detail else None
        self.denoiser = UNet(frontend.bands + detail, frontend.bands, encoder.dim + clock, widths, kernel)

    def velocity(self, audio: Audio, frames: int) -> Velocity:
        """The denoiser of noisy versions of these sounds' own spectrograms.

        Args:
            audio: the sounds.
            frames: how many their spectrograms have.
        """
        tokens = self.encoder.tokens(audio)
        vector, detail = self.encoder.vector(tokens), [self.compact(tokens, frames)] if self.compact else []

        def predict(x: Frames, t: Times) -> Frames:
            gain, share = gaussian_velocity(t[:, None, None], self.deviation)
            rest = self.denoiser(torch.cat([x, *detail], dim=1), torch.cat([vector, self.clock(t)], dim=1))
            return gain * x + share * rest.float()

        return predict

    @torch.no_grad()
    def sample(self, audio: Audio, generator: torch.Generator, steps: int = 20) -> Frames:
        """Spectrograms (in units of the front end) that the sounds' codes stand for.

        Args:
            audio: the sounds to encode.
            generator: draws the noise to start from.
            steps: of the sampler; one step gives the mean of what the code allows, more steps a typical one.

        Shape: ``(batch, time)`` in, ``(batch, band, frame)`` out.
        """
        like = self.frontend(audio)
        noise = torch.randn(like.shape, generator=generator, device=generator.device).to(like)
        return ddim(self.velocity(audio, like.shape[-1]), noise, steps)

    def loss(self, batch: Batch, player: str) -> dict[str, Tensor]:
        x = self.frontend(batch.audio)
        t = spread(len(x), x.device)
        noisy, velocity = diffuse(x, torch.randn_like(x), t)
        return {"loss": F.mse_loss(self.velocity(batch.audio, x.shape[-1])(noisy, t), velocity)}
