"""What synths whose engine plays in worker processes have in common."""

from __future__ import annotations

import math
import os
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unsynth.base import Audio
from unsynth.contract import forgiving
from unsynth.synths.worker import START_TIMEOUT, TIMEOUT, Pool, Rows, Sounds

TICK = 0.001  # s; a note is held for a whole number of these, in the engine as in a MIDI file


def whole_ticks(seconds: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    """How long notes are held, to the tick."""
    return (seconds.double() / TICK).round().mul(TICK).float()


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
        EngineError: the engine failed, on one row too unless that is :func:`unsynth.contract.forgiven`.
    """
    pool = _pool(os.getpid(), engine, samples, workers, timeout, start_timeout)
    sounds, gone = _tried(pool, rows.detach().cpu().numpy())
    audio = torch.from_numpy(np.nan_to_num(sounds))
    audio = audio / audio.abs().amax(1, keepdim=True).clamp(min=1)
    audio[gone] = math.nan
    return audio


def _tried(pool: Pool, rows: Rows) -> tuple[Sounds, list[int]]:
    """The sounds of rows, and the numbers of those that are undefined, as they could not be played."""
    losses, errors = forgiving(), list[str]()
    if losses is None:
        return pool.render(rows), []

    def judge(some: list[str]) -> None:
        errors.extend(some)
        losses.judge(some)

    sounds = pool.render(rows, judge)
    losses.judge_all([])
    return sounds, [n for n, error in enumerate(errors) if error]


@cache
def _pool(process: int, engine: str, samples: int, workers: int | None, timeout: float, start_timeout: float) -> Pool:
    """One pool of an engine for each process: a fork has none of its parent's."""
    return Pool(engine, samples, workers, timeout=timeout, start_timeout=start_timeout)
