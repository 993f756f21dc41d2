"""Endless batches of training sounds: batch n is a pure function of n."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import TypeVar

import torch

from unsynth.base import Batch, UsageError
from unsynth.sounds.source import Source

T = TypeVar("T")


class Stream:
    """Training sounds of a source in its order. No sound of a held-out split is ever made.

    Which sounds the global batch of a step holds depends on the step alone; each of ``world`` processes makes its own
    rows of it.

    Args:
        source: where they come from.
        batch: sounds of the global batch.
        rank: number of this process.
        world: how many processes share the batch.
        first: training sounds to leave out at the beginning.
        device: where sounds are wanted.

    Raises:
        UsageError: the batch cannot be shared evenly.
    """

    def __init__(
        self,
        source: Source,
        batch: int,
        rank: int = 0,
        world: int = 1,
        first: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        if batch % world:
            raise UsageError(
                f"A batch of {batch} cannot be shared by {world} processes; make it a multiple of {world}."
            )
        self.source, self.batch, self.rank, self.first, self.device = source, batch, rank, first, torch.device(device)
        self.rows = batch // world

    def at(self, step: int) -> Batch:
        """This process's rows of the batch of one step."""
        first = self.first + step * self.batch + self.rank * self.rows
        return self.source.take("train", first, self.rows, self.device)

    def since(self, step: int) -> Generator[Batch]:
        """The batches from ``step`` on, each made while the one before it is used.

        (Where torch makes them with several threads of the CPU, each is made when it is asked for, on all of them: a
        render beside them would change how many threads MKL's sums are split over, and with that their last bits.)
        """
        if self.device.type == "cpu" and torch.get_num_threads() > 1 and not self.source.aside:
            yield from map(self.at, count(step))
        yield from ahead(partial(self.at, n) for n in count(step))


def ahead(jobs: Iterable[Callable[[], T]]) -> Generator[T]:
    """What each job makes, in order: made in another thread while the one before it is used."""
    with ThreadPoolExecutor(1) as pool:
        coming = None
        for job in jobs:
            made, coming = coming, pool.submit(job)
            if made:
                yield made.result()
        if coming:
            yield coming.result()
