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


def decays(name: str, parameter: Tensor) -> bool:
    """Whether weight decay is for this parameter: for matrices and filters, not for biases, norms and numbers."""
    return parameter.ndim > 1 and name.rpartition(".")[2] != "bias"


def groups(module: nn.Module, weight_decay: float) -> Groups:
    """The parameters that decay and those that do not (:func:`decays`), without the frozen ones.

    Those that a module names in an attribute ``slow`` do not decay either, and follow as a group of their own.
    """
    slow = {getattr(m, name) for m in module.modules() for name in getattr(m, "slow", ())}
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    plain = [(decays(name, p), p) for name, p in named if p not in slow]
    limited = [p for _, p in named if p in slow]
    return [
        {"params": [p for decay, p in plain if decay], "weight_decay": weight_decay},
        {"params": [p for decay, p in plain if not decay], "weight_decay": 0.0},
        *([{"params": limited, "weight_decay": 0.0, "slow": True}] if limited else []),
    ]


def peaks(optimizer: Optimizer, slowest: float = 0.001) -> list[float]:
    """The highest learning rate of each group: the optimiser's own, but for slow parameters ``slowest`` at most.

    Source: Gu et al., "Efficiently Modeling Long Sequences with Structured State Spaces",
    https://arxiv.org/abs/2111.00396, appendix D, for the state space of S4.
    """
    return [min(g["lr"], slowest) if g.get("slow") else g["lr"] for g in optimizer.param_groups]


def rate(step: int, steps: int, warmup: int, schedule: Schedule, cooldown: float = 0.2) -> float:
    """The share of the highest learning rate at ``step`` of ``steps``: a linear warm-up, then

    ``cosine`` to zero at the end; ``stable``: constant until the last ``cooldown`` of the steps after the warm-up, then
    linear to zero; ``constant``.
    """
    if step < warmup:
        return (step + 1) / warmup
    done = min(1.0, (step - warmup) / max(1, steps - warmup))
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1.0 if schedule == "constant" or done + cooldown <= 1 else (1 - done) / cooldown


class LARS(Optimizer):
    """Momentum whose step, for each weight matrix, is in proportion to the norm of the weights.

    Source: You et al., "Large Batch Training of Convolutional Networks", https://arxiv.org/abs/1708.03888, eq. 5 and 6;
    as in VICReg's code, the decay is within the norm of the gradient and the learning rate outside of the velocity.
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
        for name, value in (("lr", lr), ("momentum", momentum), ("weight_decay", weight_decay), ("trust", trust)):
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} cannot be {value}")
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._move(p, p.grad, group)

    def _move(self, p: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        update = gradient + group["weight_decay"] * p
        if p.ndim > 1:
            weight, length = p.norm(), update.norm()
            update = update * torch.where((weight > 0) & (length > 0), group["trust"] * weight / length, 1.0)
        velocity = self.state[p].setdefault("velocity", torch.zeros_like(p))
        p.sub_(velocity.mul_(group["momentum"]).add_(update), alpha=group["lr"])
