"""What the generative objectives turn an encoder's output back into frames with, for any number of frames."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from unsynth.base import Frames, Tokens, Vector
from unsynth.encoders.layers import positions


class Conditioned(nn.Module):
    """Two convolutions over the frames, around which they pass; a vector scales and shifts what is between them.

    Source: adaptive group normalisation, Preechakul et al., "Diffusion Autoencoders", https://arxiv.org/abs/2111.15640,
    section 3.

    Args:
        into: channels that come.
        out: channels that go.
        condition: size of the vector.
        kernel: frames that each convolution sees.
        groups: of the group normalisation.

    Shape: ``(batch, into, frame)`` and ``(batch, condition)`` in, ``(batch, out, frame)`` out.
    """

    def __init__(self, into: int, out: int, condition: int, kernel: int = 3, groups: int = 8) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.GroupNorm(groups, into), nn.SiLU(), nn.Conv1d(into, out, kernel, padding=kernel // 2)
        )
        self.norm, self.steer = nn.GroupNorm(groups, out, affine=False), nn.Linear(condition, 2 * out)
        self.second = nn.Sequential(nn.SiLU(), nn.Conv1d(out, out, kernel, padding=kernel // 2))
        self.past = nn.Identity() if into == out else nn.Conv1d(into, out, 1)

    def forward(self, x: Frames, condition: Vector) -> Frames:
        scale, shift = self.steer(condition)[..., None].chunk(2, dim=1)
        return self.past(x) + self.second(self.norm(self.first(x)) * (1 + scale) + shift)


class Compact(nn.Module):
    """An encoder's tokens through a narrow gate: few channels within [-1, 1], stretched to a number of frames.

    Args:
        channels: of a token.
        kept: channels that pass.

    Shape: ``(batch, token, channel)`` in, ``(batch, kept, frames)`` out.
    """

    def __init__(self, channels: int, kept: int) -> None:
        super().__init__()
        self.gate = nn.Linear(channels, kept)

    def forward(self, tokens: Tokens, frames: int) -> Frames:
        return F.interpolate(self.gate(tokens).tanh().transpose(1, 2), size=frames, mode="linear")


class Place(nn.Module):
    """Adds to each frame what tells where in the sound it is.

    Shape: ``(batch, channel, frame)`` in and out; ``channels`` is even.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Linear(channels, channels, bias=False)

    def forward(self, x: Frames) -> Frames:
        return x + self.weight(positions(x.shape[2], x.shape[1], x.device)).T


class UNet(nn.Module):
    """Frames to frames through halved and halved frame rates and back, with the finer rates passed on at each.

    Source: Ronneberger et al., "U-Net", https://arxiv.org/abs/1505.04597, with bands as channels of 1-D convolutions.

    Args:
        into: channels that come.
        out: channels that go.
        condition: size of the vector that steers each block.
        widths: channels at each frame rate, multiples of 8.
        kernel: frames that each convolution sees.

    Shape: ``(batch, into, frame)`` and ``(batch, condition)`` in, ``(batch, out, frame)`` out.
    """

    def __init__(self, into: int, out: int, condition: int, widths: tuple[int, ...], kernel: int = 3) -> None:
        super().__init__()
        steps = list(pairwise(widths))
        self.enter = nn.Sequential(nn.Conv1d(into, widths[0], kernel, padding=kernel // 2), Place(widths[0]))
        self.down = nn.ModuleList(Conditioned(fine, fine, condition, kernel) for fine, _ in steps)
        self.halve = nn.ModuleList(nn.Conv1d(fine, coarse, 3, 2, padding=1) for fine, coarse in steps)
        self.middle = Conditioned(widths[-1], widths[-1], condition, kernel)
        self.up = nn.ModuleList(Conditioned(fine + coarse, fine, condition, kernel) for fine, coarse in steps)
        self.leave = nn.Sequential(nn.SiLU(), nn.Conv1d(widths[0], out, kernel, padding=kernel // 2))

    def forward(self, x: Frames, condition: Vector) -> Frames:
        x, passed = self.enter(x), []
        for block, halve in zip(self.down, self.halve, strict=True):
            passed.append(block(x, condition))
            x = halve(passed[-1])
        x = self.middle(x, condition)
        for block, fine in zip(reversed(self.up), reversed(passed), strict=True):
            x = block(torch.cat([F.interpolate(x, size=fine.shape[-1]), fine], dim=1), condition)
        return self.leave(x)


class Decoder(nn.Module):
    """A vector and compact tokens to frames, from a low frame rate to the full one.

    Args:
        channels: of a token.
        kept: of them, after the gate.
        out: bands of the frames.
        condition: size of the vector.
        widths: channels at each frame rate, each twice the rate of the one before; multiples of 8.
        kernel: frames that each convolution sees.
    """

    def __init__(
        self, channels: int, kept: int, out: int, condition: int, widths: tuple[int, ...], kernel: int = 3
    ) -> None:
        super().__init__()
        self.compact = Compact(channels, kept)
        self.enter = nn.Sequential(nn.Conv1d(kept, widths[0], kernel, padding=kernel // 2), Place(widths[0]))
        into = (widths[0], *widths[:-1])
        self.blocks = nn.ModuleList(Conditioned(a, b, condition, kernel) for a, b in zip(into, widths, strict=True))
        self.leave = nn.Sequential(nn.SiLU(), nn.Conv1d(widths[-1], out, kernel, padding=kernel // 2))

    def forward(self, tokens: Tokens, vector: Vector, frames: int) -> Frames:
        lengths = [-(-frames // 2**halvings) for halvings in reversed(range(len(self.blocks)))]
        x = self.enter(self.compact(tokens, lengths[0]))
        for block, length in zip(self.blocks, lengths, strict=True):
            x = block(F.interpolate(x, size=length), vector)
        return self.leave(x)
