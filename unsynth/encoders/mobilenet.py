"""MobileNetV3-Small on the front end's picture: few operations for the size of the picture, at any clip length."""

from __future__ import annotations

from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from unsynth.base import Audio, Encoder, Frontend, Tokens, Vector
from unsynth.encoders.layers import AttentionPool, BatchNorm


class _Row(NamedTuple):
    kernel: int
    hidden: int
    out: int
    squeeze: bool
    activation: type[nn.Module]
    stride: int


STEM = 16  # channels of the first convolution, which has stride 2
ROWS = (  # "Searching for MobileNetV3", table 2
    _Row(3, 16, 16, True, nn.ReLU, 2),
    _Row(3, 72, 24, False, nn.ReLU, 2),
    _Row(3, 88, 24, False, nn.ReLU, 1),
    _Row(5, 96, 40, True, nn.Hardswish, 2),
    _Row(5, 240, 40, True, nn.Hardswish, 1),
    _Row(5, 240, 40, True, nn.Hardswish, 1),
    _Row(5, 120, 48, True, nn.Hardswish, 1),
    _Row(5, 144, 48, True, nn.Hardswish, 1),
    _Row(5, 288, 96, True, nn.Hardswish, 2),
    _Row(5, 576, 96, True, nn.Hardswish, 1),
    _Row(5, 576, 96, True, nn.Hardswish, 1),
)


def rounded(channels: float, multiple: int = 8) -> int:
    """Channels as a multiple that processors like, never more than a tenth fewer than asked for."""
    near = max(multiple, int(channels + multiple / 2) // multiple * multiple)
    return near if near >= 0.9 * channels else near + multiple


class Depthwise(nn.Conv2d):
    """A convolution of each channel by itself; on a CPU in float32, whose gradient is 2 to 4 times as fast there.

    Shape: ``(batch, channel, band, frame)`` in, ``(batch, channel, ceil(band / stride), ceil(frame / stride))`` out.
    """

    def __init__(self, channels: int, kernel: int, stride: tuple[int, int]) -> None:
        super().__init__(channels, channels, kernel, stride, padding=kernel // 2, groups=channels, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type != "cpu":
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float()).to(input.dtype)


class SqueezeExcitation(nn.Module):
    """Scales every channel by what all channels are on average over the picture.

    Source: Hu et al., "Squeeze-and-Excitation Networks", https://arxiv.org/abs/1709.01507, section 3, with the hard
    sigmoid of "Searching for MobileNetV3", https://arxiv.org/abs/1905.02244, section 5.3.

    Shape: ``(batch, channel, band, frame)`` in and out.
    """

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        hidden = rounded(channels / reduction)
        self.layers = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Hardsigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.layers(x.mean((2, 3)))[..., None, None]


class InvertedResidual(nn.Module):
    """Widens by a 1 x 1 convolution, filters each channel by itself, narrows again without an activation.

    Source: Howard et al., "Searching for MobileNetV3", https://arxiv.org/abs/1905.02244, figure 4.

    Shape: ``(batch, into, band, frame)`` in, ``(batch, row.out, ceil(band / stride), ceil(frame / stride))`` out.
    """

    def __init__(self, into: int, row: _Row, stride: tuple[int, int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if row.hidden != into:
            layers += [nn.Conv2d(into, row.hidden, 1, bias=False), BatchNorm(row.hidden), row.activation()]
        layers += [Depthwise(row.hidden, row.kernel, stride), BatchNorm(row.hidden), row.activation()]
        if row.squeeze:
            layers.append(SqueezeExcitation(row.hidden))
        self.layers = nn.Sequential(*layers, nn.Conv2d(row.hidden, row.out, 1, bias=False), BatchNorm(row.out))
        self.same = stride == (1, 1) and into == row.out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.same else self.layers(x)


@final
class MobileNet(Encoder):
    """MobileNetV3-Small with the picture of a front end as its one input channel.

    Source: Howard et al., "Searching for MobileNetV3", https://arxiv.org/abs/1905.02244, table 2. What differs: the
    last 1 x 1 convolution spans all bands that are left (a 32nd of the front end's, however many that are), so that the
    picture becomes a sequence over time and keeps where in frequency things are; attention pools the sequence where
    the original takes the mean of the picture; it has no squeeze-and-excitation.

    Args:
        frontend: makes the picture.
        dim: size of the vector.
        multiplier: of all channels of the table.
        channels: of a token.
        frames: of the front end for each token, a power of two; from 32 on, the table's strides.
        queries: of the pooling.
    """

    def __init__(
        self,
        frontend: Frontend,
        dim: int = 256,
        multiplier: float = 1.0,
        channels: int = 576,
        frames: int = 32,
        queries: int = 8,
    ) -> None:
        super().__init__(dim, channels)
        self.frontend = frontend
        into, bands, taken = rounded(STEM * multiplier), -(-frontend.bands // 2), min(2, frames)
        stem = nn.Conv2d(1, into, 3, (2, taken), padding=1, bias=False)
        self.stem = nn.Sequential(stem, BatchNorm(into), nn.Hardswish())
        blocks = []
        for table in ROWS:
            row = table._replace(hidden=rounded(table.hidden * multiplier), out=rounded(table.out * multiplier))
            stride = row.stride if taken < frames else 1
            blocks.append(InvertedResidual(into, row, (row.stride, stride)))
            into, bands, taken = row.out, -(-bands // row.stride), taken * stride
        self.blocks = nn.Sequential(*blocks)
        self.fold = nn.Sequential(
            nn.Conv2d(into, channels, (bands, 1), bias=False), BatchNorm(channels), nn.Hardswish()
        )
        self.pool = AttentionPool(channels, dim, queries)

    def tokens(self, audio: Audio) -> Tokens:
        picture = self.stem(self.frontend(audio)[:, None])
        picture = self.blocks(picture.contiguous(memory_format=torch.channels_last))  # twice as fast on a CPU
        return self.fold(picture).squeeze(2).transpose(1, 2)

    def vector(self, tokens: Tokens) -> Vector:
        return self.pool(tokens)
