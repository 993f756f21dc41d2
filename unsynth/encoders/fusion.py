"""Several encoders as one: what one front end hides, another one shows."""

from __future__ import annotations

from typing import cast, final

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from unsynth.base import Audio, Encoder, Tokens, Vector
from unsynth.encoders.layers import Attention, Residual


def kept(batch: int, parts: int, dropout: float, device: torch.device | str = "cpu") -> Bool[Tensor, "batch part"]:
    """Which parts of each sound stay: each with probability ``1 - dropout``, and at least one, whichever chance picks.

    Drawn from torch's global generator.
    """
    draws = torch.rand(batch, parts, device=device)
    return (draws >= dropout) | (draws == draws.amax(1, keepdim=True))


@final
class Fusion(Encoder):
    """Encoders side by side, each with its own front end, mixed by attention.

    The tokens are one summary of each part (its vector), then all tokens of the first part, all of the second, and so
    on: parts need no common frame rate, and nothing is aligned. Each goes through a linear map of its part to the
    common size. For the vector, the summaries look at all tokens, are concatenated and mixed. In training a whole
    part of a sound is at times missing, and a learned vector stands in each of its tokens and in its summary.

    Source: Chen et al., "Sound2Synth", https://arxiv.org/abs/2205.03043 (features of several kinds,
    concatenated).

    Args:
        parts: the encoders.
        dim: size of the vector.
        channels: of a token.
        heads: of the attention.
        dropout: probability that a part is missing in training; never all of them are.
    """

    def __init__(
        self, parts: list[Encoder], dim: int = 256, channels: int = 256, heads: int = 4, dropout: float = 0.2
    ) -> None:
        super().__init__(dim, channels)
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout cannot be {dropout}; give a probability from 0 to 1")
        self.parts, self.dropout = nn.ModuleList(parts), dropout
        self.summaries = nn.ModuleList(nn.Linear(part.dim, channels) for part in parts)
        self.details = nn.ModuleList(nn.Linear(part.channels, channels) for part in parts)
        self.missing = nn.Parameter(torch.randn(len(parts), channels))
        self.attend, self.mix = Attention(channels, heads), Residual(len(parts) * channels, 2 * channels)
        self.out = nn.Linear(len(parts) * channels, dim)

    def tokens(self, audio: Audio) -> Tokens:
        keep = None
        if self.training and self.dropout:
            keep = kept(len(audio), len(self.parts), self.dropout, audio.device)
        summaries, details = [], []
        for n in range(len(self.parts)):
            own = self._part(n, audio)
            if keep is not None:
                own = torch.where(keep[:, n, None, None], own, self.missing[n])
            summaries.append(own[:, :1])
            details.append(own[:, 1:])
        return torch.cat([*summaries, *details], 1)

    def vector(self, tokens: Tokens) -> Vector:
        mixed = self.attend(tokens[:, : len(self.parts)], tokens)
        return self.out(self.mix(mixed.flatten(1)))

    def _part(self, n: int, audio: Audio) -> Tokens:
        """The summary and the tokens of one part, of the common size."""
        part = cast(Encoder, self.parts[n])
        tokens = part.tokens(audio)
        return torch.cat([self.summaries[n](part.vector(tokens))[:, None], self.details[n](tokens)], 1)
