"""A transformer on patches of the front end's picture, and one summary token that reads them all."""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from unsynth.base import Audio, Encoder, Frames, Frontend, Tokens, Vector
from unsynth.encoders.layers import Attention, Residual, positions


@final
class Transformer(Encoder):
    """Patches become tokens by one linear map; pre-normalised attention blocks; the first token is the summary.

    Source: Gong et al., "AST: Audio Spectrogram Transformer", https://arxiv.org/abs/2104.01778, section 2.1, with
    fixed positions in time, so that clips of any length have them, and learned ones for the rows of patches.

    Args:
        frontend: makes the picture.
        dim: size of the vector.
        width: of the tokens.
        depth: blocks.
        heads: of each attention.
        frames: of a patch.
        stride: frames between patches.
        bands: of a patch; all of them, and so one row of patches, where None.
        expansion: hidden units of a block, in widths.
    """

    def __init__(
        self,
        frontend: Frontend,
        dim: int = 256,
        width: int = 256,
        depth: int = 4,
        heads: int = 4,
        frames: int = 6,
        stride: int = 3,
        bands: int | None = None,
        expansion: int = 4,
    ) -> None:
        super().__init__(dim, width)
        self.frontend, self.frames, self.stride, self.bands = frontend, frames, stride, bands or frontend.bands
        self.patches = nn.Conv1d(self.bands, width, frames, stride)
        self.rows = nn.Parameter(torch.randn(-(-frontend.bands // self.bands), 1, width))
        self.summary = nn.Parameter(torch.randn(width))
        self.blocks = nn.ModuleList(
            nn.ModuleList([Attention(width, heads), Residual(width, expansion * width)]) for _ in range(depth)
        )
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, dim)

    def tokens(self, audio: Audio) -> Tokens:
        patches = self.embed(self.frontend(audio))
        patches = patches + self.rows + positions(patches.shape[2], self.channels, audio.device)
        x = torch.cat([self.summary.expand(len(audio), 1, -1), patches.flatten(1, 2)], dim=1)
        for attend, think in self.blocks:  # pyright: ignore[reportGeneralTypeIssues]
            x = think(attend(x, x))
        return self.norm(x)

    def vector(self, tokens: Tokens) -> Vector:
        return self.out(tokens[:, 0])

    def embed(self, picture: Frames) -> Float[Tensor, "batch row column width"]:
        """Patches, with zeros around the picture: one column for each ``stride`` frames begun."""
        bands, frames = picture.shape[1:]
        missing = max(0, (-(-frames // self.stride) - 1) * self.stride + self.frames - frames)
        padded = F.pad(picture, (missing // 2, missing - missing // 2, 0, -bands % self.bands))
        rows = padded.unflatten(1, (len(self.rows), self.bands)).flatten(0, 1)
        return self.patches(rows).unflatten(0, (-1, len(self.rows))).transpose(2, 3)
