"""Regression: one guess of the parameters of each sound, the baseline of the field.

With the encoder of a joint space, frozen, and the error in that space, this is the predecessor's inversion: the head
learns parameters whose point is that of the sound.
"""

from __future__ import annotations

from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unsynth.base import Audio, Batch, Encoder, Estimator, Params, UsageError
from unsynth.checkpoint import located
from unsynth.encoders.layers import Residual
from unsynth.params import ParamSpec
from unsynth.space import JointSpace
from unsynth.synths import synth as synth_of


def params_error(guess: Params, truth: Params, spec: ParamSpec) -> Float[Tensor, " batch"]:
    """Mean absolute difference to the nearest of the patches that sound the same as ``truth``."""
    equivalents = truth[:, spec.equivalents.to(truth.device)]
    return (guess[:, None] - equivalents).abs().mean(-1).amin(1)


@final
class Regression(Estimator):
    """A residual network from an encoder's vector to every parameter.

    Args:
        spec: of the synth.
        encoder: hears the sounds.
        error: what is made small: ``params``, the mean absolute error of the parameters up to the synth's symmetries;
            or ``embedding``, the squared distance in a joint space between the guess and the sound.
        space: path or name of the joint space, for ``embedding``.
        width: of the network.
        blocks: residual blocks.
        start: path or name of a model with whose encoder's weights a training begins.
        frozen: whether the encoder stays as it is.

    Raises:
        UsageError: ``embedding`` without a space.
    """

    def __init__(
        self,
        spec: ParamSpec,
        encoder: Encoder,
        error: Literal["params", "embedding"] = "params",
        space: str = "",
        width: int = 512,
        blocks: int = 3,
        start: str = "",
        frozen: bool = False,
    ) -> None:
        super().__init__()
        if error == "embedding" and not space:
            raise UsageError("The error in embedding needs a joint space: set `space` to its checkpoint.")
        self.spec, self.encoder, self.error, self.start = spec, encoder, error, start
        self.encoder.requires_grad_(not frozen)
        self.head = nn.Sequential(
            nn.Linear(encoder.dim, width),
            *(Residual(width, 2 * width) for _ in range(blocks)),
            nn.LayerNorm(width),
            nn.Linear(width, len(spec)),
        )
        self._space = [JointSpace(located(space), synth_of(spec.synth))] if space else []  # a list: not weights of ours

    def guess(self, audio: Audio) -> Params:
        """One patch for each sound."""
        return self.head(self.encoder(audio)).float().sigmoid()

    def loss(self, batch: Batch, player: str) -> dict[str, Tensor]:
        guess = self.guess(batch.audio)
        terms = {"params": params_error(guess, batch.params, self.spec).mean()}
        for space in self._space:
            space.joint.to(batch.audio.device)
            terms["embedding"] = (space.patches(guess) - space.sounds(batch.audio)).square().mean()
        return {"loss": terms[self.error], **{name: term.detach() for name, term in terms.items()}}

    def sample(self, audio: Audio, n: int, generator: torch.Generator) -> Float[Tensor, "n batch param"]:
        """The guess, ``n`` times: a regression has no second opinion."""
        with torch.no_grad():
            return self.guess(audio).expand(n, -1, -1)
