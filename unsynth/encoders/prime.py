"""Prime-dilated convolutions over the pitch axis of a constant-Q transform: harmonics of one tone meet."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unsynth.base import Audio, Encoder, Tokens, Vector
from unsynth.encoders.layers import AttentionPool, BatchNorm
from unsynth.encoders.temporal import TemporalBlock
from unsynth.frontends.cqt import Cqt


def prime_taps(primes: tuple[int, ...], bands_per_octave: float) -> list[int]:
    """Distances, in bands, to the bands whose frequency is a prime times one's own, moved by octaves, and to oneself.

    A prime ``p`` stands for the ratio ``r(p) = p / 2^s`` with the largest ``s`` for which ``2^s < p``: 2, 3/2, 5/4,
    7/4. Every whole number is a product of primes, so steps of these distances, up and down, lead from any harmonic of
    a tone to any other.

    Source: Chen et al., "Sound2Synth", https://arxiv.org/abs/2205.03043, eq. 5.
    """
    ratios = [p / 2 ** ((p - 1).bit_length() - 1) for p in primes]
    steps = [round(bands_per_octave * math.log2(ratio)) for ratio in ratios]
    return sorted({0, *steps, *(-step for step in steps)})


class PrimeConvolution(nn.Module):
    """A convolution over the bands with a matrix at each of :func:`prime_taps` and nothing between them.

    Shape: ``(batch, channel, band, frame)`` in and out; beyond the lowest and the highest band there are zeros.
    """

    def __init__(self, channels: int, primes: tuple[int, ...], bands_per_octave: float) -> None:
        super().__init__()
        self.taps = prime_taps(primes, bands_per_octave)
        self.mix = nn.Conv2d(len(self.taps) * channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        reach = self.taps[-1]
        padded = F.pad(x, (0, 0, reach, reach))
        return self.mix(torch.cat([padded.narrow(2, reach + tap, x.shape[2]) for tap in self.taps], 1))


class _Stage(nn.Module):
    def __init__(
        self, into: int, out: int, stride: tuple[int, int], primes: tuple[int, ...], bands_per_octave: float
    ) -> None:
        super().__init__()
        self.near = nn.Sequential(nn.Conv2d(into, out, 3, stride, padding=1, bias=False), BatchNorm(out), nn.GELU())
        self.far = nn.Sequential(PrimeConvolution(out, primes, bands_per_octave), BatchNorm(out), nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        x = self.near(x)
        return x + self.far(x)


@final
class Prime(Encoder):
    """Stages of a small and a prime-dilated convolution on a constant-Q picture, then convolutions over time.

    Each stage halves the frames, and but for the first the bands. A linear map of all channels of all bands that are
    left makes one frame of them.

    Source: Chen et al., "Sound2Synth", https://arxiv.org/abs/2205.03043.

    Args:
        frontend: a constant-Q transform, whose bands are evenly spaced in pitch.
        dim: size of the vector.
        widths: channels of each stage.
        channels: of a token.
        primes: of the convolutions.
        depth: residual convolutions over time.
        kernel: frames that each of these sees.
        queries: of the pooling.
    """

    def __init__(
        self,
        frontend: Cqt,
        dim: int = 256,
        widths: tuple[int, ...] = (16, 32, 64),
        channels: int = 256,
        primes: tuple[int, ...] = (2, 3, 5, 7),
        depth: int = 2,
        kernel: int = 3,
        queries: int = 8,
    ) -> None:
        super().__init__(dim, channels)
        self.frontend = frontend
        stages, into, bands = [], 1, frontend.bands
        for n, width in enumerate(widths):
            down = 2 if n else 1
            stages.append(_Stage(into, width, (down, 2), primes, frontend.bands_per_octave / 2**n))
            into, bands = width, -(-bands // down)
        self.stages = nn.Sequential(*stages)
        self.fold = TemporalBlock(into * bands, channels, 1, 1)
        self.blocks = nn.Sequential(*(TemporalBlock(channels, channels, kernel, 1) for _ in range(depth)))
        self.pool = AttentionPool(channels, dim, queries)

    def tokens(self, audio: Audio) -> Tokens:
        picture = self.stages(self.frontend(audio)[:, None])
        return self.blocks(self.fold(picture.flatten(1, 2))).transpose(1, 2)

    def vector(self, tokens: Tokens) -> Vector:
        return self.pool(tokens)
