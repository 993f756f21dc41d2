"""Losses between two sets of vectors as pure functions: VICReg, InfoNCE, and the sliced Epps-Pulley statistic."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from unsynth.base import Vector

Scalar = Float[Tensor, ""]
P = ParamSpec("P")
FAR = 60.0  # below the largest logit of a row: a probability of 1e-26


def precise(loss: Callable[P, Scalar]) -> Callable[P, Scalar]:
    """The loss in float32 even under autocast: similarities over a temperature of 0.01 differ by less than what
    bfloat16 can tell apart (LOG.md), and so do sums over a large batch.
    """

    def wide(x: object) -> object:
        return x.to(torch.promote_types(x.dtype, torch.float32)) if isinstance(x, Tensor) else x

    @wraps(loss)
    def exact(*args: P.args, **kwargs: P.kwargs) -> Scalar:
        device = next(x.device.type for x in args if isinstance(x, Tensor))
        with torch.autocast(device, enabled=False):
            return loss(*map(wide, args), **kwargs)  # pyright: ignore[reportCallIssue]

    return exact


@precise
def variance_term(x: Vector, target: float = 1.0, epsilon: float = 1e-4) -> Scalar:
    """Mean over the dimensions of how far each standard deviation falls short of ``target``.

    Source: Bardes et al., "VICReg", https://arxiv.org/abs/2105.04906, eq. 1 and 2.
    """
    return F.relu(target - (x.var(0) + epsilon).sqrt()).mean()


@precise
def covariance_term(x: Vector) -> Scalar:
    """Squared off-diagonal entries of the covariance matrix of the batch, summed and divided by the dimensions.

    Source: Bardes et al., "VICReg", https://arxiv.org/abs/2105.04906, eq. 3 and 4.
    """
    centred = x - x.mean(0)
    covariance = centred.T @ centred / (len(x) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / x.shape[1]


def invariance_term(a: Vector, b: Vector) -> Scalar:
    """Mean squared difference of the pairs. Source: VICReg, eq. 5 (as its code has it, a mean over the dimensions)."""
    return F.mse_loss(a, b)


@precise
def info_nce(a: Vector, b: Vector, temperature: Tensor | float, decoys: Vector | None = None) -> Scalar:
    """Symmetric cross-entropy of finding each row's partner among all rows, by cosine similarity over ``temperature``.

    Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision",
    https://arxiv.org/abs/2103.00020, figure 3. The rows of ``a`` must tell theirs from ``decoys`` too, which have none.
    """
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    there = a @ (b if decoys is None else torch.cat([b, F.normalize(decoys, dim=1)])).T / temperature
    partner = torch.arange(len(a), device=a.device)
    return (F.cross_entropy(_near(there), partner) + F.cross_entropy(_near(there[:, : len(b)].T), partner)) / 2


def _near(logits: Float[Tensor, "row other"]) -> Float[Tensor, "row other"]:
    """Logits that make no difference raised to where their exponentials are ordinary numbers: arithmetic with the
    subnormal ones below makes the loss ten times as slow on a CPU (LOG.md). Partners stay as they are.
    """
    floor = torch.minimum(logits.amax(1) - FAR, logits.diagonal()).detach()[:, None]
    return torch.where(logits < floor, floor, logits)


def epps_pulley(x: Float[Tensor, "batch slice"], points: int = 17, reach: float = 5.0) -> Float[Tensor, " slice"]:
    """How far each column's sample is from a standard normal one, by its characteristic function.

    ``N * integral of |phi_N(t) - exp(-t^2/2)|^2 exp(-t^2/2) dt`` over [-reach, reach] by the trapezoidal rule.
    Source: Balestriero and LeCun, "LeJEPA", https://arxiv.org/abs/2511.08544, section 4 (Epps and Pulley, 1983).
    """
    t = torch.linspace(-reach, reach, points, device=x.device)
    normal = torch.exp(-t.square() / 2)
    angles = x[..., None] * t
    gap = (angles.cos().mean(0) - normal).square() + angles.sin().mean(0).square()
    return len(x) * torch.trapezoid(gap * normal, t, dim=-1)


@precise
def sigreg(x: Vector, directions: Float[Tensor, "dim slice"]) -> Scalar:
    """Mean Epps-Pulley statistic of ``x`` on unit ``directions``: 0 for an isotropic standard normal distribution.

    Source: Balestriero and LeCun, "LeJEPA", https://arxiv.org/abs/2511.08544, definition of SIGReg.
    """
    return epps_pulley(x @ F.normalize(directions, dim=0)).mean()
