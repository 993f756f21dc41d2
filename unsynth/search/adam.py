"""Adam for a search: the first optimiser that torch makes imports its compiler, which takes 1.5 to 3 s of a budget."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

FIRST, SECOND, TINY = 0.9, 0.999, 1e-8


@final
class Adam:
    """Moves parameters against their gradient; they stay in the unit interval.

    Source: Kingma and Ba, "Adam", https://arxiv.org/abs/1412.6980, algorithm 1, with its default constants.

    Args:
        x: what is moved in place, with a gradient.
    """

    def __init__(self, x: Tensor) -> None:
        self.x, self.turn = x, 0
        self.mean, self.square = torch.zeros_like(x), torch.zeros_like(x)

    @torch.no_grad()
    def step(self, loss: Tensor, rate: float) -> None:
        """One step of size ``rate`` down the slope of ``loss``."""
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(loss, self.x)
        self.turn += 1
        self.mean.lerp_(slope, 1 - FIRST)
        self.square.lerp_(slope.square(), 1 - SECOND)
        mean, square = self.mean / (1 - FIRST**self.turn), self.square / (1 - SECOND**self.turn)
        self.x.sub_(rate * mean / (square.sqrt() + TINY)).clamp_(0, 1)
