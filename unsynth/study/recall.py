"""Retrieval in a joint space: is the nearest of many held-out patches the one that made the sound?"""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor

from unsynth.base import Objective, Vector
from unsynth.objectives.joint import Joint
from unsynth.sounds.source import Source, Split
from unsynth.train import Validate

Ranks = Int64[Tensor, " batch"]


def ranks(sounds: Vector, patches: Vector, chunk: int = 1024) -> Ranks:
    """How many of all patches are at least as near to each sound as its own, which is not counted.

    Ties count against it, as does what is not a number: a space in which all points are one finds nothing.
    """
    norms, found = patches.square().sum(1), []
    for first in range(0, len(sounds), chunk):
        part = sounds[first : first + chunk]
        distances = norms - 2 * part @ patches.T
        own = distances[torch.arange(len(part)), torch.arange(first, first + len(part))]
        found.append(len(patches) - 1 - (distances > own[:, None]).sum(1))
    return torch.cat(found)


def points(
    joint: Joint, source: Source, among: int, chunk: int = 64, split: Split = "validation"
) -> tuple[Vector, Vector]:
    """The first sounds of a split (fewer where there are fewer) and their parameters as points.

    Made on the device of ``joint``, which is in ``eval()``.
    """
    device, sounds, patches = next(joint.parameters()).device, [], []
    count = int(min(among, source.size(split)))
    with torch.no_grad():
        for first in range(0, count, chunk):
            batch = source.take(split, first, min(chunk, count - first), device)
            sounds.append(joint.sound(batch.audio))
            patches.append(joint.patch(batch.params))
    return torch.cat(sounds), torch.cat(patches)


def recall(found: Ranks, near: tuple[int, ...] = (1, 10)) -> dict[str, float]:
    """The share of the sounds whose own patch is among the nearest few."""
    return {f"recall@{k}": float((found < k).float().mean()) for k in near}


def validation(source: Source, among: int = 2000) -> Validate:
    """For ``fit``, where there are validation sounds: recall among so many in a joint space, the loss of all others.

    An objective with several players has no loss that tells how good it is.
    """

    def validate(objective: Objective) -> dict[str, float]:
        if not source.size("validation"):
            return {}
        if isinstance(objective, Joint):
            return recall(ranks(*points(objective, source, among)))
        return {"validation_loss": loss(objective, source)} if len(dict(objective.players())) == 1 else {}

    return validate


def loss(objective: Objective, source: Source, among: int = 512, chunk: int = 64) -> float:
    """The mean loss over the first validation sounds, on the device of ``objective``, which is in ``eval()``."""
    device, count = next(objective.parameters()).device, int(min(among, source.size("validation")))
    (player,) = objective.players()
    parts = [(first, min(chunk, count - first)) for first in range(0, count, chunk)]
    losses = [objective.loss(source.take("validation", *part, device), player)["loss"] * part[1] for part in parts]
    return float(torch.stack(losses).detach().sum()) / count
