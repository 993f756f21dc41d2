"""Retrieval in a joint space: is the nearest of many held-out patches the one that made the sound?"""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor

from unsynth.base import Objective, SoundIds, Synth, Vector
from unsynth.objectives.joint import Joint
from unsynth.sounds.ids import VALIDATION, held_out_ids, params_of
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


def points(joint: Joint, synth: Synth, ids: SoundIds, chunk: int = 64) -> tuple[Vector, Vector]:
    """Sounds and their parameters as points, made on the device of ``joint``, which is in ``eval()``."""
    device, sounds, patches = next(joint.parameters()).device, [], []
    with torch.no_grad():
        for part in ids.to(device).split(chunk):
            params = params_of(part, synth.spec)
            sounds.append(joint.sound(synth.render(params, part)))
            patches.append(joint.patch(params))
    return torch.cat(sounds), torch.cat(patches)


def recall(found: Ranks, near: tuple[int, ...] = (1, 10)) -> dict[str, float]:
    """The share of the sounds whose own patch is among the nearest few."""
    return {f"recall@{k}": float((found < k).float().mean()) for k in near}


def validation(synth: Synth, among: int = 2000) -> Validate:
    """For ``fit``: recall among so many validation sounds, where the objective is a joint space."""

    def validate(objective: Objective) -> dict[str, float]:
        if not isinstance(objective, Joint):
            return {}
        return recall(ranks(*points(objective, synth, held_out_ids(VALIDATION, among))))

    return validate
