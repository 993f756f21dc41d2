"""Dexed, the DX7: six operators in 32 algorithms, played by dexed-py in worker processes; and the note it plays.

Every number of a DX7 voice is a parameter. ``NUMBERS`` has them in the order of the voice's system exclusive message
(VCED); the spec has the note first, then what concerns the whole voice, then operator 1 to 6. Source: Yamaha, "DX7
Digital Programmable Algorithm Synthesizer Owner's Manual" (1983), "MIDI data format".
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import torch
from jaxtyping import Float
from torch import Tensor

from unsynth.base import Audio, Params, SoundIds, Synth, UsageError
from unsynth.params import Param, ParamSpec
from unsynth.synths.dexed_engine import RATE, SECONDS
from unsynth.synths.engines import played, whole_ticks

ENGINE = "unsynth.synths.dexed_engine:Engine"
INSTALL = "pip install 'unsynth[dexed]'"

SWITCH = ("off", "on")
CURVES = ("-linear", "-exponential", "+exponential", "+linear")
WAVES = ("triangle", "saw down", "saw up", "square", "sine", "sample & hold")
ALGORITHMS = tuple(str(number) for number in range(1, 33))


def _whole(name: str, high: int, low: int = 0, unit: str = "") -> Param:
    return Param(name, low, high, unit, kind="integer")


def _choice(name: str, choices: tuple[str, ...]) -> Param:
    return Param(name, 0, len(choices) - 1, kind="categorical", choices=choices)


def _envelope() -> list[Param]:
    return [_whole(f"{part}_{stage}", 99) for part in ("rate", "level") for stage in range(1, 5)]


OPERATOR = [
    *_envelope(),
    _whole("breakpoint", 99, unit="keys above A-1"),
    _whole("left_depth", 99),
    _whole("right_depth", 99),
    _choice("left_curve", CURVES),
    _choice("right_curve", CURVES),
    _whole("rate_scaling", 7),
    _whole("lfo_sensitivity", 3),
    _whole("velocity_sensitivity", 7),
    _whole("output_level", 99),
    _choice("frequency_mode", ("ratio", "fixed")),
    _whole("frequency_coarse", 31),
    _whole("frequency_fine", 99),
    _whole("detune", 7, -7),
]
VOICE = [
    *(replace(param, name=f"pitch_envelope.{param.name}") for param in _envelope()),
    _choice("voice.algorithm", ALGORITHMS),
    _whole("voice.feedback", 7),
    _choice("voice.oscillator_sync", SWITCH),
    _whole("lfo.speed", 99),
    _whole("lfo.delay", 99),
    _whole("lfo.pitch_depth", 99),
    _whole("lfo.level_depth", 99),
    _choice("lfo.sync", SWITCH),
    _choice("lfo.wave", WAVES),
    _whole("lfo.pitch_sensitivity", 7),
    _whole("voice.transpose", 24, -24, "semitones"),
]
NOTE = [
    _whole("note.pitch", 127, unit="MIDI"),
    _whole("note.velocity", 127, 1),
    Param("note.length", 0.01, SECONDS, "s", 0.5),
]
NUMBERS = [
    *(replace(p, name=f"operator_{n}.{p.name}") for n in (6, 5, 4, 3, 2, 1) for p in OPERATOR),
    *VOICE,
]


def _spec() -> ParamSpec:
    """Modules together, in the order a musician thinks in."""
    modules = ["note", "voice", "lfo", "pitch_envelope", *(f"operator_{n}" for n in range(1, 7))]
    return ParamSpec("dexed", sorted([*NUMBERS, *NOTE], key=lambda param: modules.index(param.name.split(".")[0])))


SPEC = _spec()
COLUMNS = [SPEC.index(param.name) for param in [*NUMBERS, *NOTE]]  # of the spec, in the order of the engine's rows
LOWS = torch.tensor([param.low for param in NUMBERS])  # a voice counts from 0, where people count from here


def to_numbers(params: Params) -> Float[Tensor, "batch 145"]:
    """The DX7 voices of ``params``: whole numbers from 0 in the order of ``NUMBERS``."""
    return SPEC.to_human(params)[:, COLUMNS[: len(NUMBERS)]] - LOWS


def to_note(params: Params) -> Float[Tensor, "batch 3"]:
    """MIDI note, velocity and seconds held (whole ticks) of ``params``."""
    note = SPEC.to_human(params)[:, COLUMNS[len(NUMBERS) :]]
    note[:, 2] = whole_ticks(note[:, 2])
    return note


def to_params(numbers: Float[Tensor, "batch 145"], note: Float[Tensor, "batch 3"]) -> Params:
    """The inverse of :func:`to_numbers` and :func:`to_note`; what is out of range is clamped."""
    human = torch.empty(len(numbers), len(SPEC))
    human[:, COLUMNS] = torch.cat([numbers + LOWS, note], dim=1).float()
    return SPEC.to_unit(human)


class Dexed(Synth):
    """Dexed (4 s at 44.1 kHz), bit for bit the same for the same parameters; it has no noise rows.

    A sound that peaks above full scale is turned down as a whole until it peaks there.
    """

    name = "dexed"
    spec = SPEC
    rate = RATE
    seconds = SECONDS
    differentiable = False

    def render(self, params: Params, noise: SoundIds | None = None) -> Audio:
        """As :meth:`Synth.render`.

        Raises:
            UsageError: dexed-py is not installed.
            EngineError: the engine failed.
        """
        if why := self.lacks():
            raise UsageError(why)
        rows = torch.cat([to_numbers(params), to_note(params)], dim=1)
        return played(ENGINE, round(RATE * SECONDS), rows).to(params.device)

    def lacks(self) -> str:
        return "" if installed() else f"The synth dexed needs dexed-py, which is not installed; run {INSTALL}."


def installed() -> bool:
    """Whether dexed-py can be imported."""
    return find_spec("dexed") is not None
