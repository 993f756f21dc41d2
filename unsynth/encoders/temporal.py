"""Residual convolutions over time with the front end's bands as channels: the cheapest strong encoder on a CPU."""

from __future__ import annotations

from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unsynth.base import Audio, Encoder, Frontend, Tokens, Vector
from unsynth.encoders.layers import AttentionPool, BatchNorm

EPSILON = 1e-6  # least variance, for a finite gradient


class TemporalBlock(nn.Module):
    """A convolution over time with batch normalisation, around which the input passes where the shape stays.

    Args:
        into: channels.
        out: channels.
        kernel: odd number of frames.
        stride: frames between outputs.

    Shape: ``(batch, into, frame)`` in, ``(batch, out, ceil(frame / stride))`` out.
    """

    def __init__(self, into: int, out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(into, out, kernel, stride, padding=kernel // 2, bias=False), BatchNorm(out), nn.GELU()
        )
        self.same = into == out and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.same else self.layers(x)


class Statistics(nn.Module):
    """Mean, deviation and maximum of each channel over the frames.

    Shape: ``(batch, frame, channel)`` in, ``(batch, 3 * channel)`` out.
    """

    def forward(self, frames: Float[Tensor, "batch frame channel"]) -> Float[Tensor, "batch statistic"]:
        spread = frames.float().var(1, unbiased=False).clamp(min=EPSILON).sqrt().to(frames)
        return torch.cat([frames.mean(1), spread, frames.amax(1)], dim=1)


@final
class Temporal(Encoder):
    """Stages of convolutions over the frames, each halving their number, then attention pooling.

    Args:
        frontend: makes the frames.
        dim: size of the vector.
        widths: channels of each stage.
        depth: residual convolutions of each stage.
        kernel: frames that each convolution sees.
        queries: of the pooling.
        pool: ``attention`` to what was learned to matter, or ``statistics``: mean, deviation and maximum of each
            channel, without weights; the vector has three times the channels then, whatever ``dim`` says. What a frozen
            encoder's attention leaves out for its own purpose is still there.
    """

    def __init__(
        self,
        frontend: Frontend,
        dim: int = 256,
        widths: tuple[int, ...] = (256, 320, 512),
        depth: int = 1,
        kernel: int = 3,
        queries: int = 8,
        pool: Literal["attention", "statistics"] = "attention",
    ) -> None:
        super().__init__(dim if pool == "attention" else 3 * widths[-1], widths[-1])
        self.frontend = frontend
        blocks, into = [], frontend.bands
        for width in widths:
            blocks.append(TemporalBlock(into, width, kernel + 2 * (into == frontend.bands), 2))
            blocks += [TemporalBlock(width, width, kernel, 1) for _ in range(depth)]
            into = width
        self.blocks = nn.Sequential(*blocks)
        self.pool = AttentionPool(into, dim, queries) if pool == "attention" else Statistics()

    def tokens(self, audio: Audio) -> Tokens:
        return self.blocks(self.frontend(audio)).transpose(1, 2)

    def vector(self, tokens: Tokens) -> Vector:
        return self.pool(tokens)
