"""Vital's parameters and patches: what unsynth's subset of them is, and the text of a .vital file. Loads no torch.

A file is one JSON object: ``settings`` has a number for each control, and the wavetables, LFO shapes, noise sample and
modulations. Controls that a file lacks have Vital's defaults. Facts of vita 0.1.0: ``Synth.to_json``,
``get_control_details`` (https://pypi.org/project/vita).
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from unsynth.synths.note import comment

Json = dict[str, Any]

VERSION = "1.5.5"  # of Vital that opens the files
RATE = 44100
SECONDS = 3.0
OSCILLATORS = LFOS = 2
TABLE = "unsynth shapes"
FRAME, LAST = 2048, 256  # samples of a wave; position of the last in a wavetable
SLOTS, SHAPES, TABLES = 64, 8, 3  # modulations, LFOs and oscillators of Vital

SWITCH = ("off", "on")
MORPHS = (
    "none", "vocode", "formant scale", "harmonic stretch", "inharmonic stretch", "smear", "random amplitudes",
    "low pass", "high pass", "phase disperse", "shepard tone", "spectral time skew",
)  # fmt: skip
WARPS = ("none", "sync", "formant", "quantize", "bend", "squeeze", "pulse")
TO = ("filter 1", "filter 2", "filters 1+2", "effects")
MODELS = ("analog", "dirty", "ladder", "digital", "diode", "formant", "comb", "phaser")
STYLES = tuple(str(number) for number in range(1, 11))  # what each means depends on the model
LFO_MODES = ("trigger", "sync", "envelope")
CLIPS = ("soft clip", "hard clip", "linear fold", "sine fold", "bit crush", "down sample")
LFO_SHAPES = {  # points as x, y pairs; y counts downwards
    "triangle": [0, 1, 0.5, 0, 1, 1],
    "saw up": [0, 1, 1, 0, 1, 1],
    "saw down": [0, 0, 1, 1, 1, 0],
    "square": [0, 0, 0.5, 0, 0.5, 1, 1, 1],
    "steps": [0, 0.5, 0.25, 0.5, 0.25, 0, 0.5, 0, 0.5, 0.75, 0.75, 0.75, 0.75, 0.25, 1, 0.25],
}
ROUTES = (
    ("env_2", "filter_1_cutoff", 1.0),
    ("env_2", "filter_2_cutoff", 1.0),
    ("env_2", "osc_1_distortion_amount", 1.0),
    ("env_2", "osc_2_spectral_morph_amount", 1.0),
    ("env_3", "osc_1_wave_frame", 1.0),
    ("env_3", "osc_2_wave_frame", 1.0),
    ("env_3", "osc_1_transpose", 1 / 3),
    ("env_3", "osc_2_transpose", 1 / 3),
    ("lfo_1", "osc_1_tune", 1 / 3),
    ("lfo_1", "osc_2_tune", 1 / 3),
    ("lfo_1", "filter_1_cutoff", 1 / 3),
    ("lfo_2", "filter_2_cutoff", 1 / 3),
    ("lfo_2", "osc_1_level", 1.0),
    ("lfo_2", "osc_2_level", 1.0),
    ("lfo_2", "osc_1_wave_frame", 1.0),
    ("velocity", "filter_1_cutoff", 1.0),
)


@dataclass(frozen=True)
class Control:
    """One knob: ``value`` in human units is what Vital stores to the power of ``power``.

    ``curve`` bends the unit interval as in :class:`unsynth.params.Param`, on both sides of the middle if negative.
    """

    name: str
    control: str
    low: float = 0.0
    high: float = 1.0
    default: float = 0.0
    unit: str = ""
    power: int = 1
    curve: float = 1.0
    whole: bool = False
    choices: tuple[str, ...] = ()


def _choice(name: str, control: str, choices: tuple[str, ...], default: int = 0) -> Control:
    return Control(name, control, 0, len(choices) - 1, default, choices=choices)


def _seconds(name: str, control: str, default: float, high: float = 4.0) -> Control:
    return Control(name, control, 0, high, default, "s", power=4, curve=0.25)


def _oscillator(n: int) -> list[Control]:
    own, here = f"osc{n}.", f"osc_{n}_"
    return [
        Control(own + "level", here + "level", 0, 1, 0.5 if n == 1 else 0, power=2),
        Control(own + "shape", here + "wave_frame", 0, LAST, 128, "of 256"),
        Control(own + "transpose", here + "transpose", -24, 24, 0, "semitones", whole=True),
        Control(own + "tune", here + "tune", -1, 1, 0, "semitones"),
        Control(own + "phase", here + "phase", default=0.5),
        Control(own + "voices", here + "unison_voices", 1, 7, 1, whole=True),
        Control(own + "detune", here + "unison_detune", 0, 100, 20, "%", power=2, curve=0.5),
        _choice(own + "morph", here + "spectral_morph_type", MORPHS),
        Control(own + "morph_amount", here + "spectral_morph_amount", default=0.5),
        _choice(own + "warp", here + "distortion_type", WARPS),
        Control(own + "warp_amount", here + "distortion_amount", default=0.5),
        _choice(own + "to", here + "destination", TO),
    ]


def _filter(n: int) -> list[Control]:
    own, here = f"filter{n}.", f"filter_{n}_"
    return [
        _choice(own + "model", here + "model", MODELS),
        _choice(own + "style", here + "style", STYLES),
        Control(own + "cutoff", here + "cutoff", 8, 136, 100, "MIDI"),
        Control(own + "resonance", here + "resonance", default=0.3),
        Control(own + "drive", here + "drive", 0, 20, 0, "dB"),
        Control(own + "blend", here + "blend", 0, 2, 0),
        Control(own + "keytrack", here + "keytrack", -1, 1, 0),
        Control(own + "mix", here + "mix", default=1),
    ]


def _envelope(n: int) -> list[Control]:
    own, here = f"env{n}.", f"env_{n}_"
    return [
        _seconds(own + "attack", here + "attack", 0.001),
        _seconds(own + "hold", here + "hold", 0),
        _seconds(own + "decay", here + "decay", 1),
        Control(own + "sustain", here + "sustain", default=1 if n == 1 else 0),
        _seconds(own + "release", here + "release", 0.1),
        Control(own + "decay_curve", here + "decay_power", -20, 20, -2),
    ]


def _lfo(n: int) -> list[Control]:
    own, here = f"lfo{n}.", f"lfo_{n}_"
    return [
        Control(own + "rate", here + "frequency", -7, 5, 1, "octaves from 1 Hz"),
        _choice(own + "shape", here + "shape", tuple(LFO_SHAPES)),
        _choice(own + "mode", here + "sync_type", LFO_MODES),
        Control(own + "phase", here + "phase"),
        Control(own + "delay", here + "delay_time", 0, 2, 0, "s", curve=0.5),
        Control(own + "fade", here + "fade_time", 0, 2, 0, "s", curve=0.5),
    ]


def _routes() -> list[Control]:
    return [
        Control(f"mod.{source}_to_{to}", f"modulation_{slot}_amount", -1, 1, 0, curve=-curve)
        for slot, (source, to, curve) in enumerate(ROUTES, 1)
    ]


CONTROLS = [
    *(control for n in (1, 2) for control in _oscillator(n)),
    Control("noise.level", "sample_level", 0, 1, 0, power=2),
    _choice("noise.to", "sample_destination", TO),
    *(control for n in (1, 2) for control in _filter(n)),
    _choice("filter2.follows_filter1", "filter_2_filter_input", SWITCH),
    *(control for n in (1, 2, 3) for control in _envelope(n)),
    *(control for n in (1, 2) for control in _lfo(n)),
    *_routes(),
    _choice("distortion.on", "distortion_on", SWITCH),
    _choice("distortion.type", "distortion_type", CLIPS),
    Control("distortion.drive", "distortion_drive", -30, 30, 0, "dB"),
    Control("distortion.mix", "distortion_mix", default=1),
    _choice("delay.on", "delay_on", SWITCH),
    Control("delay.rate", "delay_frequency", 0, 9, 2, "octaves from 1 Hz"),
    Control("delay.feedback", "delay_feedback", -0.95, 0.95, 0.4),
    Control("delay.mix", "delay_dry_wet", default=0.3),
    _choice("reverb.on", "reverb_on", SWITCH),
    Control("reverb.size", "reverb_size", default=0.5),
    Control("reverb.decay", "reverb_decay_time", -5, 3, 0, "octaves from 1 s"),
    Control("reverb.mix", "reverb_dry_wet", default=0.25),
]
NOTE = [
    Control("play.note", "", 0, 127, 60, "MIDI", whole=True),
    Control("play.velocity", "", 1, 127, 100, "MIDI", whole=True),
    Control("play.hold", "", 0.01, SECONDS, 1, "s", curve=0.5),
]
FIXED = {  # what makes the subset work, and repeat
    **{f"osc_{n}_{what}": value for n in (1, 2) for what, value in (("on", 1), ("random_phase", 0), ("pan", 0))},
    **{f"osc_{n}_{what}": 0 for n in (1, 2) for what in ("stereo_spread", "spectral_unison")},
    **{f"filter_{n}_on": 1 for n in (1, 2)},
    **{f"lfo_{n}_{what}": 0 for n in (1, 2) for what in ("sync", "smooth_mode")},
    **{"osc_3_on": 0, "sample_on": 1, "sample_random_phase": 0, "delay_sync": 0, "delay_aux_sync": 0},
    **{"velocity_track": 0.5, "polyphony": 1, "beats_per_minute": 2},
    **{f"{effect}_on": 0 for effect in ("chorus", "compressor", "eq", "filter_fx", "flanger", "phaser")},
}


def build(row: list[float], name: str = "unsynth") -> str:
    """The text of the .vital file of human values, in the order of ``CONTROLS`` and ``NOTE``."""
    sounds, (note, velocity, hold) = row[: len(CONTROLS)], row[len(CONTROLS) :]
    values = {c.control: stored(c, value) for c, value in zip(CONTROLS, sounds, strict=True)}
    shapes = [list(LFO_SHAPES)[round(values.pop(f"lfo_{n}_shape"))] for n in (1, 2)]
    routes = [{"source": source, "destination": to} for source, to, _ in ROUTES]
    settings = {
        **FIXED,
        **values,
        "lfos": [_points(shape) for shape in shapes + ["triangle"] * (SHAPES - LFOS)],
        "modulations": routes + [{"source": "", "destination": ""}] * (SLOTS - len(ROUTES)),
        "sample": _noise(),
        "wavetables": [_table()] * TABLES,
    }
    head = {"author": "unsynth", "comments": comment(note, velocity, hold), "preset_name": name, "preset_style": ""}
    macros = {f"macro{n}": f"MACRO {n}" for n in range(1, 5)}
    return json.dumps({**head, **macros, "synth_version": VERSION, "settings": settings})


def stored(control: Control, value: float) -> float:
    """What Vital stores for a human value."""
    return float(value if control.power == 1 else max(value, 0.0) ** (1 / control.power))


def human(control: Control, number: float) -> float:
    """The inverse of :func:`stored`."""
    return float(np.clip(number, -1e6, 1e6) ** control.power)


def _points(shape: str) -> Json:
    points = LFO_SHAPES[shape]
    count = len(points) // 2
    return {"name": shape, "num_points": count, "points": points, "powers": [0.0] * count, "smooth": False}


@cache
def _table() -> Json:
    """Sine, triangle, saw, square and a narrow pulse, with everything between them."""
    time = np.arange(FRAME) / FRAME
    triangle = 2 * np.abs(2 * ((time - 0.25) % 1) - 1) - 1
    waves = [np.sin(2 * np.pi * time), triangle, 1 - 2 * time, np.sign(0.5 - time), np.sign(0.1 - time)]
    frames = [
        {"position": LAST // (len(waves) - 1) * i, "wave_data": _text(wave, "<f4")} for i, wave in enumerate(waves)
    ]
    source = {"type": "Wave Source", "interpolation": 1, "interpolation_style": 1, "keyframes": frames}
    head = {"author": "", "name": TABLE, "full_normalize": True, "remove_all_dc": True, "version": VERSION}
    return {**head, "groups": [{"components": [source]}]}


@cache
def _noise(seed: int = 0, level: float = 0.3) -> Json:
    noise = np.random.default_rng(seed).standard_normal(RATE) * level
    samples = (noise.clip(-1, 1) * (2**15 - 1)).round()
    return {"name": "White Noise", "length": RATE, "sample_rate": RATE, "samples": _text(samples, "<i2")}


def _text(numbers: np.ndarray, kind: str) -> str:
    return base64.b64encode(numbers.astype(kind).tobytes()).decode()
