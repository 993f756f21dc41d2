"""SaShiMi: state spaces over the sound at several scales, from fine and narrow to coarse and wide.

Source: Goel et al., "It's Raw! Audio Generation with State-Space Models", https://arxiv.org/abs/2202.09729, section 4.2
and figure 1: the way down of their network, whose coarsest scale describes the sound; the way up is for generating.
"""

from __future__ import annotations

import math
from typing import final

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from unsynth.base import Audio, Encoder, Frontend, Tokens, UsageError, Vector
from unsynth.encoders.layers import AttentionPool, Residual
from unsynth.encoders.s4 import S4D, Start


class Down(nn.Module):
    """Groups of neighbouring frames, side by side, through one linear layer.

    Shape: ``(batch, frame, into)`` in, ``(batch, frame / pool, out)`` out; ``pool`` divides the number of frames.
    """

    def __init__(self, into: int, out: int, pool: int) -> None:
        super().__init__()
        self.pool, self.mix = pool, nn.Linear(into * pool, out)

    def forward(self, x: Float[Tensor, "batch frame into"]) -> Float[Tensor, "batch group out"]:
        return self.mix(x.unflatten(1, (-1, self.pool)).flatten(2))


class Block(nn.Module):
    """A pre-normalised state space, its channels mixed by a linear layer, around which the input passes; then an MLP.

    Shape: ``(batch, frame, width)`` in and out.
    """

    def __init__(self, width: int, expansion: int, states: int, bidirectional: bool, start: Start) -> None:
        super().__init__()
        space = S4D(width, states, bidirectional, start)
        self.mixer = nn.Sequential(nn.LayerNorm(width), space, nn.GELU(), nn.Linear(width, width))
        self.mlp = Residual(width, expansion * width)

    def forward(self, x: Tensor) -> Tensor:
        return self.mlp(x + self.mixer(x))


@final
class SaShiMi(Encoder):
    """Stages of S4 blocks over the frames, each on fewer and wider frames than the last, then attention pooling.

    The coarsest frames are the tokens. Sounds are filled up with frames of zeros to whole tokens.

    Args:
        frontend: makes the frames; the paper's are samples, here PQMF bands or pieces of the waveform do as well.
        dim: size of the vector.
        widths: channels of each stage.
        pools: how many frames of the stage before (of the front end, for the first) make one frame of each stage.
        depth: blocks of each stage.
        expansion: width of the MLPs over that of the stage.
        states: of each channel's state space.
        bidirectional: whether tokens know what follows; the paper's are causal where it generates.
        start: initialisation of the state spaces, S4D-Lin or S4D-LegS.
        queries: of the pooling.

    Raises:
        UsageError: there is not one pool for each width.
    """

    def __init__(
        self,
        frontend: Frontend,
        dim: int = 256,
        widths: tuple[int, ...] = (64, 128, 256),
        pools: tuple[int, ...] = (4, 4, 4),
        depth: int = 2,
        expansion: int = 2,
        states: int = 64,
        bidirectional: bool = True,
        start: Start = "legs",
        queries: int = 8,
    ) -> None:
        super().__init__(dim, widths[-1])
        if len(pools) != len(widths):
            raise UsageError(f"SaShiMi has {len(widths)} widths but {len(pools)} pools; give one pool for each width.")
        self.frontend, self.group = frontend, math.prod(pools)
        layers: list[nn.Module] = []
        for into, width, pool in zip((frontend.bands, *widths), widths, pools, strict=False):
            layers.append(Down(into, width, pool))
            layers += [Block(width, expansion, states, bidirectional, start) for _ in range(depth)]
        self.stages = nn.Sequential(*layers, nn.LayerNorm(widths[-1]))
        self.pool = AttentionPool(widths[-1], dim, queries)

    def tokens(self, audio: Audio) -> Tokens:
        frames = self.frontend(audio)
        return self.stages(F.pad(frames, (0, -frames.shape[-1] % self.group)).transpose(1, 2))

    def vector(self, tokens: Tokens) -> Vector:
        return self.pool(tokens)
