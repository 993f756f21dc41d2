"""Regression: one guess of the parameters of each sound, the baseline of the field.

A parameter with steps (a choice, a whole number) is a distribution over them, so that a guess between two waveforms or
octaves is never the one between them (Barkan et al., "InverSynth", https://arxiv.org/abs/1812.06349, section III).

With the encoder of a joint space, frozen, and the error in that space, this is the predecessor's inversion: the head
learns parameters whose point is that of the sound.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, final

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from unsynth.base import Audio, Batch, Encoder, Estimator, Params, UsageError, Vector
from unsynth.checkpoint import located
from unsynth.encoders.layers import BatchNorm, Residual
from unsynth.params import ParamSpec
from unsynth.space import JointSpace
from unsynth.synths import synth as synth_of

UNKNOWING = 0.25  # mean absolute error of who guesses the middle of a uniform parameter


class Told(NamedTuple):
    """What is known of the parameters of each sound.

    Attributes:
        numbers: of continuous parameters, in [0, 1].
        steps: logarithms of the probabilities of all steps of the first parameter, then of the second, and so on; zero
            of one that is continuous.
    """

    numbers: Params
    steps: Float[Tensor, "batch step"]


def counts(spec: ParamSpec) -> Int64[Tensor, " param"]:
    """How many steps each parameter has; one where it is continuous."""
    return torch.tensor([1 if p.kind == "continuous" else round(p.high - p.low) + 1 for p in spec.params])


def params_error(told: Told, truth: Params, spec: ParamSpec) -> Float[Tensor, " batch"]:
    """Mean error of the parameters, against the nearest of the patches that sound the same as ``truth``.

    The absolute difference of a continuous one; the cross-entropy of one with steps, on such a scale that to know
    nothing costs as much of either.
    """
    sizes, equivalents = counts(spec).to(truth.device), truth[:, spec.equivalents.to(truth.device)]
    away = (told.numbers[:, None] - equivalents).abs()
    right = sizes.cumsum(0) - sizes + (equivalents * sizes).long().clamp(min=0).minimum(sizes - 1)
    missed = -told.steps.gather(1, right.flatten(1)).view_as(away)
    return torch.where(sizes > 1, UNKNOWING * missed / sizes.clamp(min=2).log(), away).mean(-1).amin(1)


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

    sizes: Tensor

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
        self.shared = frozen and start == space  # what the encoder hears is what the space's own does
        self.hears = "vector" if self.shared or not space else ""
        self.register_buffer("sizes", counts(spec), persistent=False)
        self.head = nn.Sequential(
            BatchNorm(encoder.dim),  # the numbers of an encoder that was not made for this may be of any size
            nn.Dropout(dropout),
            nn.Linear(encoder.dim, width),
            *(Residual(width, hidden * width) for _ in range(blocks)),
            nn.LayerNorm(width),
            nn.Dropout(dropout),
            nn.Linear(width, int(self.sizes.sum())),
        )
        self.space = space
        self._spaces: list[JointSpace] = []  # a list: not weights of ours

    def told(self, heard: Vector) -> Told:
        """What the network makes of the encoder's vectors."""
        found = self.head(heard).float()
        owner = self._owner()[None].expand_as(found)
        shape = len(found), len(self.sizes)
        most = found.detach().new_full(shape, -torch.inf).scatter_reduce(1, owner, found.detach(), "amax")
        shares = (found - most.gather(1, owner)).exp()
        total = torch.zeros(shape, device=found.device).scatter_add(1, owner, shares).log() + most
        numbers = found[:, self.sizes.cumsum(0) - self.sizes].sigmoid()
        return Told(numbers, found - total.gather(1, owner))

    def guess(self, audio: Audio) -> Params:
        """One patch for each sound: the likeliest step where there are several."""
        told = self.told(self.encoder(audio))
        return self.patch(told, self._padded(told).argmax(-1))

    def patch(self, told: Told, steps: Int64[Tensor, "batch param"]) -> Params:
        """The patch with these steps, and the numbers of the others."""
        return torch.where(self.sizes > 1, (steps + 0.5) / self.sizes, told.numbers)

    def loss(self, batch: Batch, player: str) -> dict[str, Tensor]:
        heard = self.encoder(batch.audio) if batch.heard is None else batch.heard
        told = self.told(heard)
        terms = {"params": params_error(told, batch.params, self.spec).mean()}
        for space in self._asked():
            space.joint.to(batch.audio.device)
            points = space.heard(heard) if self.shared else space.sounds(batch.audio)
            terms["embedding"] = (space.patches(self._blend(told)) - points).square().mean()
        return {"loss": terms[self.error], **{name: term.detach() for name, term in terms.items()}}

    @torch.no_grad()
    def sample(self, audio: Audio, n: int, generator: torch.Generator) -> Float[Tensor, "n batch param"]:
        """The guess, then draws of all steps, each by itself; of continuous parameters there is no second opinion."""
        told = self.told(self.encoder(audio))
        likely = self._padded(told).exp()
        drawn = torch.multinomial(likely.flatten(0, 1), n, replacement=True, generator=generator).T
        steps = [likely.argmax(-1), *drawn.reshape(n, *told.numbers.shape)[1:]]
        return torch.stack([self.patch(told, step) for step in steps])

    def _asked(self) -> list[JointSpace]:
        """The joint space, if there is one: loaded for the first loss, as who only guesses does without."""
        if self.space and not self._spaces:
            self._spaces.append(JointSpace(located(self.space), synth_of(self.spec.synth)))
        return self._spaces

    def _owner(self) -> Int64[Tensor, " step"]:
        """The parameter of each step."""
        return torch.arange(len(self.sizes), device=self.sizes.device).repeat_interleave(self.sizes)

    def _padded(self, told: Told) -> Float[Tensor, "batch param step"]:
        """Logarithms of the probabilities of the steps; minus infinity where a parameter has no such step."""
        step = torch.arange(int(self.sizes.max()), device=self.sizes.device)
        at = (self.sizes.cumsum(0) - self.sizes)[:, None] + step.minimum(self.sizes[:, None] - 1)
        return told.steps[:, at].masked_fill(step >= self.sizes[:, None], -torch.inf)

    def _blend(self, told: Told) -> Params:
        """The mean of the steps, through which gradients pass; of a choice the likeliest, with the mean's gradient."""
        owner, begin = self._owner(), self.sizes.cumsum(0) - self.sizes
        middle = (torch.arange(len(owner), device=owner.device) - begin[owner] + 0.5) / self.sizes[owner]
        mean = torch.zeros_like(told.numbers).index_add(1, owner, told.steps.exp() * middle)
        likely = self.patch(told, self._padded(told).argmax(-1))
        chosen = torch.where(self.spec.categorical.to(mean.device), likely + mean - mean.detach(), mean)
        return torch.where(self.sizes > 1, chosen, told.numbers)
