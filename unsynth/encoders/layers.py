"""What several encoders are made of."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from unsynth.distributed import total, world


class BatchNorm(nn.Module):
    """Batch normalisation over the global batch: with several processes, mean and variance are those of all of
    them (each has as many rows).

    (torch's own synchronised one needs a GPU.) Source: Ioffe and Szegedy, "Batch Normalization",
    https://arxiv.org/abs/1502.03167, algorithm 1.

    Args:
        channels: size of axis 1.
        momentum: weight of a new batch in the running statistics that ``eval()`` uses.
        affine: whether scale and shift are learned; 1 and 0 where not.

    Shape: ``(batch, channel, *)`` in and out.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int, momentum: float = 0.1, epsilon: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        for name, values in (("weight", torch.ones(channels)), ("bias", torch.zeros(channels))):
            self.register_parameter(name, nn.Parameter(values)) if affine else self.register_buffer(name, values)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or world() == 1:
            statistics = self.mean, self.variance, self.weight, self.bias
            return F.batch_norm(x, *statistics, self.training, self.momentum, self.epsilon)
        wide = x.float()
        shape, axes = (1, -1, *(1 for _ in range(x.ndim - 2))), [0, *range(2, x.ndim)]
        count = world() * x.numel() // x.shape[1]
        mean = total(wide.sum(axes)) / count
        centred = wide - mean.view(shape)
        variance = total(centred.square().sum(axes)) / count
        with torch.no_grad():
            self.mean.lerp_(mean, self.momentum)
            self.variance.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * (variance + self.epsilon).rsqrt()
        return (centred * scale.view(shape) + self.bias.view(shape)).to(x.dtype)


def positions(length: int, channels: int, device: torch.device | None = None, longest: float = 1000.0) -> Tensor:
    """Sines and cosines of the frame number at geometrically spaced rates, so that any length has positions.

    Source: Vaswani et al., "Attention Is All You Need", https://arxiv.org/abs/1706.03762, section 3.5.

    Shape: ``(length, channels)``; ``channels`` is even.
    """
    rates = torch.exp(torch.arange(0, channels, 2, device=device) * (-math.log(longest) / channels))
    angles = torch.arange(length, device=device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


class AttentionPool(nn.Module):
    """Frames to one vector, for any number of frames: learned queries look for what matters, and when.

    Args:
        channels: of each frame.
        dim: of the vector.
        queries: how many weighted means of the frames are taken.

    Shape: ``(batch, frame, channel)`` in, ``(batch, dim)`` out.
    """

    def __init__(self, channels: int, dim: int, queries: int = 8) -> None:
        super().__init__()
        self.scores, self.values = nn.Linear(channels, queries), nn.Linear(channels, channels)
        self.where = nn.Linear(channels, queries, bias=False)
        self.out = nn.Linear(queries * channels, dim)

    def forward(self, frames: Float[Tensor, "batch frame channel"]) -> Float[Tensor, "batch dim"]:
        place = self.where(positions(frames.shape[1], frames.shape[2], frames.device).to(frames.dtype))
        weights = (self.scores(frames) + place).softmax(dim=1)
        return self.out((weights.transpose(1, 2) @ self.values(frames)).flatten(1))


class Residual(nn.Module):
    """A pre-normalised block of two layers around which the input passes.

    Shape: ``(*, width)`` in and out.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Gated(nn.Module):
    """A pre-normalised block whose hidden units are products of two linear maps, one through SiLU.

    Source: Shazeer, "GLU Variants Improve Transformer", https://arxiv.org/abs/2002.05202, eq. 6 (SwiGLU).

    Shape: ``(*, width)`` in and out.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm, self.into, self.out = nn.LayerNorm(width), nn.Linear(width, 2 * hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.into(self.norm(x)).chunk(2, dim=-1)
        return x + self.out(value * F.silu(gate))


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Softmax attention. Torch's own has a backward pass in bfloat16 on a CPU that is five times slower (LOG.md).

    Shape: ``(batch, head, token, channel)`` and twice ``(batch, head, other, channel)`` in, as the first out.
    """
    if query.device.type != "cpu" or query.dtype != torch.bfloat16:
        return F.scaled_dot_product_attention(query, key, value)
    return (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(-1).to(value.dtype) @ value


class Attention(nn.Module):
    """Pre-normalised multi-head attention of ``x`` to ``context``, around which ``x`` passes.

    Source: Vaswani et al., "Attention Is All You Need", https://arxiv.org/abs/1706.03762, section 3.2.

    Shape: ``(batch, token, width)`` and ``(batch, other, width)`` in, ``(batch, token, width)`` out.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.context_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.pair = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return x + self.read(x, context)

    def read(self, x: Tensor, context: Tensor) -> Tensor:
        """What ``x`` finds in ``context``, to be added to it."""
        query = self.query(self.norm(x)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        pair = self.pair(self.context_norm(context)).unflatten(-1, (2, self.heads, -1))
        key, value = pair.permute(2, 0, 3, 1, 4)
        return self.out(attend(query, key, value).transpose(1, 2).flatten(2))
