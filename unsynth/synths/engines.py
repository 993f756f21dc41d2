"""What synths whose engine plays in worker processes have in common."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import NoReturn

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unsynth.base import Audio, Distance, EngineError
from unsynth.synths.worker import START_TIMEOUT, TIMEOUT, Pool, Rows, Sounds

TICK = 0.001  # s; a note is held for a whole number of these, in the engine as in a MIDI file
ENOUGH = 8  # patches after which an engine that fails on most is given up


def whole_ticks(seconds: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    """How long notes are held, to the tick."""
    return (seconds.double() / TICK).round().mul(TICK).float()


@dataclass
class Losses:
    """How many patches an engine could not play, of those that it was given while that was :func:`forgiven`."""

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

    def give_up(self) -> NoReturn:
        """Raises EngineError."""
        raise EngineError(f"{self.why.removesuffix('.')} ({self.lost:,} of {self.asked:,} patches failed).")

    def told(self, ended: BaseException | None = None) -> str:
        """What a user must know of a search, which an EngineError may have ended; empty where all went well."""
        over = f"Patches that crash or hang the engine, and were passed over: {self.lost:,}." if self.lost else ""
        early = f"The search ended early. {ended}" if isinstance(ended, EngineError) else ""
        return " ".join(filter(None, [over, early]))


_losses: ContextVar[Losses | None] = ContextVar("losses", default=None)


@contextmanager
def forgiven(losses: Losses) -> Iterator[None]:
    """Within, in this thread, a patch that an engine cannot play is a sound of NaN, counted in ``losses``, no error.

    It is an error all the same where the engine cannot be started, plays nothing of what it is first given, or fails
    on more than half of 8 patches or more. What renders within must look for what is :func:`lost`.
    """
    token = _losses.set(losses)
    try:
        yield
    finally:
        _losses.reset(token)


def lost(audio: Audio) -> Bool[Tensor, " batch"]:
    """Which sounds are none, as the engine could not play them."""
    return audio[:, :1].isnan().any(1)


def far_where_lost(distance: Distance) -> Distance:
    """``distance``, but infinity from what was lost."""

    def measured(audio: Audio) -> Float[Tensor, " batch"]:
        gone = lost(audio)
        found = distance(audio.masked_fill(gone[:, None], 0.0) if gone.any() else audio)
        return found.masked_fill(gone, math.inf)

    return measured


def played(
    engine: str,
    samples: int,
    rows: Float[Tensor, "batch value"],
    workers: int | None = None,
    *,
    timeout: float = TIMEOUT,
    start_timeout: float = START_TIMEOUT,
) -> Audio:
    """The sound of each row; one that peaks above full scale is turned down as a whole until it peaks there.

    Args:
        engine: what the workers make, as :class:`Pool` names it.
        samples: of a sound.
        rows: what the engine is given for each sound.
        workers: how many processes play; one for each core where None.
        timeout, start_timeout: seconds that a row, and the start of a process, may take.

    Raises:
        EngineError: the engine failed, on one row too unless that is :func:`forgiven`.
    """
    pool = _pool(os.getpid(), engine, samples, workers, timeout, start_timeout)
    sounds, gone = _tried(pool, rows.detach().cpu().numpy())
    audio = torch.from_numpy(np.nan_to_num(sounds))
    audio = audio / audio.abs().amax(1, keepdim=True).clamp(min=1)
    audio[gone] = math.nan
    return audio


def _tried(pool: Pool, rows: Rows) -> tuple[Sounds, list[int]]:
    """The sounds of rows, and the numbers of those that are undefined, as they could not be played."""
    losses, errors = _losses.get(), list[str]()
    if losses is None:
        return pool.render(rows), []

    def judge(some: list[str]) -> None:
        errors.extend(some)
        losses.judge(some)

    sounds = pool.render(rows, judge)
    if losses.lost == losses.asked > 0:
        losses.give_up()
    return sounds, [n for n, error in enumerate(errors) if error]


@cache
def _pool(process: int, engine: str, samples: int, workers: int | None, timeout: float, start_timeout: float) -> Pool:
    """One pool of an engine for each process: a fork has none of its parent's."""
    return Pool(engine, samples, workers, timeout=timeout, start_timeout=start_timeout)
