"""Which knobs of a patch one hears: how much each changes the sound."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from unsynth.base import Params, Synth
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
    values = synth.spec.column("high") - synth.spec.column("low") + 1
    stepped = torch.tensor([param.kind != "continuous" for param in synth.spec.params])
    moves = torch.where(stepped, (1 / values).clamp(min=step), step)
    moved = row + torch.diag(torch.where(row < 1 / 2, moves, -moves))
    return _heard(synth, row, moved.clamp(0, 1), part)


def carried(
    synth: Synth,
    row: Float[Tensor, " param"],
    other: Float[Tensor, " param"],
    columns: Int64[Tensor, " column"],
    part: int = 16,
) -> Float[Tensor, " column"]:
    """Spectral distance in dB that each of ``columns`` (at least one) makes when it alone is as another patch has it.

    Args:
        synth: what plays.
        row, other: the two patches, shape ``(param,)``.
        columns: which parameters of ``other`` to carry over to ``row``.
        part: sounds that are rendered at once.
    """
    moved = row.repeat(len(columns), 1).scatter(1, columns[:, None], other[columns][:, None])
    return _heard(synth, row, moved, part)


def _heard(synth: Synth, row: Float[Tensor, " param"], moved: Params, part: int) -> Float[Tensor, " batch"]:
    distance = SpectralDistance(synth.render(row[None]))
    return torch.cat([distance(synth.render(rows)) for rows in moved.split(part)])
