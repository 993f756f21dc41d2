"""Random drums that are worth a render: near the middle of a kick, snare, tom, hat, clap or cymbal.

Of 44 independent uniform numbers most make a clang with everything in it. The middles are settings of drum machines, as
in the papers of :mod:`unsynth.synths.drum_modules`, and of acoustic drums. The modes of membranes have the ratios of
Fletcher & Rossing, "The Physics of Musical Instruments", section 3.3 (1, 1.59, 2.14, 2.30, 2.65).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from unsynth.base import Params
from unsynth.synths.drum import MODES, SPEC

MEMBRANE = (1.59, 2.14, 2.30, 2.65)
NEUTRAL: dict[str, float] = {
    **{f"mode_{k}.ratio": MEMBRANE[k - 2] for k in range(2, MODES + 1)},
    **{f"mode_{k}.decay": 0.2 for k in range(2, MODES + 1)},
    **{"body.pitch": 50, "body.sweep_time": 0.05, "body.decay": 0.3},
    **{"metal.frequency": 400, "metal.spread": 1, "metal.low_cut": 5000, "metal.tilt": -0.5, "metal.decay": 0.3},
    **{"noise.low_cut": 500, "noise.high_cut": 9000, "noise.slope": 2, "noise.attack": 0.001, "noise.decay": 0.3},
    **{"noise.damping": 0.2, "noise.tail_decay": 0.8, "noise.burst_time": 0.01},
    **{"transient.frequency": 3000, "transient.resonance": 0.7, "transient.decay": 0.01, "transient.noise": 0.5},
    **{"output.drive": -6, "output.level": -6, "output.length": 1, "output.release": 0.2},
}
"""Human values of the knobs that a middle does not name; 0 where this does not either."""

Middle = Mapping[str, float]
MIDDLES: dict[str, tuple[Middle, ...]] = {
    "kick": (
        {"body.level": 0.9, "body.pitch": 33, "body.sweep": 18, "body.decay": 0.6, "transient.level": 0.2},
        {"body.level": 0.9, "body.pitch": 36, "body.sweep": 30, "body.sweep_time": 0.03, "body.decay": 0.3}
        | {"mode_2.level": 0.1, "noise.level": 0.1, "noise.low_cut": 40, "noise.high_cut": 3000, "noise.decay": 0.06}
        | {"transient.level": 0.3, "output.length": 0.4},
    ),
    "snare": (
        {"body.level": 0.4, "body.pitch": 54, "body.sweep": 5, "body.decay": 0.2, "mode_2.level": 0.2}
        | {"mode_2.ratio": 1.8, "noise.level": 0.4, "noise.decay": 0.3, "transient.level": 0.2, "output.length": 0.5},
        {"body.level": 0.3, "body.pitch": 55, "body.decay": 0.15, "mode_2.level": 0.2, "mode_3.level": 0.1}
        | {"noise.level": 0.5, "noise.low_cut": 200, "noise.damping": 0.5, "noise.tail": 0.2, "noise.decay": 0.15}
        | {"transient.level": 0.3},
    ),
    "tom": (
        {"body.level": 0.8, "body.pitch": 46, "body.sweep": 4, "body.sweep_time": 0.2, "body.decay": 0.8}
        | {"mode_2.level": 0.2, "mode_3.level": 0.1, "noise.level": 0.05, "noise.low_cut": 50, "noise.high_cut": 3000}
        | {"noise.decay": 0.1, "transient.level": 0.1},
        {"body.level": 0.5, "body.pitch": 62, "body.decay": 0.4, "mode_2.level": 0.3, "mode_3.level": 0.2}
        | {"mode_4.level": 0.2, "mode_2.ratio": 2, "mode_3.ratio": 3, "mode_4.ratio": 4, "transient.level": 0.3},
    ),
    "hat": (
        {"metal.level": 0.3, "metal.decay": 0.1, "metal.low_cut": 7000, "noise.level": 0.3, "noise.low_cut": 6000}
        | {"noise.high_cut": 16000, "noise.decay": 0.1, "noise.damping": 0, "transient.level": 0.1}
        | {"transient.frequency": 8000, "output.length": 0.2},
        {"metal.level": 0.3, "metal.decay": 0.8, "metal.low_cut": 6000, "noise.level": 0.3, "noise.low_cut": 5000}
        | {"noise.high_cut": 16000, "noise.decay": 0.8, "noise.damping": 0, "transient.level": 0.1}
        | {"transient.frequency": 8000},
    ),
    "clap": (
        {"noise.level": 0.6, "noise.low_cut": 700, "noise.high_cut": 2500, "noise.bursts": 3, "noise.decay": 0.1}
        | {"noise.tail": 0.2, "noise.tail_decay": 0.5, "output.length": 0.6},
    ),
    "cymbal": (
        {"metal.level": 0.2, "metal.decay": 2, "metal.low_cut": 3000, "metal.damping": 0.5, "noise.level": 0.4}
        | {"noise.low_cut": 2000, "noise.high_cut": 16000, "noise.decay": 2, "noise.damping": 0.2}
        | {"noise.attack": 0.003, "transient.level": 0.2, "output.length": 3},
        {"metal.level": 0.5, "metal.frequency": 800, "metal.decay": 1, "metal.low_cut": 1000, "metal.damping": 0.3}
        | {"noise.level": 0.1, "noise.low_cut": 3000, "transient.level": 0.2, "output.length": 3},
    ),
}  # fmt: skip
FAMILIES = tuple(MIDDLES)


def draw(count: int, generator: torch.Generator) -> Params:
    """``count`` drums of all families alike, ``(count, param)``."""
    return of_family(torch.randint(len(FAMILIES), (count,), generator=generator), generator)


def of_family(
    families: Int64[Tensor, " batch"], generator: torch.Generator, *, step: float = 0.1, anew: float = 0.05
) -> Params:
    """A drum of each of ``families`` (indices into ``FAMILIES``), around one of the family's middles.

    Args:
        families: which family each drum is of.
        generator: the only source of chance.
        step: median deviation of the steps in unit values, spread log-normally over the drums.
        anew: share of the parameters that are drawn uniformly.

    Shape: ``(batch, param)``.
    """
    middles, first, many = _middles()
    chosen = (torch.rand(len(families), generator=generator) * many[families]).long()
    centre = middles[first[families] + chosen]
    sizes = step * torch.randn(len(families), 1, generator=generator).mul(0.5).exp()
    moved = centre + sizes * torch.randn(centre.shape, generator=generator)
    near = 1 - (moved.remainder(2) - 1).abs()
    uniform = torch.rand(centre.shape, generator=generator)
    return torch.where(torch.rand(centre.shape, generator=generator) < anew, uniform, near)


def _middles() -> tuple[Float[Tensor, "middle param"], Int64[Tensor, " family"], Int64[Tensor, " family"]]:
    """All middles in unit values, the first of each family, and how many it has."""
    every = [{**NEUTRAL, **middle} for middles in MIDDLES.values() for middle in middles]
    human = torch.tensor([[float(values.get(name, 0)) for name in SPEC.names] for values in every])
    many = torch.tensor([len(middles) for middles in MIDDLES.values()])
    return SPEC.to_unit(human), many.cumsum(0) - many, many
