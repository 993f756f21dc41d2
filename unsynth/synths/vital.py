"""Vital: two wavetable oscillators, noise, filters, envelopes, LFOs, modulations, effects, and the note it plays.

docs/vital.md tells what the subset has. vita plays it in worker processes.
"""

from __future__ import annotations

from importlib.util import find_spec

from jaxtyping import Float
from torch import Tensor

from unsynth.base import Audio, Params, SoundIds, Synth, UsageError
from unsynth.params import Param, ParamSpec
from unsynth.synths.engines import played, whole_ticks
from unsynth.synths.vital_patch import CONTROLS, NOTE, RATE, SECONDS, Control

ENGINE = "unsynth.synths.vital_engine:Engine"
INSTALL = "pip install 'unsynth[vital]'"


def _param(control: Control) -> Param:
    kind = "categorical" if control.choices else "integer" if control.whole else "continuous"
    curve, symmetric = abs(control.curve), control.curve < 0
    return Param(control.name, control.low, control.high, control.unit, curve, symmetric, kind, control.choices)


SPEC = ParamSpec("vital", [_param(control) for control in [*CONTROLS, *NOTE]])


def to_rows(params: Params) -> Float[Tensor, "batch param"]:
    """Human values as the engine and the files have them: the note is held for whole ticks."""
    rows = SPEC.to_human(params.detach().cpu())
    rows[:, -1] = whole_ticks(rows[:, -1])
    return rows


class Vital(Synth):
    """Vital (3 s at 44.1 kHz, mono), the same for the same parameters; it has no noise rows.

    A sound that peaks above full scale is turned down as a whole until it peaks there.
    """

    name = "vital"
    spec = SPEC
    rate = RATE
    seconds = SECONDS
    differentiable = False

    def render(self, params: Params, noise: SoundIds | None = None) -> Audio:
        """As :meth:`Synth.render`.

        Raises:
            UsageError: vita is not installed.
            EngineError: the engine failed.
        """
        if why := self.lacks():
            raise UsageError(why)
        return played(ENGINE, round(RATE * SECONDS), to_rows(params)).to(params.device)

    def lacks(self) -> str:
        return "" if installed() else f"The synth vital needs vita, which is not installed; run {INSTALL}."


def installed() -> bool:
    """Whether vita can be imported."""
    return find_spec("vita") is not None
