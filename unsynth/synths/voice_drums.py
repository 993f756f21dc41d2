"""Random drums of the Voice: the same knobs, drawn along other curves.

The curves are facts of torchsynth's second nebula, ``drum`` (torchsynth 1.0.2, nebulae/voice/drum.json, Apache-2.0);
the nebula of the Voice's sound ids, ``default``, has those of its ParamSpec. Short notes, envelopes that fall at once,
little of the oscillators' modulation by LFOs, hardly any of the second oscillator.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from unsynth.base import Params
from unsynth.params import ParamSpec
from unsynth.synths.voice import SPEC

CURVES: dict[tuple[float, bool], tuple[str, ...]] = {  # (curve, symmetric) as of Param: beginnings of the names
    (0.01, False): ("keyboard.duration", "mixer.vco_2"),
    (0.1, False): ("adsr_1.attack", "mod_matrix.lfo_"),
    (0.2, False): ("adsr_1.release", "adsr_2.release"),
    (0.25, False): ("adsr_1.decay", "adsr_2.attack", "adsr_2.decay", "mixer.noise"),
    (0.5, False): ("lfo_1.frequency", "lfo_2.frequency"),
    (1.0, False): ("mod_matrix.adsr_",),
    (1.5, False): ("vco_1.mod_depth",),
    (2.0, False): (
        *("adsr_1.sustain", "adsr_2.sustain"),
        *(f"mod_matrix.adsr_{adsr}->vco_{vco}_amp" for adsr in (1, 2) for vco in (1, 2)),
    ),
    (0.01, True): ("vco_1.tuning", "vco_2.tuning"),
    (0.2, True): ("lfo_1.mod_depth",),
    (0.5, True): ("keyboard.midi_f0",),
}


def _nebula() -> ParamSpec:
    """The Voice's parameters with the curves of its drums; what is named last and most precisely counts."""
    found = list(SPEC.params)
    for (curve, symmetric), beginnings in CURVES.items():
        for i, param in enumerate(found):
            if param.name.startswith(beginnings):
                found[i] = replace(param, curve=curve, symmetric=symmetric)
    return ParamSpec("voice", found)


NEBULA = _nebula()


def draw(count: int, generator: torch.Generator) -> Params:
    """``count`` drums of the Voice, ``(count, param)``, as any other parameters of it."""
    return SPEC.to_unit(NEBULA.to_human(torch.rand(count, len(SPEC), generator=generator)))
