"""S4D: a diagonal linear state space for every channel, run over a whole sequence as one long convolution.

Source: Gu et al., "On the Parameterization and Initialization of Diagonal State Space Models",
https://arxiv.org/abs/2206.11893. Each channel obeys ``x' = A x + B u``, ``y = Re(C x) + D u``, with diagonal complex A,
whose states stand for themselves and their conjugates; u is held constant over steps of the channel's own length.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from jaxtyping import Complex, Float, Shaped
from torch import Tensor, nn

Signal = Float[Tensor, "batch frame channel"]
Start = Literal["lin", "legs"]
DECAY = 0.5  # minus the real part that every state starts from, in both initialisations


def lin_frequencies(pairs: int) -> Float[Tensor, " {pairs}"]:
    """Imaginary parts of S4D-Lin, ``pi n``: the states start as a damped Fourier series (section 4)."""
    return math.pi * torch.arange(pairs)


def legs_frequencies(pairs: int) -> Float[Tensor, " {pairs}"]:
    """Imaginary parts of S4D-LegS, rising: those above zero of the eigenvalues of the normal part of HiPPO-LegS.

    That part is ``-1/2 + S`` with ``S[n, k] = -sqrt((2n + 1)(2k + 1)) / 2`` for ``n > k``, skew-symmetric (section 4).
    """
    roots = (2 * torch.arange(2 * pairs, dtype=torch.float64) + 1).sqrt()
    below = (roots[:, None] * roots / -2).tril(-1)
    return torch.linalg.eigvalsh(-1j * (below - below.T))[pairs:].float()


def powers(
    weight: Complex[Tensor, "direction channel state"], exponent: Complex[Tensor, "channel state"], length: int
) -> Float[Tensor, "direction channel {length}"]:
    """``2 Re sum_n weight_n exp(exponent_n l)`` for ``l`` below ``length``: the Vandermonde product of section 3.

    With ``l = side i + j`` it is one matrix product of exponentials of ``i`` and of ``j``: ``2 sqrt(length)`` of them
    for every state instead of ``length``.
    """
    side = math.isqrt(length - 1) + 1
    count = torch.arange(side, device=exponent.device)
    near = torch.exp(exponent[..., None] * count)
    far = weight[..., None] * torch.exp(exponent[..., None] * (side * count))
    far, near = torch.cat([far.real, -far.imag], dim=-2), torch.cat([near.real, near.imag], dim=-2)
    return 2 * (far.transpose(-1, -2) @ near).flatten(-2)[..., :length]


def transform_length(least: int) -> int:
    """The next length from ``least`` on that is 4 to 8 times a power of two, for which Fourier transforms are fast."""
    unit = 1 << max(0, least.bit_length() - 3)
    return -(-least // unit) * unit


def _complex(pairs: Float[Tensor, " number"], *shape: int) -> Shaped[Tensor, "*shape"]:
    return torch.view_as_complex(pairs.view(*shape, 2))


class S4D(nn.Module):
    """One diagonal state space for each channel, as a convolution through the Fourier transform, always in float32.

    All parameters have one axis, so that neither weight decay nor a Glorot initialisation reaches them. Those of
    ``slow`` (A, B and the step) learn at a limited rate, as the paper's do.

    Args:
        channels: of the signal; they do not mix.
        states: N of the paper, of which half are kept and half are their conjugates.
        bidirectional: whether a second C reads the same states of the reversed signal, so that every frame sees all.
        start: which imaginary parts the states start from, S4D-Lin or S4D-LegS.
        steps: the shortest and the longest step, between which the channels' are drawn, evenly in their logarithm.

    Shape: ``(batch, frame, channel)`` in and out.
    """

    slow: ClassVar = ("log_step", "log_decay", "frequency", "drive")

    def __init__(
        self,
        channels: int,
        states: int = 64,
        bidirectional: bool = True,
        start: Start = "legs",
        steps: tuple[float, float] = (0.001, 0.1),
    ) -> None:
        super().__init__()
        pairs, low, high = states // 2, *map(math.log, steps)
        self.sizes = (1 + bidirectional, channels, pairs)
        frequencies = lin_frequencies(pairs) if start == "lin" else legs_frequencies(pairs)
        self.log_step = nn.Parameter(torch.empty(channels).uniform_(low, high))
        self.log_decay = nn.Parameter(torch.full((channels * pairs,), math.log(DECAY)))
        self.frequency = nn.Parameter(frequencies.repeat(channels))
        self.drive = nn.Parameter(torch.tensor([1.0, 0.0]).repeat(channels * pairs))
        self.read = nn.Parameter(torch.randn(math.prod(self.sizes) * 2) * math.sqrt(0.5))
        self.skip = nn.Parameter(torch.randn(channels))

    def kernel(self, length: int) -> Float[Tensor, "direction channel {length}"]:
        """Impulse response of each direction, without D: ``2 Re sum C B (exp(step A) - 1) / A exp(step A l)``."""
        _, channels, pairs = self.sizes
        poles = torch.complex(-self.log_decay.exp(), self.frequency).view(channels, pairs)
        exponent = self.log_step.exp()[:, None] * poles
        weight = _complex(self.read, *self.sizes) * _complex(self.drive, channels, pairs)
        return powers(weight * torch.expm1(exponent) / poles, exponent, length)

    def forward(self, u: Signal) -> Signal:
        with torch.autocast(u.device.type, enabled=False):
            return self._convolve(u.to(self.skip.dtype))

    def _convolve(self, u: Signal) -> Signal:
        length, size = u.shape[1], transform_length(2 * u.shape[1])
        response = torch.fft.rfft(self.kernel(length), n=size)
        response = response[0] + response[1].conj() if self.sizes[0] > 1 else response[0]  # conjugate: reversed in time
        spectrum = torch.fft.rfft(u.transpose(1, 2), n=size) * response
        return torch.fft.irfft(spectrum, n=size)[..., :length].transpose(1, 2) + self.skip * u
