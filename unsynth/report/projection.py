"""Sounds as points of a plane whose distances are about as large as the sounds are different."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from unsynth.distances import DB_RANGE, MSS_SCALES
from unsynth.frontends.mel import log_mel
from unsynth.report.loudness import Sounds


def spectral_distances(sounds: Sounds) -> Float[Tensor, "sound sound"]:
    """:func:`unsynth.distances.mss` of every two sounds in dB, with the spectrograms of each computed once."""
    mels = [log_mel(sounds, scale) for scale in MSS_SCALES]
    rows = [(mel - mel.amax((1, 2), keepdim=True)).clamp(min=-DB_RANGE).flatten(1) for mel in mels]
    return torch.stack([torch.cdist(row, row, p=1) / row.shape[1] for row in rows]).mean(0)


def scaled(distances: Float[Tensor, "point point"]) -> Float[Tensor, "point 2"]:
    """Classical multidimensional scaling to a plane, with the first point to the left and below the middle.

    Source: Torgerson, "Multidimensional scaling: I. Theory and method" (Psychometrika 17, 1952,
    https://doi.org/10.1007/BF02288916).
    """
    squared = distances.double().square()
    products = (squared.mean(0) + squared.mean(1, keepdim=True) - squared.mean() - squared) / 2
    values, vectors = torch.linalg.eigh(products)
    points = vectors[:, -2:].flip(1) * values[-2:].flip(0).clamp(min=0).sqrt()
    return (points * torch.where(points[0] > 0, -1, 1)).float()
