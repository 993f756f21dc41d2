"""Which knobs of a patch one hears: how much each changes the sound."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from unsynth.base import Synth
from unsynth.search.objective import SpectralDistance


def influence(synth: Synth, row: Float[Tensor, " param"], step: float = 0.1, part: int = 16) -> Float[Tensor, " param"]:
    """Spectral distance in dB that a move of each parameter alone makes, 0 for what cannot be heard at this patch.

    Integers and choices move by one value where that is more than ``step``; all move towards the middle.

    Args:
        synth: what plays.
        row: the patch, shape ``(param,)``.
        step: size of the move, in units of the unit interval.
        part: sounds that are rendered at once.
    """
    distance = SpectralDistance(synth.render(row[None]))
    values = synth.spec.column("high") - synth.spec.column("low") + 1
    stepped = torch.tensor([param.kind != "continuous" for param in synth.spec.params])
    moves = torch.where(stepped, (1 / values).clamp(min=step), step)
    moved = row + torch.diag(torch.where(row < 1 / 2, moves, -moves))
    return torch.cat([distance(synth.render(rows)) for rows in moved.clamp(0, 1).split(part)])
