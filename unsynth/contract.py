"""What every synth's ``render`` promises, looked at whenever it runs; and what becomes of sounds it cannot make."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unsynth.errors import ContractError, EngineError, UnsynthError, one_line

ENOUGH = 8  # patches after which an engine that fails on most is given up
Render = Callable[..., Tensor]
Sounds = Float[Tensor, "batch time"]
Distance = Callable[[Sounds], Float[Tensor, " batch"]]


@dataclass
class Losses:
    """How many patches a synth could not play, of those that it was given while that was :func:`forgiven`."""

    asked: int = 0
    lost: int = 0
    why: str = ""  # the last of them could not be played

    def judge(self, errors: list[str]) -> None:
        """Count some more patches; EngineError where most are lost."""
        for error in errors:
            self.asked += 1
            self.lost, self.why = self.lost + bool(error), error or self.why
            if self.asked >= ENOUGH and 2 * self.lost > self.asked:
                self.give_up()

    def judge_all(self, errors: list[str]) -> None:
        """As :meth:`judge`; EngineError also where all that were given so far are lost."""
        self.judge(errors)
        if self.lost == self.asked > 0:
            self.give_up()

    def give_up(self) -> NoReturn:
        """Raises EngineError."""
        raise EngineError(f"{self.why.removesuffix('.')} ({self.lost:,} of {self.asked:,} patches failed).")

    def told(self, ended: BaseException | None = None) -> str:
        """What a user must know of a search, which an EngineError may have ended; empty where all went well."""
        over = f"Patches that cannot be played, and were passed over: {self.lost:,}." if self.lost else ""
        early = f"The search ended early. {ended}" if isinstance(ended, EngineError) else ""
        return " ".join(filter(None, [over, early]))


_losses: ContextVar[Losses | None] = ContextVar("losses", default=None)


@contextmanager
def forgiven(losses: Losses) -> Iterator[None]:
    """Within, in this thread, a patch that a synth cannot play is a sound of NaN, counted in ``losses``, no error.

    It is an error all the same where the engine cannot be started, plays nothing of what it is first given, or fails
    on more than half of 8 patches or more. What renders within must look for what is :func:`lost`.
    """
    token = _losses.set(losses)
    try:
        yield
    finally:
        _losses.reset(token)


def forgiving() -> Losses | None:
    """Where losses are counted here and now; None where they are errors."""
    return _losses.get()


def lost(audio: Sounds) -> Bool[Tensor, " batch"]:
    """Which sounds are none, as the synth could not make them: ``render`` returns NaN throughout in their place."""
    return audio[:, :1].isnan().any(1)


def far_where_lost(distance: Distance) -> Distance:
    """``distance``, but infinity from what was lost."""

    def measured(audio: Sounds) -> Float[Tensor, " batch"]:
        gone = lost(audio)
        found = distance(audio.masked_fill(gone[:, None], 0.0) if gone.any() else audio)
        return found.masked_fill(gone, math.inf)

    return measured


class Kept(ABC):
    """What every synth is first of all: one whose ``render`` is looked at."""

    name: str
    rate: int
    seconds: float

    @abstractmethod
    def render(self, params: Tensor, noise: Tensor | None = None) -> Tensor: ...

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "render" in vars(cls):
            cls.render = kept(cls.render)


def kept(render: Render) -> Render:
    """``render`` of a synth, but what it returns is what was promised.

    A sound with NaN or infinity counts as one that could not be made (:class:`Losses`).

    Raises:
        ContractError: ``render`` raises what is no :class:`UnsynthError`, or returns no sounds of the promised shape.
    """

    @functools.wraps(render)
    def checked(self: Kept, params: Tensor, noise: Tensor | None = None) -> Tensor:
        losses = forgiving()
        before = losses.lost if losses else 0
        try:
            audio = render(self, params, noise)
        except UnsynthError:
            raise
        except Exception as error:
            raise ContractError(_said(self, f"fails at {len(params):,} patches: {one_line(error)}")) from error
        if wrong := misshapen(audio, params, round(self.rate * self.seconds)):
            raise ContractError(_said(self, wrong))
        bad = ~audio.detach().sum(1).isfinite()
        if not bad.any():
            return audio
        sentence = _said(self, "makes NaN or infinity of some patches")
        if losses is None:
            raise ContractError(sentence)
        if int(bad.sum()) > losses.lost - before:  # an engine in worker processes has counted its own
            losses.judge_all([sentence if each else "" for each in bad.tolist()])
        return audio.masked_fill(bad[:, None], math.nan)

    return checked


def _said(synth: Kept, what: str) -> str:
    return f"The synth {synth.name} {what}; `unsynth synths check {synth.name}` says more."


def unchecked(synth: Kept) -> Render:
    """``render`` of a synth as it was written."""
    return functools.partial(getattr(type(synth).render, "__wrapped__", type(synth).render), synth)


def misshapen(audio: object, params: Tensor, samples: int) -> str:
    """How ``audio`` is not a sound of so many ``samples`` for each patch, in their precision; empty where it is."""
    if not isinstance(audio, Tensor):
        return f"returns {type(audio).__name__} where it should return a torch tensor"
    if audio.shape != (len(params), samples):
        return f"returns sounds of shape {tuple(audio.shape)} where it should return {(len(params), samples)}"
    if audio.dtype not in (torch.float32, params.dtype):
        return f"returns {audio.dtype} where it should return torch.float32".replace("torch.", "")
    return ""
