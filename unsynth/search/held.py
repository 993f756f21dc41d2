"""Some knobs held where they are: the same synth with fewer parameters, so that any search leaves them alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from unsynth.base import Audio, Params, SoundIds, Synth, UsageError
from unsynth.params import ParamSpec


@final
class Held(Synth):
    """``synth`` as a synth of its free parameters alone. It has no prior and no index, as its sounds are others.

    Args:
        synth: what renders.
        row: the values of all its parameters, of which the held ones count; shape ``(param,)``.
        names: the parameters to hold.

    Raises:
        UsageError: a name that the synth has not, or no parameter is left.
    """

    name = "held"

    def __init__(self, synth: Synth, row: Float[Tensor, " param"], names: Iterable[str]) -> None:
        held = set(names)
        unknown = sorted(held - set(synth.spec.names))
        if unknown:
            raise UsageError(f"The synth {synth.name} has no parameter {unknown[0][:60]!r} that could be held.")
        self.synth, self.row = synth, row.detach().cpu()
        self.free = [i for i, name in enumerate(synth.spec.names) if name not in held]
        if not self.free:
            raise UsageError("Every knob is locked, so there is nothing to search; unlock at least one.")
        self.spec = ParamSpec(synth.spec.synth, [synth.spec.params[i] for i in self.free])
        self.rate, self.seconds, self.differentiable = synth.rate, synth.seconds, synth.differentiable

    def render(self, params: Params, noise: SoundIds | None = None) -> Audio:
        """As :meth:`Synth.render`, of the free parameters."""
        return self.synth.render(self.full(params), noise)

    def full(self, params: Params) -> Params:
        """All parameters of the synth: ``(batch, free)`` in, ``(batch, param)`` out."""
        rows = self.row.to(params).repeat(len(params), 1)
        return rows.index_copy(1, torch.tensor(self.free, device=params.device), params)
