"""What synths whose engine plays in worker processes have in common."""

from __future__ import annotations

import os
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unsynth.base import Audio
from unsynth.synths.worker import Pool

TICK = 0.001  # s; a note is held for a whole number of these, in the engine as in a MIDI file


def whole_ticks(seconds: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    """How long notes are held, to the tick."""
    return (seconds.double() / TICK).round().mul(TICK).float()


def played(engine: str, samples: int, rows: Float[Tensor, "batch value"], workers: int | None = None) -> Audio:
    """The sound of each row; one that peaks above full scale is turned down as a whole until it peaks there.

    Args:
        engine: what the workers make, as :class:`Pool` names it.
        samples: of a sound.
        rows: what the engine is given for each sound.
        workers: how many processes play; one for each core where None.

    Raises:
        EngineError: the engine failed.
    """
    sounds = _pool(os.getpid(), engine, samples, workers).render(rows.detach().cpu().numpy())
    audio = torch.from_numpy(np.nan_to_num(sounds))
    return audio / audio.abs().amax(1, keepdim=True).clamp(min=1)


@cache
def _pool(process: int, engine: str, samples: int, workers: int | None) -> Pool:
    """One pool of an engine for each process: a fork has none of its parent's."""
    return Pool(engine, samples, workers)
