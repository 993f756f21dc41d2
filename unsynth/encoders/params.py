"""Parameters to one vector: the other side of the joint space."""

from __future__ import annotations

import math
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from unsynth.base import Params, ParamsEncoder, Vector
from unsynth.encoders.layers import Attention, Gated, Residual
from unsynth.params import ParamSpec

Features = Float[Tensor, "batch param feature"]


def features(params: Params, spec: ParamSpec, harmonics: int) -> Features:
    """What is told of each parameter: half cosines of its value, or which of its choices it has.

    ``cos(pi k u)`` for k from 1 to ``harmonics`` (a basis of the functions on [0, 1], with which a small network can
    follow fast changes), one-hot for a categorical parameter, zero-padded to a common size.
    """
    widest = max([harmonics, *(len(p.choices) for p in spec.params)])
    waves = torch.cos(math.pi * params[..., None] * torch.arange(1, harmonics + 1, device=params.device))
    waves = F.pad(waves, (0, widest - harmonics))
    categorical = torch.tensor([p.kind == "categorical" for p in spec.params], device=params.device)
    if not categorical.any():
        return waves
    choice = (spec.to_human(params) - spec.column("low").to(params.device)).long().clamp(0, widest - 1)
    return torch.where(categorical[:, None], F.one_hot(choice, widest).to(waves), waves)


@final
class ParamsMlp(ParamsEncoder):
    """A residual network on all parameters at once: cheap, so that a search may ask it thousands of times.

    Its units multiply, as the modules of a synth do.

    Args:
        spec: of the synth.
        dim: size of the vector.
        width: of the residual stream.
        blocks: residual blocks.
        expansion: hidden units of a block, in widths.
        harmonics: cosines of each parameter.
    """

    def __init__(
        self, spec: ParamSpec, dim: int = 256, width: int = 512, blocks: int = 4, expansion: int = 1, harmonics: int = 3
    ) -> None:
        super().__init__()
        self.spec, self.dim, self.harmonics = spec, dim, harmonics
        told = features(torch.zeros(1, len(spec)), spec, harmonics).numel()
        self.layers = nn.Sequential(
            nn.Linear(told, width),
            *(Gated(width, expansion * width) for _ in range(blocks)),
            nn.LayerNorm(width),
            nn.Linear(width, dim),
        )

    def forward(self, params: Params) -> Vector:
        return self.layers(features(params, self.spec, self.harmonics).flatten(1))


@final
class ParamsPerceiver(ParamsEncoder):
    """One token per parameter, read by a few latents that then talk to each other.

    Source: Jaegle et al., "Perceiver", https://arxiv.org/abs/2103.03206, section 3.1.

    Args:
        spec: of the synth.
        dim: size of the vector.
        width: of tokens and latents.
        latents: how many latents.
        blocks: layers of attention among the latents.
        heads: of each attention.
        harmonics: cosines of each parameter.
    """

    def __init__(
        self,
        spec: ParamSpec,
        dim: int = 256,
        width: int = 256,
        latents: int = 32,
        blocks: int = 4,
        heads: int = 4,
        harmonics: int = 8,
    ) -> None:
        super().__init__()
        self.spec, self.dim, self.harmonics = spec, dim, harmonics
        told = features(torch.zeros(1, len(spec)), spec, harmonics).shape[-1]
        self.weight = nn.Parameter(torch.randn(len(spec), told, width) * told**-0.5)
        self.bias = nn.Parameter(torch.randn(len(spec), width))
        self.latents = nn.Parameter(torch.randn(latents, width))
        self.read = Attention(width, heads)
        self.blocks = nn.ModuleList(
            nn.ModuleList([Attention(width, heads), Residual(width, 4 * width)]) for _ in range(blocks)
        )
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, dim))

    def tokens(self, params: Params) -> Float[Tensor, "batch param width"]:
        """One token of each parameter: a linear map and a bias of its own."""
        told = features(params, self.spec, self.harmonics)
        return torch.einsum("bpf,pfw->bpw", told, self.weight) + self.bias

    def forward(self, params: Params) -> Vector:
        latents = self.latents.expand(len(params), -1, -1)
        latents = self.read(latents, self.tokens(params))
        for attend, think in self.blocks:  # pyright: ignore[reportGeneralTypeIssues]
            latents = think(attend(latents, latents))
        return self.out(latents.mean(1))
