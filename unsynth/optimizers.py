"""What training steps with: weights that decay and weights that do not, LARS, and the learning rate over the steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Groups = list[dict[str, Any]]
MakeOptimizer = Callable[[Iterable[Any]], Optimizer]
Schedule = Literal["cosine", "stable", "constant"]


def groups(module: nn.Module, weight_decay: float) -> Groups:
    """The parameters that decay (matrices and filters) and those that do not (biases, norms, single numbers).

    Those that a module names in an attribute ``slow`` do not decay either, and follow as a group of their own.
    """
    slow = {getattr(m, name) for m in module.modules() for name in getattr(m, "slow", ())}
    parameters = [p for p in module.parameters() if p.requires_grad and p not in slow]
    plain = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    limited = [p for p in module.parameters() if p.requires_grad and p in slow]
    return [*plain, {"params": limited, "weight_decay": 0.0, "slow": True}] if limited else plain


def peaks(optimizer: Optimizer, slowest: float = 0.001) -> list[float]:
    """The highest learning rate of each group: the optimiser's own, but for slow parameters ``slowest`` at most.

    Source: Gu et al., "Efficiently Modeling Long Sequences with Structured State Spaces",
    https://arxiv.org/abs/2111.00396, appendix D, for the state space of S4.
    """
    return [min(g["lr"], slowest) if g.get("slow") else g["lr"] for g in optimizer.param_groups]


def rate(step: int, steps: int, warmup: int, schedule: Schedule, decay: float = 0.2) -> float:
    """The share of the highest learning rate at ``step`` of ``steps``: a linear warm-up, then

    ``cosine`` to zero at the end; ``stable``: constant until the last ``decay`` of the steps, then linear to zero;
    ``constant``.
    """
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return 1.0 if schedule == "constant" else max(0.0, min(1.0, (1 - done) / decay))


class LARS(Optimizer):
    """Momentum whose step, for each weight matrix, is in proportion to the norm of the weights.

    Source: You et al., "Large Batch Training of Convolutional Networks", https://arxiv.org/abs/1708.03888, algorithm 1.
    Biases and norms (one axis) take a plain momentum step.

    Args:
        params: parameters or groups of them.
        lr: learning rate.
        momentum: of the velocity.
        weight_decay: where a group has none of its own.
        trust: the trust coefficient eta.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.2,
        momentum: float = 0.9,
        weight_decay: float = 1e-6,
        trust: float = 0.001,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._move(p, group)

    def _move(self, p: Tensor, group: dict[str, Any]) -> None:
        update = p.grad + group["weight_decay"] * p  # pyright: ignore[reportOptionalOperand]
        if p.ndim > 1:
            weight, gradient = p.norm(), update.norm()
            update = update * torch.where((weight > 0) & (gradient > 0), group["trust"] * weight / gradient, 1.0)
        velocity = self.state[p].setdefault("velocity", torch.zeros_like(p))
        p.sub_(velocity.mul_(group["momentum"]).add_(update), alpha=group["lr"])
