"""Where sounds to learn from come from, rendered on the fly or beforehand: one contract for all."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Literal, get_args

import torch
from jaxtyping import Int64
from torch import Tensor

from unsynth.base import Batch, NotFoundError, SoundIds, Synth
from unsynth.sounds.ids import quoted_ids, train_ids, validation_ids

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


class Source(ABC):
    """Sounds of a synth in three splits. Which sound is the n-th of a split is a pure function of n.

    Attributes:
        synth: whose sounds these are.
        aside: whether making them leaves torch's threads alone, so that it can go on while torch trains on all of them.
    """

    synth: Synth
    aside: bool

    def size(self, split: Split) -> float:
        """How many sounds a split has; infinity where there is always another."""
        return math.inf

    @abstractmethod
    def take(self, split: Split, start: int, count: int, device: torch.device | str = "cpu") -> Batch:
        """The ``count`` sounds of a split that follow its first ``start``.

        Training goes round and round a set that ends, in another order each time; the other splits are gone through
        once, as far as ``size`` says.
        """


def ids_of(split: Split, start: int, count: int) -> SoundIds:
    """The ids of sounds of a split that has no end: no id is in two splits."""
    return {"train": train_ids, "validation": validation_ids, "test": quoted_ids}[split](start, count)


def rounds(start: int, count: int, size: int) -> Int64[Tensor, " batch"]:
    """Which of ``size`` sounds come after ``start``: all of them, then all in another order, and so on.

    Raises:
        NotFoundError: there are none.
    """
    if not size:
        raise NotFoundError("There are no sounds to train on; get or build more of them.")
    nth = torch.arange(start, start + count)
    return torch.stack([_order(n // size, size)[n % size] for n in nth.tolist()])


@lru_cache(maxsize=2)
def _order(turn: int, size: int) -> Int64[Tensor, " sound"]:
    return torch.randperm(size, generator=torch.Generator().manual_seed(turn))
