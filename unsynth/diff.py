"""What sets two patches apart: in words for what is heard, and by the parameters that make it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from unsynth import audio, distances
from unsynth.base import Audio, Synth
from unsynth.pitch import clear_tracks
from unsynth.presets import NOTES, PITCH
from unsynth.presets.saved import Preset
from unsynth.report.features import features
from unsynth.report.loudness import levelled
from unsynth.report.words import contrasts
from unsynth.search.influence import carried
from unsynth.synths import synth as synth_of

TRIED = 64  # parameters that are carried over to be heard, those that differ most
AUDIBLE_DB = 0.1  # spectral distance that is heard


@dataclass(frozen=True)
class Move:
    """A parameter that two patches have at other values, as musicians read them.

    ``decibels`` is the spectral distance that it makes when it alone is as in the second; NaN where that was not tried.
    """

    name: str
    one: str
    other: str
    decibels: float


@dataclass(frozen=True)
class Difference:
    """How a patch differs from another.

    Args:
        words: how it sounds beside the other, the largest difference first: in words, and in numbers.
        mss: spectral distance of the two sounds in dB, at one loudness.
        moves: parameters of other values, the most heard first; None where the two are of different synths.
    """

    words: list[tuple[str, str]]
    mss: float
    moves: list[Move] | None

    @property
    def heard(self) -> list[Move]:
        """Of ``moves``, those that are heard alone."""
        return [move for move in self.moves or [] if move.decibels > AUDIBLE_DB]


def difference(one: Preset, other: Preset) -> Difference:
    """How ``other`` differs from ``one``, both played as they are. UsageError, EngineError where one has no engine."""
    synths = synth_of(one.synth), synth_of(other.synth)
    rate = synths[0].rate
    sounds = levelled([_played(synth, it, rate) for synth, it in zip(synths, (one, other), strict=True)], rate)
    found = features(sounds, rate, clear_tracks(sounds, rate))
    first, second = ({name: float(values[i]) for name, values in found.items()} for i in range(2))
    moves = _moves(synths[0], one, other) if one.synth == other.synth else None
    return Difference(contrasts(first, second), float(distances.mss(sounds[:1], sounds[1:])), moves)


def at_note_of(preset: Preset, first: Preset) -> Preset:
    """``preset`` at the pitch, velocity and length of ``first``, as far as both synths have these."""
    spec, given = synth_of(preset.synth).spec, synth_of(first.synth).spec
    human, wanted = spec.to_human(preset.params), given.to_human(first.params)
    names = (NOTES.get(it.synth, (PITCH["voice"],)) for it in (preset, first))
    for name, source in zip(*names, strict=False):
        if name in spec.names and source in given.names:
            human[spec.index(name)] = wanted[given.index(source)]
    changed = human != spec.to_human(preset.params)
    return replace(preset, params=torch.where(changed, spec.to_unit(human), preset.params))


def _played(synth: Synth, preset: Preset, rate: int) -> Float[Tensor, " time"]:
    sound = _render(synth, preset)[0]
    return sound if synth.rate == rate else audio.from_array(sound, synth.rate, rate, synth.seconds)


def _render(synth: Synth, preset: Preset) -> Audio:
    return synth.render(preset.params[None], torch.tensor([preset.noise]))


def _moves(synth: Synth, one: Preset, other: Preset) -> list[Move]:
    before, after = (_texts(synth, preset) for preset in (one, other))
    apart = torch.tensor([i for i in range(len(before)) if before[i] != after[i]], dtype=torch.long)
    heard = _heard(synth, one, other, apart)
    moves = [Move(synth.spec.names[i], before[i], after[i], heard.get(i, math.nan)) for i in apart.tolist()]
    return sorted(moves, key=lambda move: -math.inf if math.isnan(move.decibels) else move.decibels, reverse=True)


def _texts(synth: Synth, preset: Preset) -> list[str]:
    human = synth.spec.to_human(preset.params).tolist()
    return [synth.spec.text(i, value) for i, value in enumerate(human)]


def _heard(synth: Synth, one: Preset, other: Preset, apart: Int64[Tensor, " column"]) -> dict[int, float]:
    """Of those columns that differ most: how much each is heard."""
    if not len(apart):
        return {}
    sizes = (other.params - one.params).abs()[apart]
    columns = apart[sizes.argsort(descending=True)[:TRIED]]
    return dict(zip(columns.tolist(), carried(synth, one.params, other.params, columns).tolist(), strict=True))
