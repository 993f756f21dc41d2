"""The joint space of sounds and parameters: one encoder for each, and a criterion that pulls partners together.

Three criteria keep the vectors from collapsing to one point: VICReg, a symmetric contrastive loss, and joint-embedding
prediction with an isotropic Gaussian regulariser. Each also says which vectors are compared in a search.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unsynth.base import Audio, Batch, Encoder, Objective, Params, ParamsEncoder, UsageError, Vector
from unsynth.distributed import agree, gather, world
from unsynth.encoders.layers import BatchNorm, Residual
from unsynth.objectives.losses import covariance_term, info_nce, invariance_term, sigreg, variance_term
from unsynth.params import ParamSpec


class Criterion(nn.Module, ABC):
    """Compares vectors of sounds with vectors of parameters.

    Attributes:
        takes_decoys: whether it can learn from parameters that belong to no sound of the batch.
    """

    takes_decoys: ClassVar[bool] = False

    @abstractmethod
    def sound(self, z: Vector) -> Vector:
        """An audio encoder's vectors as they are compared."""

    @abstractmethod
    def patch(self, z: Vector) -> Vector:
        """A params encoder's vectors as they are compared."""

    @abstractmethod
    def forward(self, audio: Vector, params: Vector, decoys: Vector | None = None) -> dict[str, Tensor]:
        """Terms of the loss of the global batch, of which ``loss`` is the one to make small."""


def projector(into: int, widths: Sequence[int]) -> nn.Sequential:
    """Linear layers with batch normalisation and ReLU between them (VICReg, section 4.2)."""
    layers: list[nn.Module] = []
    for width in widths[:-1]:
        layers += [nn.Linear(into, width), BatchNorm(width), nn.ReLU()]
        into = width
    return nn.Sequential(*layers, nn.Linear(into, widths[-1], bias=False))


@final
class VICReg(Criterion):
    """Variance, invariance and covariance of projected vectors.

    Source: Bardes et al., "VICReg", https://arxiv.org/abs/2105.04906, eq. 6; weights of its section 4.2.

    Args:
        audio: size of the audio encoder's vectors.
        params: size of the params encoder's vectors.
        widths: of the two projectors' layers.
        invariance: weight of the term.
        variance: weight of the term.
        covariance: weight of the term.
    """

    def __init__(
        self,
        audio: int,
        params: int,
        widths: tuple[int, ...] = (2048, 2048, 2048),
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
    ) -> None:
        super().__init__()
        self.projectors = nn.ModuleDict({"audio": projector(audio, widths), "params": projector(params, widths)})
        self.weights = {"invariance": invariance, "variance": variance, "covariance": covariance}

    def sound(self, z: Vector) -> Vector:
        return self.projectors["audio"](z).float()

    def patch(self, z: Vector) -> Vector:
        return self.projectors["params"](z).float()

    def forward(self, audio: Vector, params: Vector, decoys: Vector | None = None) -> dict[str, Tensor]:
        a, p = gather(self.sound(audio)), gather(self.patch(params))
        terms = {
            "invariance": invariance_term(a, p),
            "variance": (variance_term(a) + variance_term(p)) / 2,
            "covariance": covariance_term(a) + covariance_term(p),
        }
        return {"loss": torch.stack([self.weights[k] * v for k, v in terms.items()]).sum(), **terms}


@final
class Contrastive(Criterion):
    """Each sound must find its parameters in the batch, and they it (symmetric InfoNCE) on the unit sphere.

    Args:
        audio: size of the audio encoder's vectors.
        params: size of the params encoder's vectors.
        dim: of the joint space.
        temperature: to start from; it is learned.
        coldest: the lowest temperature.
    """

    takes_decoys = True

    def __init__(
        self, audio: int, params: int, dim: int = 128, temperature: float = 0.07, coldest: float = 0.01
    ) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({"audio": nn.Linear(audio, dim), "params": nn.Linear(params, dim)})
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))
        self.coldest = coldest

    def sound(self, z: Vector) -> Vector:
        return F.normalize(self.heads["audio"](z).float(), dim=1)

    def patch(self, z: Vector) -> Vector:
        return F.normalize(self.heads["params"](z).float(), dim=1)

    def forward(self, audio: Vector, params: Vector, decoys: Vector | None = None) -> dict[str, Tensor]:
        with torch.no_grad():  # of the parameter itself, which a clamp of its value would leave without a gradient
            self.log_temperature.clamp_(min=math.log(self.coldest))
        temperature = self.log_temperature.exp()
        others = None if decoys is None else gather(self.patch(decoys))
        loss = info_nce(gather(self.sound(audio)), gather(self.patch(params)), temperature, others)
        return {"loss": loss, "temperature": temperature.detach()}


class _Predictor(nn.Sequential):
    def __init__(self, size: int, hidden: int, blocks: int) -> None:
        super().__init__(
            nn.Linear(size, hidden), *(Residual(hidden, hidden) for _ in range(blocks)), nn.Linear(hidden, size)
        )


def _normal(into: int, widths: Sequence[int]) -> nn.Sequential:
    """A projector whose coordinates have mean 0 and variance 1 over the batch, and stay so."""
    return nn.Sequential(projector(into, widths), BatchNorm(widths[-1], affine=False))


@final
class Prediction(Criterion):
    """Each vector predicts the other; both are kept isotropic Gaussian, so that neither collapses.

    Each side is projected, every coordinate of it is normalised over the batch, and the regulariser sees to the rest.

    Source: Balestriero and LeCun, "LeJEPA", https://arxiv.org/abs/2511.08544, with predictors in both directions and
    targets that get no gradient.

    Args:
        audio: size of the audio encoder's vectors.
        params: size of the params encoder's vectors.
        widths: of the two projectors' layers.
        hidden: width of the predictors.
        blocks: residual blocks of the predictors.
        regulariser: weight of the Gaussian regulariser.
        slices: random directions of each step; with few, their noise outweighs what they tell.
    """

    def __init__(
        self,
        audio: int,
        params: int,
        widths: tuple[int, ...] = (512, 512, 128),
        hidden: int = 512,
        blocks: int = 3,
        regulariser: float = 0.05,
        slices: int = 1024,
    ) -> None:
        super().__init__()
        self.projectors = nn.ModuleDict({"audio": _normal(audio, widths), "params": _normal(params, widths)})
        self.to_params = _Predictor(widths[-1], hidden, blocks)
        self.to_audio = _Predictor(widths[-1], hidden, blocks)
        self.regulariser, self.slices = regulariser, slices

    def sound(self, z: Vector) -> Vector:
        return self.projectors["audio"](z).float()

    def patch(self, z: Vector) -> Vector:
        return self.to_audio(self.projectors["params"](z)).float()

    def forward(self, audio: Vector, params: Vector, decoys: Vector | None = None) -> dict[str, Tensor]:
        own, other = self.projectors["audio"](audio), self.projectors["params"](params)
        forth, back = gather(self.to_params(own).float()), gather(self.to_audio(other).float())
        a, p = gather(own.float()), gather(other.float())
        prediction = F.mse_loss(forth, p.detach()) + F.mse_loss(back, a.detach())
        gaussian = sigreg(a, self._directions(a)) + sigreg(p, self._directions(p))
        return {"loss": prediction + self.regulariser * gaussian, "prediction": prediction, "gaussian": gaussian}

    def _directions(self, x: Vector) -> Tensor:
        return agree(torch.randn(x.shape[1], self.slices, device=x.device))


@final
class Joint(Objective):
    """Learns the joint space of a synth's sounds and parameters.

    Args:
        spec: of the synth.
        audio: encoder of the sounds.
        params: makes the encoder of the parameters.
        criterion: makes the criterion, from the sizes of the two encoders' vectors.
        start: path of a checkpoint with whose encoder's weights a training begins; whatever objective learned them.
        frozen: whether the sounds' encoder stays as it is: its weights, and the statistics of its batch normalisation.
        decoys: random parameters that a step adds to those of the global batch. They need no rendering: they are cheap.
        near: copies of the batch's parameters that a step adds, each with a few parameters drawn anew.
        moved: share of the parameters of a near copy that are drawn anew.

    Raises:
        UsageError: the criterion cannot use decoys.
    """

    hears = "vector"

    def __init__(
        self,
        spec: ParamSpec,
        audio: Encoder,
        params: Callable[[ParamSpec], ParamsEncoder],
        criterion: Callable[[int, int], Criterion],
        start: str = "",
        frozen: bool = False,
        decoys: int = 0,
        near: int = 0,
        moved: float = 0.05,
    ) -> None:
        super().__init__()
        self.encoder, self.params, self.start = audio, params(spec), start
        self.decoys, self.near, self.moved = decoys, near, moved
        self.encoder.requires_grad_(not frozen)
        self.criterion = criterion(audio.dim, self.params.dim)
        if (decoys or near) and not self.criterion.takes_decoys:
            raise UsageError("Only the contrastive criterion learns from decoys: leave `decoys` and `near` at 0.")

    def sound(self, audio: Audio) -> Vector:
        """Sounds as points of the joint space."""
        return self.criterion.sound(self.encoder(audio))

    def patch(self, params: Params) -> Vector:
        """Parameters as points of the joint space, near those of the sounds that they make."""
        return self.criterion.patch(self.params(params))

    def loss(self, batch: Batch, player: str) -> dict[str, Tensor]:
        others = self.params(self._others(batch.params)) if self.decoys or self.near else None
        sounds = self.encoder(batch.audio) if batch.heard is None else batch.heard
        return self.criterion(sounds, self.params(batch.params), others)

    def _others(self, params: Params) -> Params:
        """Parameters of no sound of the batch: random ones, and copies with a few drawn anew."""
        copies = params.repeat(self.near, 1)
        anew = torch.rand_like(copies) < self.moved
        one = torch.randint(copies.shape[1], (len(copies), 1), device=params.device)
        anew.scatter_(1, one, True)  # at least, or the copy would be the right answer
        random = torch.rand(-(-self.decoys // world()), params.shape[1], device=params.device)
        return torch.cat([random, torch.where(anew, torch.rand_like(copies), copies)])
