"""ParamSpec: the only place that knows the names, order, ranges and curves of a synth's parameters."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

TINY = 1e-30  # below this a base counts as zero, so that its reciprocal stays finite
LANES = 64  # a multiple of the vector width on every machine
SERIAL = 1 << 14  # elements that torch does not split over threads

MOST_EQUIVALENTS = 1 << 10

Kind = Literal["continuous", "integer", "categorical"]


@dataclass(frozen=True)
class Param:
    """One knob. ``curve`` c maps the unit interval by u^(1/c); ``symmetric`` applies it to both sides of the middle."""

    name: str
    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    curve: float = 1.0
    symmetric: bool = False
    kind: Kind = "continuous"
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"{self.name}: the kind {self.kind!r} is none of {', '.join(get_args(Kind))}")
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(f"{self.name}: high must be above low, and both finite")
        if not 0 < self.curve < math.inf:
            raise ValueError(f"{self.name}: the curve must be above 0, and finite")
        if self.kind == "categorical" and len(self.choices) != round(self.high - self.low) + 1:
            raise ValueError(f"{self.name}: one choice for each value from low to high")


def power(base: Tensor, curve: Tensor) -> Tensor:
    """``base ** (1 / curve)`` as exp2(log2(base) / curve), with 0 and a zero gradient where ``base`` is 0."""
    positive = base > TINY
    exponent = torch.log2(torch.where(positive, base, 1.0)) / curve
    return torch.where(positive, _exp2(exponent), 0.0)


def _exp2(x: Tensor) -> Tensor:
    """``torch.exp2`` with every element through its vector code; the scalar code for leftovers rounds otherwise."""
    padded = torch.nn.functional.pad(x.flatten(), (0, -x.numel() % LANES))
    return torch.cat([torch.exp2(part) for part in padded.split(SERIAL)])[: x.numel()].view_as(x)


class ParamSpec:
    """Ordered parameters of one synth, with their encodings and symmetries.

    Args:
        synth: name of the synth the parameters belong to.
        params: the knobs, in the one order that every matrix of parameters uses.
        symmetries: pairs of equally long index lists; swapping the two lists leaves the sound unchanged.
    """

    def __init__(
        self, synth: str, params: list[Param], symmetries: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = ()
    ) -> None:
        self.synth = synth
        self.params = tuple(params)
        self.names = tuple(p.name for p in params)
        self.symmetries = symmetries
        self._columns: dict[str, Tensor] = {}
        if len(set(self.names)) != len(params):
            raise ValueError(f"{synth}: parameter names must be unique")
        for first, second in symmetries:
            if len(first) != len(second):
                raise ValueError(f"{synth}: the two sides of a symmetry must be equally long")
            if len({*first, *second} & {*range(len(params))}) != 2 * len(first):
                raise ValueError(f"{synth}: the two sides of a symmetry must be different columns of the parameters")

    def __len__(self) -> int:
        return len(self.params)

    def index(self, name: str) -> int:
        """Column of the parameter called ``name``; ValueError where there is none."""
        return self.names.index(name)

    @cached_property
    def hash(self) -> str:
        """Twelve hex digits that change when any name, order, range, curve or choice does."""
        text = json.dumps([self.synth, [asdict(p) for p in self.params], self.symmetries], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @cached_property
    def equivalents(self) -> Int64[Tensor, "equivalent param"]:
        """Every order of the columns that the symmetries, one after another, can put them in; the first is as they are.

        All rows of ``params[:, equivalents]`` sound the same. ValueError where there are over ``MOST_EQUIVALENTS``.
        """
        found = {tuple(range(len(self)))}
        fresh = set(found)
        while fresh:
            fresh = {self._swapped(order, swap) for order in fresh for swap in self.symmetries} - found
            found |= fresh
            if len(found) > MOST_EQUIVALENTS:
                raise ValueError(f"{self.synth}: more than {MOST_EQUIVALENTS} patches sound the same")
        return torch.tensor(sorted(found))

    @staticmethod
    def _swapped(order: tuple[int, ...], swap: tuple[tuple[int, ...], tuple[int, ...]]) -> tuple[int, ...]:
        to = dict(zip(swap[0] + swap[1], swap[1] + swap[0], strict=True))
        return tuple(order[to.get(i, i)] for i in range(len(order)))

    def column(self, field: str) -> Float[Tensor, " param"]:
        """One numeric field of every parameter (``low``, ``high``, ``curve``, ``symmetric``) as float32; read only."""
        if field not in self._columns:
            self._columns[field] = torch.tensor([float(getattr(p, field)) for p in self.params])
        return self._columns[field]

    def to_human(self, unit: Float[Tensor, "*batch param"]) -> Float[Tensor, "*batch param"]:
        """Values in human units (Hz, s, semitones; index for choices), differentiable, finite gradient on [0, 1].

        Evaluated as torchsynth's ``ModuleParameterRange.from_0to1`` does, operation by operation in float32:
        ``low + (high - low) * u^(1/curve)``; symmetric curves act on ``2u - 1`` and keep its sign.
        Source: torchsynth 1.0.2, parameter.py (Turian et al., "One Billion Audio Sounds from GPU-enabled Modular
        Synthesis", https://arxiv.org/abs/2104.12922).
        """
        low, high, curve = (self.column(f).to(unit.device) for f in ("low", "high", "curve"))
        both = 2 * unit - 1
        symmetric = self.column("symmetric").to(unit.device) > 0
        bent = power(torch.where(symmetric, both.abs(), unit), curve)
        bent = torch.where(
            symmetric, torch.where(curve == 1, both, bent * both.sign()), torch.where(curve == 1, unit, bent)
        )
        value = torch.where(symmetric, low + (high - low) / 2 * (bent + 1), low + (high - low) * bent)
        return torch.where(self._stepped(unit.device), self._step(unit, low, high), value)

    def to_unit(self, human: Float[Tensor, "*batch param"]) -> Float[Tensor, "*batch param"]:
        """The inverse of :meth:`to_human` (the middle of the step for integers and choices), clamped to [0, 1]."""
        value = human.double()
        low, high, curve = (self.column(f).double() for f in ("low", "high", "curve"))
        share = ((value - low) / (high - low)).clamp(0, 1)
        both = 2 * share - 1
        plain, symmetric = share**curve, (both.sign() * both.abs() ** curve + 1) / 2
        stepped = (value.round() - low + 0.5) / (high - low + 1)
        unit = torch.where(self.column("symmetric") > 0, symmetric, plain)
        return torch.where(self._stepped(human.device), stepped, unit).clamp(0, 1).float()

    def snap(self, unit: Float[Tensor, "*batch param"]) -> Float[Tensor, "*batch param"]:
        """The middle of its step for every integer and choice: another number for the same sound."""
        if not self._mask.any():
            return unit
        return torch.where(self._stepped(unit.device), self.to_unit(self.to_human(unit)), unit)

    @cached_property
    def categorical(self) -> Bool[Tensor, " param"]:
        """Which parameters are choices: their values have no order."""
        return torch.tensor([p.kind == "categorical" for p in self.params])

    @cached_property
    def steps(self) -> Float[Tensor, " param"]:
        """How far apart the values of an integer or a choice are, in units of the unit interval; 0 where continuous."""
        width = 1 / (self.column("high") - self.column("low") + 1)
        return torch.where(self._stepped("cpu"), width, 0.0)

    def text(self, index: int, human: float) -> str:
        """``human`` as a musician reads it: ``440 Hz``, ``saw``."""
        param = self.params[index]
        if param.kind == "categorical":
            return param.choices[round(human - param.low)]
        number = f"{human:.0f}" if param.kind == "integer" else f"{human:.4g}"
        return f"{number} {param.unit}".strip()

    @cached_property
    def _mask(self) -> Tensor:
        return torch.tensor([p.kind != "continuous" for p in self.params])

    def _stepped(self, device: torch.device | str) -> Tensor:
        return self._mask.to(device)

    @staticmethod
    def _step(unit: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return torch.minimum(low + torch.floor(unit.detach() * (high - low + 1)), high)
