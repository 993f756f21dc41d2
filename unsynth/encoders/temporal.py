"""Residual convolutions over time with the front end's bands as channels: the cheapest strong encoder on a CPU."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from unsynth.base import Audio, Encoder, Frontend, Tokens, Vector
from unsynth.encoders.layers import AttentionPool, BatchNorm


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
    """

    def __init__(
        self,
        frontend: Frontend,
        dim: int = 256,
        widths: tuple[int, ...] = (256, 320, 512),
        depth: int = 1,
        kernel: int = 3,
        queries: int = 8,
    ) -> None:
        super().__init__(dim, widths[-1])
        self.frontend = frontend
        blocks, into = [], frontend.bands
        for width in widths:
            blocks.append(TemporalBlock(into, width, kernel + 2 * (into == frontend.bands), 2))
            blocks += [TemporalBlock(width, width, kernel, 1) for _ in range(depth)]
            into = width
        self.blocks, self.pool = nn.Sequential(*blocks), AttentionPool(into, dim, queries)

    def tokens(self, audio: Audio) -> Tokens:
        return self.blocks(self.frontend(audio)).transpose(1, 2)

    def vector(self, tokens: Tokens) -> Vector:
        return self.pool(tokens)
