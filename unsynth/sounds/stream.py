"""Endless batches of fresh sounds, rendered on the fly: batch n is a pure function of n."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import torch

from unsynth.base import Batch, Synth, UsageError
from unsynth.sounds.ids import params_of, train_ids


class Stream:
    """Training sounds in the order of their ids, each once. No sound of the held-out split is ever made.

    Which sounds the global batch of a step holds depends on the step alone; each of ``world`` processes renders its own
    rows of it.

    Args:
        synth: what renders.
        batch: sounds of the global batch.
        rank: number of this process.
        world: how many processes share the batch.
        first: training sounds to leave out at the beginning.
        device: where sounds are rendered.

    Raises:
        UsageError: the batch cannot be shared evenly.
    """

    def __init__(
        self,
        synth: Synth,
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
        self.synth, self.batch, self.rank, self.first, self.device = synth, batch, rank, first, torch.device(device)
        self.rows = batch // world

    def at(self, step: int) -> Batch:
        """This process's rows of the batch of one step."""
        ids = train_ids(self.first + step * self.batch + self.rank * self.rows, self.rows).to(self.device)
        params = params_of(ids, self.synth.spec)
        with torch.no_grad():
            return Batch(ids, params, self.synth.render(params, ids))

    def since(self, step: int) -> Generator[Batch]:
        """The batches from ``step`` on, each rendered while the one before it is used.

        (Where torch has several threads of the CPU, each is rendered when it is asked for, on all of them: a render
        beside them would change how many threads MKL's sums are split over, and with that their last bits.)
        """
        if self.device.type == "cpu" and torch.get_num_threads() > 1:
            yield from map(self.at, count(step))
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(self.at, step)
            while True:
                batch, step = coming.result(), step + 1
                coming = pool.submit(self.at, step)
                yield batch
