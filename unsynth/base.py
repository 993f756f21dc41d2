"""The vocabulary of unsynth: what a sound, a patch and a synth are, and which errors a user can meet. Read it first.

Everything inside the package is in the unit interval and in torch tensors; human units and files exist at the edges
only (:mod:`unsynth.params`, :mod:`unsynth.audio`).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from unsynth.contract import Kept
from unsynth.errors import (
    EngineError as EngineError,
    NotFoundError as NotFoundError,
    OutputError as OutputError,
    PatchError as PatchError,
    UnreadableError as UnreadableError,
    UnsynthError as UnsynthError,
    UnusableError as UnusableError,
    UsageError as UsageError,
    WorkerError as WorkerError,
)
from unsynth.params import ParamSpec

SoundIds = Int64[Tensor, " batch"]
Params = Float[Tensor, "batch param"]  # unit interval
Audio = Float[Tensor, "batch time"]  # mono, float32, nominally within [-1, 1]
Frames = Float[Tensor, "batch band frame"]
Tokens = Float[Tensor, "batch token channel"]
Vector = Float[Tensor, "batch dim"]
MANY = 1 << 30  # renders, where there is no limit
FEW = 4  # renders while their price is not known, or when the budget has no room for more


class Synth(Kept):
    """A function from parameters to audio. Stateless: same params and noise rows in, same audio out."""

    name: str
    spec: ParamSpec
    rate: int
    seconds: float
    differentiable: bool

    @abstractmethod
    def render(self, params: Params, noise: SoundIds | None = None) -> Audio:
        """Audio of each row of ``params``.

        Args:
            params: unit-interval parameters in the order of ``spec``.
            noise: which noise each sound uses (a sound id, of which the synth uses what it needs); row 0 where None.

        Shape: ``(batch, param)`` and ``(batch,)`` in, ``(batch, round(rate * seconds))`` out.
        """

    def lacks(self) -> str:
        """The sentence that says what rendering needs and is not installed, and how to get it; empty where all is."""
        return ""


@dataclass(frozen=True)
class Batch:
    """Sounds with the parameters that made them; all have the same number of rows.

    Attributes:
        heard: what a frozen encoder made of sounds (as the objective ``hears``), where it did; audio may then be empty.
    """

    ids: SoundIds
    params: Params
    audio: Audio
    heard: Tensor | None = None

    def to(self, device: torch.device | str) -> Batch:
        ids, params, audio = (x.to(device, non_blocking=True) for x in (self.ids, self.params, self.audio))
        return Batch(ids, params, audio, None if self.heard is None else self.heard.to(device, non_blocking=True))


class Frontend(nn.Module, ABC):
    """Audio to a sequence of frames of bands, on the device of the audio. Stateless, with fixed constants only.

    Outputs are normalised by constants so that sounds of the Voice give about zero mean and unit variance over all
    values; a sound's level is kept. Frame ``i`` describes the sound around ``i / frame_rate`` seconds, up to one frame.

    Attributes:
        bands: values of one frame.
        frame_rate: frames per second.
    """

    bands: int
    frame_rate: float

    def forward(self, audio: Audio) -> Float[Tensor, "batch band frame"]:
        """Frames of each sound of one sample or more, always in float32 (under autocast too).

        Raises:
            UnusableError: the sounds have no samples.

        Shape: ``(batch, time)`` in, ``(batch, bands, frame)`` out.
        """
        if audio.shape[-1] == 0:
            raise UnusableError("A sound without samples has no frames: give at least one sample.")
        with torch.autocast(audio.device.type, enabled=False):
            return self.analyse(audio.float())

    @abstractmethod
    def analyse(self, audio: Audio) -> Float[Tensor, "batch band frame"]:
        """What ``forward`` returns, for sounds of at least one sample in float32."""


class Encoder(nn.Module, ABC):
    """Audio of any length to tokens, and to one vector.

    Args:
        dim: size of the vector.
        channels: size of a token.
    """

    def __init__(self, dim: int, channels: int) -> None:
        super().__init__()
        self.dim, self.channels = dim, channels

    @abstractmethod
    def tokens(self, audio: Audio) -> Tokens:
        """A sequence that describes the sound; a longer sound has at least as many tokens."""

    @abstractmethod
    def vector(self, tokens: Tokens) -> Vector:
        """One vector from the tokens, however many there are."""

    @final
    def forward(self, audio: Audio) -> Vector:
        return self.vector(self.tokens(audio))


class ParamsEncoder(nn.Module, ABC):
    """Parameters to one vector: the other side of the joint space."""

    dim: int

    @abstractmethod
    def forward(self, params: Params) -> Vector: ...


class Objective(nn.Module, ABC):
    """What a training makes small. Each player has parameters, an optimiser and a loss of its own.

    All parameters belong to exactly one player. A player is stepped on its own loss, in the order of ``players()``.
    """

    encoder: Encoder  # what is learned
    start: str = ""  # path of a checkpoint with whose encoder's weights a training begins
    hears: Literal["", "vector", "tokens"] = ""  # what of a frozen encoder's answer the loss can take in place of audio

    def players(self) -> Mapping[str, nn.Module]:
        """Modules with the parameters of each player; one player owns everything unless an objective says otherwise."""
        return {"all": self}

    @abstractmethod
    def loss(self, batch: Batch, player: str) -> dict[str, Tensor]:
        """Terms to log, of which ``loss`` is the one that the player makes small."""


class Estimator(Objective):
    """An objective that learns to draw parameters for sounds."""

    @abstractmethod
    def sample(self, audio: Audio, n: int, generator: torch.Generator) -> Float[Tensor, "n batch param"]:
        """``n`` draws of the parameters of each sound, in [0, 1]."""


Distance = Callable[[Audio], Float[Tensor, " batch"]]  # of each candidate from one target; lower is nearer


@dataclass(frozen=True)
class Budget:
    """What a search may spend: seconds of wall clock, or renders, whichever ends first (None: no limit)."""

    seconds: float | None = None
    renders: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("seconds", self.seconds), ("renders", self.renders)):
            if value is not None and not 0 < value < float("inf"):
                raise UsageError(f"A budget of {value} {name} leaves nothing to search with; give a number above zero.")


@dataclass(frozen=True)
class Solution:
    """Candidates with the distances that order them.

    Shape: ``params`` is ``(batch, param)``, ``distances`` is ``(batch,)``.
    """

    params: Params
    distances: Float[Tensor, " batch"]

    @classmethod
    def nothing(cls, params: int) -> Solution:
        """No candidates yet, for a synth of so many parameters."""
        return cls(torch.empty(0, params), torch.empty(0))

    def best(self, k: int) -> Solution:
        """The ``k`` nearest candidates (fewer if there are fewer), nearest first."""
        order = self.distances.argsort(stable=True)[:k]
        return Solution(self.params[order], self.distances[order])

    def join(self, other: Solution) -> Solution:
        return Solution(torch.cat([self.params, other.params]), torch.cat([self.distances, other.distances]))


class Problem:
    """One target to match with one synth: renders and measures candidates, counts the cost, keeps the best.

    Args:
        synth: what renders.
        target: the sound to match, ``(1, time)``, as long as the synth's sounds.
        distance: what to minimise.
        budget: what may be spent; it is checked before every ``chunk`` of renders, or fewer where they are dear.
        on_progress: called after every chunk.
        device: where sounds are rendered and measured.
        keep: how many of the best candidates to remember.
    """

    def __init__(
        self,
        synth: Synth,
        target: Audio,
        distance: Distance,
        budget: Budget,
        on_progress: Callable[[Problem], None] | None = None,
        *,
        device: torch.device | str = "cpu",
        keep: int = 64,
        chunk: int = 32,
    ) -> None:
        self.synth, self.target, self.distance, self.budget = synth, target, distance, budget
        self.on_progress, self.device, self.keep, self.chunk = on_progress, device, keep, chunk
        self.began, self.renders = time.perf_counter(), 0
        self.curve: list[tuple[float, int, float]] = []
        self.elite = Solution.nothing(len(synth.spec))

    @property
    def seconds(self) -> float:
        """Wall clock since the search began."""
        return time.perf_counter() - self.began

    def left(self) -> float:
        """The fraction of the budget that is left; 0 when it is spent."""
        spent = [(self.seconds, self.budget.seconds), (self.renders, self.budget.renders)]
        return max(0.0, min((1 - used / limit for used, limit in spent if limit is not None), default=1.0))

    def affords(self, until: float = 0.0) -> int:
        """How many renders, at the price of those so far, leave the fraction ``until`` of the budget."""
        left = self.left()
        return MANY if left == 1 else max(0, int((left - until) * self.renders / (1 - left)))

    def play(self, params: Params) -> Audio:
        """The sounds of patches, which cost renders but are not measured."""
        self.renders += len(params)
        return self.synth.render(params.detach().to(self.device)).cpu()

    def evaluate(self, params: Params) -> Float[Tensor, " batch"]:
        """Distance of each patch; infinity for those that the budget no longer covers."""
        distances = torch.full((len(params),), float("inf"))
        first = 0
        while first < len(params):
            batch = params[first : first + min(self.chunk, max(FEW, self.affords()))]
            if self.budget.renders is not None:
                batch = batch[: max(0, self.budget.renders - self.renders)]
            if len(batch) == 0 or (self.renders and self.left() == 0):
                break
            with torch.no_grad():
                found = self.distance(self.synth.render(batch.to(self.device))).cpu()
            distances[first : first + len(batch)] = found
            self._record(batch, torch.nan_to_num(found, nan=torch.inf, posinf=torch.inf))
            first += len(batch)
        return distances

    def _record(self, params: Params, distances: Float[Tensor, " batch"]) -> None:
        self.renders += len(params)
        self.elite = self.elite.join(Solution(params.detach().clone(), distances)).best(self.keep)
        self.curve.append((self.seconds, self.renders, float(self.elite.distances[0])))
        if self.on_progress:
            self.on_progress(self)


class Search(ABC):
    """Improves candidates for one target. Never returns worse than its start; stops when the budget is spent."""

    @abstractmethod
    def __call__(self, problem: Problem, start: Solution) -> Solution:
        """Candidates whose best is at least as good as the best of ``start``; ``start`` may be empty."""
