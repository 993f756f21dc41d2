"""Surge XT: a subtractive subset of one scene, with modulation, and the note it plays; from worker processes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from unsynth.base import Audio, Params, SoundIds, Synth, UsageError
from unsynth.params import Param, ParamSpec
from unsynth.synths import surge_values
from unsynth.synths.engines import played, whole_ticks
from unsynth.synths.surge_engine import RATE, SAMPLES, SECONDS, available
from unsynth.synths.surge_values import facts

ENGINE = "unsynth.synths.surge_engine:engine"


def _param(told: surge_values.Json) -> Param:
    if "choices" in told:
        choices = tuple(told["choices"])
        return Param(told["name"], 0, len(choices) - 1, kind="categorical", choices=choices)
    kind, unit, curve = told.get("kind", "continuous"), told.get("unit", ""), told.get("curve", 1.0)
    return Param(told["name"], told["low"], told["high"], unit, curve, symmetric=curve != 1, kind=kind)


def _spec() -> ParamSpec:
    """As surge.json has them; the two LFOs can be swapped with all that they modulate."""
    params = [_param(told) for told in facts()["params"]]
    first, second = ([i for i, p in enumerate(params) if f"lfo{n}" in p.name] for n in (1, 2))
    return ParamSpec("surge", params, ((tuple(first), tuple(second)),))


SPEC = _spec()


def to_raw(params: Params) -> Float[Tensor, "batch param"]:
    """The synth's own values (``osc1.type`` 8 is modern) of ``params``, as its files have them.

    The note is held for whole ticks: what is heard and scored is the note that is exported.
    """
    rows = SPEC.to_human(params.detach().cpu()).tolist()
    raw = torch.tensor([surge_values.to_raw(row) for row in rows]).reshape(params.shape)
    raw[:, -1] = whole_ticks(raw[:, -1])
    return raw


def to_params(raw: Float[Tensor, "batch param"]) -> Params:
    """The inverse of :func:`to_raw`; what is out of range is clamped.

    Raises:
        PatchError: a choice that the spec has not.
    """
    human = torch.tensor([surge_values.to_human(row) for row in raw.tolist()])
    return SPEC.to_unit(human.reshape(raw.shape))


class Surge(Synth):
    """Surge XT (3 s at 44.1 kHz, mono). Its noise is not repeatable, so there are no noise rows.

    A sound that peaks above full scale is turned down as a whole until it peaks there.
    """

    name = "surge"
    spec = SPEC
    rate = RATE
    seconds = SECONDS
    differentiable = False

    def render(self, params: Params, noise: SoundIds | None = None) -> Audio:
        """As :meth:`Synth.render`.

        Raises:
            UsageError: there is no engine.
            EngineError: the engine failed.
        """
        available()
        return played(ENGINE, SAMPLES, to_raw(params)).to(params.device)

    def lacks(self) -> str:
        try:
            available()
        except UsageError as error:
            return str(error)
        return ""
