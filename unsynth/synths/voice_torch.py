"""The Voice's parameters and its graph in torch: ``control`` turns parameters into five control signals and eleven
scalars, ``audio`` turns those into sound. The other backends have the same two halves."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from unsynth.base import Audio, Params, SoundIds
from unsynth.params import Param, ParamSpec
from unsynth.synths import modules as m

SOURCES = ("adsr_1", "adsr_2", "lfo_1", "lfo_2")
DESTINATIONS = ("vco_1_pitch", "vco_1_amp", "vco_2_pitch", "vco_2_amp", "noise_amp")
WAVES = ("sin", "tri", "saw", "rsaw", "sqr")
ENVELOPES = ("adsr_1", "adsr_2", "lfo_1_amp_adsr", "lfo_2_amp_adsr", "lfo_1_rate_adsr", "lfo_2_rate_adsr")

Signals = Float[Tensor, "batch 5 frame"]  # in the order of DESTINATIONS
Scalars = Float[Tensor, "batch 11"]  # pitch, depth, phase of each VCO; shape, hardness; three mixer levels


def _adsr(name: str) -> list[Param]:
    return [
        Param(f"{name}.attack", 0, 2, "s", 0.5),
        Param(f"{name}.decay", 0, 2, "s", 0.5),
        Param(f"{name}.sustain"),
        Param(f"{name}.release", 0, 5, "s", 0.5),
        Param(f"{name}.alpha", 0.1, 6),
    ]


def _lfo(name: str) -> list[Param]:
    return [
        Param(f"{name}.frequency", 0, 20, "Hz", 0.25),
        Param(f"{name}.mod_depth", -10, 20, "Hz", 0.5, symmetric=True),
        Param(f"{name}.initial_phase", -m.PI, m.PI, "rad"),
        *(Param(f"{name}.{wave}") for wave in WAVES),
    ]


def _vco(name: str) -> list[Param]:
    return [
        Param(f"{name}.tuning", -24, 24, "semitones"),
        Param(f"{name}.mod_depth", -96, 96, "semitones", 0.2, symmetric=True),
        Param(f"{name}.initial_phase", -m.PI, m.PI, "rad"),
    ]


def _params() -> list[Param]:
    adsr, lfos = [p for e in ENVELOPES for p in _adsr(e)], _lfo("lfo_1") + _lfo("lfo_2")
    matrix = [Param(f"mod_matrix.{s}->{d}", curve=0.5) for s in SOURCES for d in DESTINATIONS]
    mixer = [Param("mixer.vco_1"), Param("mixer.vco_2"), Param("mixer.noise", curve=0.025)]
    keyboard = [Param("keyboard.midi_f0", 0, 127, "MIDI"), Param("keyboard.duration", 0.01, 4, "s", 0.5)]
    vcos = [*_vco("vco_1"), *_vco("vco_2"), Param("vco_2.shape")]
    return [*keyboard, *adsr[:10], *lfos, *adsr[10:], *matrix, *vcos, *mixer]


def _twins(params: list[Param], *pairs: tuple[str, str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    names = [p.name for p in params]
    left = [i for i, n in enumerate(names) for a, _ in pairs if n.startswith(a)]
    swapped = dict(pairs)
    right = [
        names.index(next(n.replace(a, b, 1) for a, b in swapped.items() if n.startswith(a)))
        for n in (names[i] for i in left)
    ]
    return tuple(left), tuple(right)


def _spec() -> ParamSpec:
    params = _params()
    envelopes = _twins(params, ("adsr_1.", "adsr_2."), ("mod_matrix.adsr_1->", "mod_matrix.adsr_2->"))
    lfos = _twins(
        params,
        ("lfo_1.", "lfo_2."),
        ("lfo_1_amp_adsr.", "lfo_2_amp_adsr."),
        ("lfo_1_rate_adsr.", "lfo_2_rate_adsr."),
        ("mod_matrix.lfo_1->", "mod_matrix.lfo_2->"),
    )
    return ParamSpec("voice", params, (envelopes, lfos))


SPEC = _spec()
_COLUMN = {name: i for i, name in enumerate(SPEC.names)}


def control(params: Params) -> tuple[Signals, Scalars]:
    """Control signals and scalars of each patch (VOICE graph up to the modulation matrix)."""
    human = SPEC.to_human(params)

    def get(*names: str) -> list[Tensor]:
        return [human[:, _COLUMN[n], None] for n in names]

    def envelope(name: str) -> m.Control:
        note, attack, decay, sustain, release, alpha = get("keyboard.duration", *(p.name for p in _adsr(name)))
        return m.adsr(note, attack, decay, sustain, release, alpha)

    def oscillator(name: str) -> m.Control:
        waves = torch.cat(get(*(f"{name}.{w}" for w in WAVES)), dim=1)
        frequency, depth, phase = get(f"{name}.frequency", f"{name}.mod_depth", f"{name}.initial_phase")
        return m.lfo(frequency, depth, phase, envelope(f"{name}_rate_adsr"), waves) * envelope(f"{name}_amp_adsr")

    sources = torch.stack([envelope("adsr_1"), envelope("adsr_2"), oscillator("lfo_1"), oscillator("lfo_2")], dim=1)
    signals = [
        m.fma_chain(torch.cat(get(*(f"mod_matrix.{s}->{d}" for s in SOURCES)), dim=1), sources) for d in DESTINATIONS
    ]
    (midi,) = get("keyboard.midi_f0")
    tuning_1, depth_1, phase_1 = get(*(p.name for p in _vco("vco_1")))
    tuning_2, depth_2, phase_2, shape = get(*(p.name for p in _vco("vco_2")), "vco_2.shape")
    hard = m.hardness(midi + tuning_2, depth_2)
    levels = get("mixer.vco_1", "mixer.vco_2", "mixer.noise")
    scalars = [midi + tuning_1, depth_1, phase_1, midi + tuning_2, depth_2, phase_2, shape, hard, *levels]
    return torch.stack(signals, dim=1), torch.cat(scalars, dim=1)


def audio(signals: Signals, scalars: Scalars, rows: Float[Tensor, "batch time"]) -> Audio:
    """Sound of control signals: two oscillators and noise, mixed, peak at most 1."""
    midi_1, depth_1, phase_1, midi_2, depth_2, phase_2, shape, hard, *levels = scalars[:, :, None].unbind(1)
    pitch_1, amp_1, pitch_2, amp_2, amp_noise = m.upsample(signals).unbind(1)
    sine = torch.cos(m.phase(midi_1, depth_1, phase_1, pitch_1)) * amp_1
    square_saw = m.square_saw(m.phase(midi_2, depth_2, phase_2, pitch_2), shape, hard) * amp_2
    return m.limit_peak(levels[0] * sine + levels[1] * square_saw + levels[2] * (rows * amp_noise))


def render_torch(params: Params, noise: SoundIds) -> Audio:
    """The torch backend: any device, differentiable, finite gradients everywhere in [0, 1]."""
    bank = m.noise_rows(str(params.device))
    return audio(*control(params), bank[noise.to(params.device) % len(bank)])
