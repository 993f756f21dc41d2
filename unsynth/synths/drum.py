"""The drum: modes of a membrane, metal, noise and a transient; kicks, snares, toms, hats, claps and cymbals.

Pure torch, batched and differentiable. :mod:`unsynth.synths.drum_modules` has the parts and their sources.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from unsynth.base import Audio, Params, SoundIds, Synth
from unsynth.params import Param, ParamSpec
from unsynth.synths import drum_modules as m

MODES = 5
FULLY_LONG = m.SAMPLES / m.RATE
PART = 4  # sounds of about one length, made at once, so that what is worked on stays in the cache


def _time(name: str, low: float, high: float) -> Param:
    """Seconds, in three powers of ten or more over the knob's way."""
    return Param(name, low, high, "s", 0.3)


def _hertz(name: str, low: float, high: float) -> Param:
    return Param(name, low, high, "Hz", 0.3)


def _level(name: str) -> Param:
    return Param(name, curve=0.5)


def _mode(number: int) -> list[Param]:
    name = f"mode_{number}"
    return [Param(f"{name}.ratio", 0.5, 12, "", 0.5), _level(f"{name}.level"), _time(f"{name}.decay", 0.01, 6)]


def _params() -> list[Param]:
    """Every decay is the time of 60 dB."""
    body = [
        _level("body.level"),
        Param("body.pitch", 16, 112, "MIDI"),
        Param("body.sweep", -12, 48, "semitones"),
        _time("body.sweep_time", 0.005, 2),
        _time("body.decay", 0.01, 6),
    ]
    metal = [
        _level("metal.level"),
        _hertz("metal.frequency", 60, 4000),
        Param("metal.spread", 0, 2),
        _hertz("metal.low_cut", 50, 14000),
        Param("metal.tilt", -2, 0.5),
        _time("metal.decay", 0.01, 6),
        Param("metal.damping", 0, 2),
    ]
    noise = [
        _level("noise.level"),
        _hertz("noise.low_cut", 20, 14000),
        _hertz("noise.high_cut", 100, 20000),
        Param("noise.slope", 1, 8, "poles"),
        _time("noise.attack", 0.0002, 0.5),
        _time("noise.decay", 0.01, 6),
        Param("noise.damping", 0, 1.5),
        _level("noise.tail"),
        _time("noise.tail_decay", 0.05, 8),
        Param("noise.bursts", 0, m.MOST_BURSTS),
        Param("noise.burst_time", 0.004, m.LONGEST_BURST, "s"),
    ]
    transient = [
        _level("transient.level"),
        _hertz("transient.frequency", 50, 16000),
        Param("transient.resonance", 0.3, 8, "Q", 0.5),
        _time("transient.decay", 0.001, 0.1),
        Param("transient.noise"),
    ]
    output = [
        Param("output.drive", -20, 30, "dB"),
        Param("output.level", -24, 0, "dB"),
        Param("output.length", 0.02, FULLY_LONG, "s", 0.5),
        _time("output.release", 0.002, 1),
    ]
    return [*body, *(p for k in range(2, MODES + 1) for p in _mode(k)), *metal, *noise, *transient, *output]


def _spec() -> ParamSpec:
    """The modes above the first can be swapped."""
    params = _params()
    columns = [tuple(i for i, p in enumerate(params) if p.name.startswith(f"mode_{k}.")) for k in range(2, MODES + 1)]
    return ParamSpec("drum", params, tuple(pairwise(columns)))


SPEC = _spec()


class Drum(Synth):
    """A drum voice (4 s at 44.1 kHz); sound ids choose among 32 rows of noise."""

    name = "drum"
    spec = SPEC
    rate = m.RATE
    seconds = FULLY_LONG
    differentiable = True

    def render(self, params: Params, noise: SoundIds | None = None) -> Audio:
        rows = torch.zeros(len(params), dtype=torch.int64) if noise is None else noise
        human, rows = SPEC.to_human(params), rows.to(params.device)
        blocks, sounds = _blocks(human.detach()), human.new_zeros(len(human), m.SAMPLES)
        for part in blocks.argsort().split(PART):
            most = int(blocks[part].max())
            sounds[part, : most * m.BLOCK] = _play(human[part], rows[part], most)
        return sounds


def _blocks(human: Float[Tensor, "batch param"]) -> Int64[Tensor, " batch"]:
    """Blocks after which each sound has ended; never fewer than a click has."""
    length, release = (human[:, SPEC.index(f"output.{name}")] for name in ("length", "release"))
    return ((length + release) * (m.RATE / m.BLOCK)).ceil().long().clamp(m.SHORTEST, m.BLOCKS)


def _play(human: Float[Tensor, "batch param"], rows: Tensor, blocks: int) -> Audio:
    """The first ``blocks`` of sounds."""
    value = dict(zip(SPEC.names, human[:, :, None].unbind(1), strict=True))

    def of(module: str, *names: str) -> list[Tensor]:
        return [value[f"{module}.{name}"] for name in names]

    total = _body(value, blocks)
    level, *rest = of("metal", "level", "frequency", "spread", "low_cut", "tilt", "decay", "damping")
    total = torch.addcmul(total, level, m.metal(*rest, blocks=blocks))
    total = torch.addcmul(total, _noise(value, rows, blocks), value["noise.level"] * m.NOISE_RMS)
    level, *rest = of("transient", "level", "frequency", "resonance", "decay", "noise")
    total = torch.addcmul(total, level, m.transient(rows, *rest, blocks=blocks))
    drive, loud, *rest = of("output", "drive", "level", "length", "release")
    return m.output(total, 10 ** (drive / 20), 10 ** (loud / 20), *rest)


def _body(value: dict[str, Tensor], blocks: int) -> Audio:
    above = range(2, MODES + 1)
    ratio = torch.cat([torch.ones_like(value["body.pitch"]), *(value[f"mode_{k}.ratio"] for k in above)], dim=1)
    level = torch.cat([value["body.level"], *(value[f"mode_{k}.level"] for k in above)], dim=1)
    decay = torch.cat([value["body.decay"], *(value[f"mode_{k}.decay"] for k in above)], dim=1)
    sweep = torch.exp2(value["body.sweep"] / 12) - 1
    return m.modes(m.hertz(value["body.pitch"]) * ratio, level, decay, sweep, value["body.sweep_time"], blocks)


def _noise(value: dict[str, Tensor], rows: Tensor, blocks: int) -> Audio:
    spectral = ("low_cut", "high_cut", "slope", "decay", "damping")
    temporal = ("bursts", "burst_time", "attack", "decay", "tail", "tail_decay")
    envelope = m.bursts(*(value[f"noise.{name}"] for name in temporal), blocks=blocks)
    return envelope * m.noise(rows, *(value[f"noise.{name}"] for name in spectral), blocks=blocks)
