"""Sounds as a frozen encoder heard them, kept to learn from again: rendering and hearing are what costs.

Source: Lin, "Self-improving reactive agents based on reinforcement learning, planning and teaching", Machine Learning 8
(1992), section 3.3 (experience replay).
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import final

import torch
from torch import Tensor

from unsynth.base import Batch, PatchError


@final
class Replay:
    """The last batches, without their audio.

    Args:
        batches: how many are kept; the oldest goes first.
    """

    def __init__(self, batches: int) -> None:
        self.batches, self.kept = batches, list[Batch]()

    def add(self, batch: Batch) -> None:
        """Keep a batch that was heard."""
        silent = replace(batch, audio=batch.audio.new_empty(len(batch.ids), 0))
        self.kept = [*self.kept, silent][-self.batches :]

    def draw(self) -> Batch:
        """As many sounds as a batch has, drawn from all that are kept by torch's generator."""
        rows = len(self.kept[0].ids)
        which = torch.randperm(rows * len(self.kept), device=self.kept[0].ids.device)[:rows]
        owner, row = which // rows, which % rows
        order = owner.argsort(stable=True)
        parts = [(batch, row[owner == n]) for n, batch in enumerate(self.kept)]
        place = torch.empty_like(order)
        place[order] = torch.arange(rows, device=order.device)
        names = [field.name for field in fields(Batch)]
        return Batch(**{name: torch.cat([getattr(b, name)[r] for b, r in parts])[place] for name in names})

    def tensors(self) -> dict[str, Tensor]:
        """All that is kept, by field."""
        names = [field.name for field in fields(Batch)]
        return {name: torch.cat([getattr(batch, name) for batch in self.kept]) for name in names} if self.kept else {}

    def restore(self, tensors: dict[str, Tensor], rows: int, device: torch.device | str = "cpu") -> None:
        """Keep on ``device`` what ``tensors`` gave, in batches of ``rows``; PatchError where it is not whole."""
        try:
            whole = {field.name: tensors[field.name].to(device) for field in fields(Batch)} if tensors else {}
        except KeyError as error:
            raise PatchError("The state of the training is not whole; name another --out folder.") from error
        self.kept = [Batch(*row) for row in zip(*(x.split(rows) for x in whole.values()), strict=True)]
