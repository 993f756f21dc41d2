"""Regression: one guess of the parameters of each sound, the baseline of the field.

A parameter with steps (a choice, a whole number) is a distribution over them, so that a guess between two waveforms or
octaves is never the one between them (Barkan et al., "InverSynth", https://arxiv.org/abs/1812.06349, section III).

With the encoder of a joint space, frozen, and the error in that space, this is the predecessor's inversion: the head
learns parameters whose point is that of the sound.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unsynth.base import Audio, Batch, Encoder, Estimator, Params, UsageError, Vector
from unsynth.checkpoint import located
from unsynth.encoders.layers import Residual
from unsynth.params import ParamSpec
from unsynth.space import JointSpace
from unsynth.synths import synth as synth_of

UNKNOWING = 0.25  # mean absolute error of who guesses the middle of a uniform parameter


class Told(NamedTuple):
    """What is known of the parameters of each sound.

    Attributes:
        numbers: of continuous parameters, in [0, 1].
        steps: logarithms of the probabilities of the steps of the others; minus infinity where there is no such step.
    """

    numbers: Params
    steps: Float[Tensor, "batch param step"]


def counts(spec: ParamSpec) -> Tensor:
    """How many steps each parameter has; one where it is continuous."""
    return torch.tensor([1 if p.kind == "continuous" else round(p.high - p.low) + 1 for p in spec.params])


def params_error(told: Told, truth: Params, spec: ParamSpec) -> Float[Tensor, " batch"]:
    """Mean error of the parameters, against the nearest of the patches that sound the same as ``truth``.

    The absolute difference of a continuous one; the cross-entropy of one with steps, on such a scale that to know
    nothing costs as much of either.
    """
    sizes, equivalents = counts(spec).to(truth.device), truth[:, spec.equivalents.to(truth.device)]
    away = (told.numbers[:, None] - equivalents).abs()
    step = (equivalents * sizes).long().clamp(max=sizes - 1)
    missed = -told.steps[:, None].expand(*step.shape, -1).gather(-1, step[..., None])[..., 0]
    scaled = UNKNOWING * missed / sizes.clamp(min=2).log()
    return torch.where(sizes > 1, scaled, away).mean(-1).amin(1)


@final
class Regression(Estimator):
    """A residual network from an encoder's vector to every parameter.

    Args:
        spec: of the synth.
        encoder: hears the sounds.
        error: what is made small: ``params``, the error of the parameters up to the synth's symmetries; or
            ``embedding``, the squared distance in a joint space between the guess and the sound.
        space: path or name of the joint space, for ``embedding``.
        width: of the network.
        blocks: residual blocks.
        hidden: width inside them, in units of ``width``.
        dropout: share of the network's inputs and of what the blocks made of them that is left out in training.
        start: path or name of a model with whose encoder's weights a training begins.
        frozen: whether the encoder stays as it is.

    Raises:
        UsageError: ``embedding`` without a space.
    """

    takes_heard = True
    at: Tensor
    there: Tensor

    def __init__(
        self,
        spec: ParamSpec,
        encoder: Encoder,
        error: Literal["params", "embedding"] = "params",
        space: str = "",
        width: int = 512,
        blocks: int = 3,
        hidden: int = 2,
        dropout: float = 0.0,
        start: str = "",
        frozen: bool = False,
    ) -> None:
        super().__init__()
        if error == "embedding" and not space:
            raise UsageError("The error in embedding needs a joint space: set `space` to its checkpoint.")
        self.spec, self.encoder, self.error, self.start = spec, encoder, error, start
        self.encoder.requires_grad_(not frozen)
        sizes = counts(spec)
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(encoder.dim, width),
            *(Residual(width, hidden * width) for _ in range(blocks)),
            nn.LayerNorm(width),
            nn.Dropout(dropout),
            nn.Linear(width, int(sizes.sum())),
        )
        step = torch.arange(int(sizes.max()))
        self.register_buffer("there", step < sizes[:, None], persistent=False)
        self.register_buffer("at", (sizes.cumsum(0) - sizes)[:, None] + step.minimum(sizes[:, None] - 1), False)
        self._space = [JointSpace(located(space), synth_of(spec.synth))] if space else []  # a list: not weights of ours

    def told(self, heard: Vector) -> Told:
        """What the network makes of the encoder's vectors."""
        flat = self.head(heard).float()[:, self.at]
        return Told(flat[..., 0].sigmoid(), flat.masked_fill(~self.there, -torch.inf).log_softmax(-1))

    def guess(self, audio: Audio) -> Params:
        """One patch for each sound: the likeliest step where there are several."""
        told = self.told(self.encoder(audio))
        return self._patch(told, told.steps.argmax(-1))

    def loss(self, batch: Batch, player: str) -> dict[str, Tensor]:
        told = self.told(self.encoder(batch.audio) if batch.heard is None else batch.heard)
        terms = {"params": params_error(told, batch.params, self.spec).mean()}
        for space in self._space:
            space.joint.to(batch.audio.device)
            terms["embedding"] = (space.patches(self._blend(told)) - space.sounds(batch.audio)).square().mean()
        return {"loss": terms[self.error], **{name: term.detach() for name, term in terms.items()}}

    @torch.no_grad()
    def sample(self, audio: Audio, n: int, generator: torch.Generator) -> Float[Tensor, "n batch param"]:
        """The guess, then draws of what has steps, each by itself; of continuous parameters there is no second opinion."""
        told = self.told(self.encoder(audio))
        likely = told.steps.exp().flatten(0, 1)
        drawn = torch.multinomial(likely, n, replacement=True, generator=generator).T.reshape(n, *told.numbers.shape)
        drawn[0] = told.steps.argmax(-1)
        return torch.stack([self._patch(told, steps) for steps in drawn])

    def _patch(self, told: Told, steps: Tensor) -> Params:
        sizes = self.there.sum(1)
        return torch.where(sizes > 1, (steps + 0.5) / sizes, told.numbers)

    def _blend(self, told: Told) -> Params:
        """The mean of the steps, through which gradients pass."""
        sizes = self.there.sum(1)
        middles = (torch.arange(self.there.shape[1], device=sizes.device) + 0.5) / sizes[:, None]
        return torch.where(sizes > 1, (told.steps.exp() * middles).sum(-1), told.numbers)
