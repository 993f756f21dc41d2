"""What one training process says to the others, with gradients; on one process everything here is the identity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather(x: Tensor) -> Tensor:
    """The rows of the global batch; differentiable. Every process has as many.

    Every process computes the loss of the whole batch from them. Its gradient arrives summed over the processes, so the
    mean of the processes' parameter gradients (:func:`average_gradients`) is that of one process with the whole batch.

    Shape: ``(batch, *)`` in, ``(world * batch, *)`` out.
    """
    return x if world() == 1 else _Gather.apply(x)


def total(x: Tensor) -> Tensor:
    """``x`` summed over the processes; differentiable."""
    return x if world() == 1 else _Total.apply(x)


def agree(x: Tensor) -> Tensor:
    """The first process's ``x``, for what all must draw alike."""
    if world() > 1:
        dist.broadcast(x, 0)
    return x


def any_of(flag: bool, device: torch.device) -> bool:
    """Whether ``flag`` is true on any process: all get the same answer, so that all stop at the same step."""
    if world() == 1:
        return flag
    flags = torch.tensor(float(flag), device=device)
    dist.all_reduce(flags)
    return bool(flags)


def average_gradients(parameters: Sequence[Tensor]) -> None:
    """Replaces every gradient by its mean over the processes, in one message.

    A parameter that some processes did not use (a modality that was dropped) counts as zero there; one that none used
    stays without a gradient, as on one process.
    """
    if world() == 1 or not parameters:
        return
    used = torch.tensor([p.grad is not None for p in parameters], device=parameters[0].device)
    parts = [_real(torch.zeros_like(p) if p.grad is None else p.grad) for p in parameters]
    flat = torch.cat([*parts, used.to(parts[0])])
    dist.all_reduce(flat)
    *means, users = (flat / world()).split([*map(len, parts), len(used)])
    for p, mean, user in zip(parameters, means, users.tolist(), strict=True):
        if user:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
            p.grad.copy_((torch.view_as_complex(mean.view(-1, 2)) if p.is_complex() else mean).view_as(p))


class _Total(Function):
    """The sum over the processes, whose gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _summed(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _summed(gradient)


class _Gather(Function):
    """The rows of all processes; each gets the sum of what they say of its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        rows = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(world())]
        dist.all_gather(rows, x.contiguous())
        return torch.cat(rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _summed(gradient).chunk(world())[rank()]


def _summed(x: Tensor) -> Tensor:
    x = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(x)
    return x


def _real(x: Tensor) -> Tensor:
    return (torch.view_as_real(x) if x.is_complex() else x).flatten()


def leave() -> None:
    """End this process's part in the group: threads of the group that still run when Python ends abort the process."""
    if dist.is_available() and dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
