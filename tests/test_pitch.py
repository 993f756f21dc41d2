"""Pitch errors of tones whose pitch is known."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from evaluated import row

from unsynth.benchmark import pitch
from unsynth.benchmark.pitch import PitchError

RATE = 44_100


def tone(hertz, seconds=0.5, silence=0.3):
    """Three harmonics, then silence."""
    time = torch.arange(round(RATE * seconds)) / RATE
    partials = sum(torch.sin(2 * math.pi * k * hertz * time) / k for k in (1, 2, 3))
    return torch.nn.functional.pad(0.3 * partials, (0, round(RATE * silence)))


@pytest.fixture(scope="module")
def tracks():
    return {hertz: pitch.track(tone(hertz), RATE) for hertz in (220, 440)}


def test_a_tone_has_its_frequency_and_silence_none(tracks):
    found = tracks[220]
    assert pitch.is_pitched(found, tone(220))
    assert np.nanmedian(found) == pytest.approx(220, rel=2**0.005 - 1)
    assert np.isnan(found[-6:]).all()


def test_an_octave_is_1200_cents_either_way(tracks):
    assert pitch.cents(tracks[220], tracks[440]) == pytest.approx(1200, abs=10)
    assert pitch.cents(tracks[440], tracks[220]) == pytest.approx(1200, abs=10)


def test_a_third_of_a_semitone_is_heard(tracks):
    detuned = pitch.track(tone(440 * 2 ** (30 / 1200)), RATE)
    assert pitch.cents(tracks[440], detuned) == pytest.approx(30, abs=10)


def test_noise_and_silence_have_no_pitch(tracks):
    noise = torch.randn(RATE // 3, generator=torch.Generator().manual_seed(0))
    found = pitch.track(noise, RATE)
    assert not pitch.is_pitched(found, noise)
    assert pitch.cents(tracks[440][: len(found)], found) == math.inf
    assert not pitch.is_pitched(np.full(44, np.nan), torch.zeros(RATE))


class Player:
    """Stands for a replay whose targets are a tone and noise, and whose matches are an octave too high."""

    class synth:
        rate = RATE

    def target(self, found):
        return (tone(220) if found.target == "tone" else torch.ones(RATE))[None]

    def match(self, found):
        return tone(440)[None]


def test_only_pitched_targets_of_rows_with_patches_are_measured(tracks, monkeypatch):
    silent = np.full_like(tracks[220], np.nan)

    def track(sound, rate):
        return next((found for hertz, found in tracks.items() if torch.equal(sound, tone(hertz))), silent)

    monkeypatch.setattr(pitch, "track", track)
    rows = [dataclasses.replace(row("a", target, 1), params=[0.5]) for target in ("tone", "noise")]
    (found,) = pitch.errors([*rows, row("b", "tone", 1)], Player())
    assert found.arm == "a"
    assert found.cents == pytest.approx(1200, abs=10)


def test_table_counts_what_is_near_and_what_lost_its_pitch():
    found = [PitchError("a", value) for value in (10.0, 20.0, 60.0, math.inf)] + [PitchError("b", math.inf)]
    _, first, second = pitch.pitch_cells([row("a", "t", 1), row("b", "t", 1), row("c", "t", 1)], found)
    assert first == ["a", "4", "40.0", "50 (15-85) %", "1"]
    assert second == ["b", "1", "–", "0 (0-79) %", "1"]
