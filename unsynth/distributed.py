"""What one training process says to the others, with gradients; on one process everything here is the identity."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn import functional as collectives


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather(x: Tensor) -> Tensor:
    """The rows of the global batch; differentiable.

    Every process computes the loss of the whole batch from them. Its gradient arrives summed over the processes, so the
    mean of the processes' parameter gradients (:func:`average_gradients`) is that of one process with the whole batch.

    Shape: ``(batch, *)`` in, ``(world * batch, *)`` out.
    """
    return x if world() == 1 else torch.cat(collectives.all_gather(x))


def total(x: Tensor) -> Tensor:
    """``x`` summed over the processes; differentiable."""
    return x if world() == 1 else collectives.all_reduce(x)


def agree(x: Tensor) -> Tensor:
    """The first process's ``x``, for what all must draw alike."""
    if world() > 1:
        dist.broadcast(x, 0)
    return x


def average_gradients(parameters: list[Tensor]) -> None:
    """Replaces every gradient by its mean over the processes, in one message."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if world() == 1 or not gradients:
        return
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    for gradient, mean in zip(gradients, (flat / world()).split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))
