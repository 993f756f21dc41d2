"""Parameters to one vector: the other side of the joint space."""

from __future__ import annotations

import math
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from unsynth.base import Params, ParamsEncoder, Vector
from unsynth.encoders.layers import Attention, Gated, Residual
from unsynth.params import ParamSpec

Features = Float[Tensor, "batch param feature"]
FEW = 32  # values of an integer that is told as a choice is


def features(params: Params, spec: ParamSpec, harmonics: int) -> Features:
    """What is told of each parameter: half cosines of its value, or which of its few values it has.

    ``cos(pi k u)`` for k from 1 to ``harmonics`` (a basis of the functions on [0, 1], with which a small network can
    follow fast changes); one-hot for a choice, and for an integer of at most ``FEW`` values, as neighbours may sound
    nothing alike (an operator's frequency ratio). Zero-padded to a common size.
    """
    widest = max(_sizes(spec, harmonics))
    waves = torch.cos(math.pi * params[..., None] * torch.arange(1, harmonics + 1, device=params.device))
    waves = F.pad(waves, (0, widest - harmonics))
    few = (_values(spec) > 0).to(params.device)
    if not few.any():
        return waves
    return torch.where(few[:, None], _which(params, spec, widest), waves)


def _which(params: Params, spec: ParamSpec, widest: int) -> Features:
    """One-hot of each parameter's value among ``widest``; where there is a gradient, that of a blend of neighbours.

    Source: Bengio et al., "Estimating or Propagating Gradients Through Stochastic Neurons",
    https://arxiv.org/abs/1308.3432 (the straight-through estimator).
    """
    value = (spec.to_human(params) - spec.column("low").to(params.device)).long().clamp(0, widest - 1)
    hard = F.one_hot(value, widest).to(params)
    if not (torch.is_grad_enabled() and params.requires_grad):
        return hard
    count = _values(spec).to(params.device).clamp(min=1)
    step = torch.arange(widest, device=params.device)
    away = (params * count - 0.5)[..., None] - step
    soft = (-2 * away.square()).masked_fill(step >= count[:, None], -torch.inf).softmax(-1)
    return hard + soft - soft.detach()


def used(spec: ParamSpec, harmonics: int) -> Bool[Tensor, "param feature"]:
    """Which of the :func:`features` are not padding."""
    sizes = _sizes(spec, harmonics)
    return torch.arange(max(sizes)) < torch.tensor(sizes)[:, None]


def _sizes(spec: ParamSpec, harmonics: int) -> list[int]:
    """How many features each parameter has."""
    values = _values(spec)
    return torch.where(values > 0, values, harmonics).int().tolist()


def _values(spec: ParamSpec) -> Float[Tensor, " param"]:
    """How many values each parameter has that is told as a choice; 0 where it is told by waves."""
    values = (1 / spec.steps).round()  # infinitely many where continuous
    return torch.where(spec.categorical | (values <= FEW), values, 0.0)


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
        self.used: Tensor
        self.register_buffer("used", used(spec, harmonics).flatten().nonzero()[:, 0], persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(len(self.used), width),
            *(Gated(width, expansion * width) for _ in range(blocks)),
            nn.LayerNorm(width),
            nn.Linear(width, dim),
        )

    def forward(self, params: Params) -> Vector:
        return self.layers(features(params, self.spec, self.harmonics).flatten(1)[:, self.used])


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
        size = max(_sizes(spec, harmonics))
        self.weight = nn.Parameter(torch.randn(len(spec), size, width) * size**-0.5)
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
