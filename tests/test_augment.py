"""Augmentations: each does what its name says to a known sound, to some sounds, and always the same by its generator."""

import math

import pytest
import torch

from unsynth.sounds import augment as a

RATE = 44100


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def sine(rows=4, hertz=1000.0, seconds=0.5):
    time = torch.arange(round(RATE * seconds)) / RATE
    return 0.5 * torch.sin(2 * math.pi * hertz * time).expand(rows, -1).clone()


@pytest.mark.parametrize("effect", a.Augment.effects)
def test_an_effect_changes_the_sound_keeps_its_shape_and_repeats(effect):
    x = sine()
    changed = effect(x, draws())
    assert changed.shape == x.shape
    assert changed.isfinite().all()
    assert not torch.equal(changed, x)
    assert torch.equal(changed, effect(x, draws()))
    assert torch.equal(x, sine())
    assert effect(torch.zeros(2, 1000), draws()).abs().max() == 0  # silence stays silence


def level(x):
    return 20 * x.square().mean(1).sqrt().log10()


def test_gain_is_within_its_decibels():
    change = level(a.gain(sine(64), draws())) - level(sine(64))
    assert -24 <= change.min() < -15
    assert 0 < change.max() <= 6
    assert torch.allclose(
        a.gain(sine(), draws()) / a.gain(sine(), draws()).abs().amax(1, True), sine() / 0.5, atol=1e-4
    )


def test_noise_is_so_far_under_the_peak():
    added = a.noise(sine(8), draws(), low=40, high=40) - sine(8)
    assert torch.allclose(level(added), 20 * torch.tensor(0.5).log10() - 40, atol=0.3)


def test_saturation_keeps_the_peak_and_adds_odd_harmonics_only():
    spectrum = torch.fft.rfft(a.saturate(sine(1), draws(), low=12, high=12)[0]).abs()
    harmonics = [float(spectrum[round(n * 1000 * 0.5)] / spectrum[500]) for n in (2, 3)]
    assert harmonics[0] < 1e-3
    assert harmonics[1] > 0.05
    assert torch.allclose(a.saturate(sine(), draws()).abs().amax(1), sine().abs().amax(1), atol=1e-4)


def test_a_cut_ends_in_silence_and_leaves_the_beginning():
    changed = a.cut(sine(), draws(), shortest=0.4)
    begin = round(0.4 * sine().shape[1])
    assert torch.equal(changed[:, :begin], sine()[:, :begin])
    assert (a.cut(sine(64), draws())[:, -1] == 0).float().mean() > 0.9


def test_lateness_shifts():
    x = torch.zeros(2, 2000)
    x[:, 0] = 1
    onset = a.late(x, draws(3)).argmax(1)
    assert onset[0] == onset[1]
    assert 0 < onset[0] < 900


def test_reverberation_comes_after_and_is_weaker():
    click = torch.zeros(1, 20000)
    click[0, 0] = 1
    wet = a.reverberate(click, draws(), low=-20, high=-20)[0]
    assert wet[0] == 1
    assert 3 < wet.count_nonzero() <= 13
    assert wet[1:].abs().max() < 0.2


def test_a_degraded_sound_has_few_levels():
    assert len(a.degrade(sine(1), draws(), low=4, high=4).unique()) <= 2 * 16 + 1


def test_augmentation_touches_only_its_share():
    x = sine(64, seconds=0.1)
    changed = a.Augment(probability=0.9, untouched=0.25)(x, draws())
    assert torch.equal(changed[:16], x[:16])
    assert (changed[16:] != x[16:]).any(1).all()
    assert torch.equal(a.Augment(probability=0.0)(x, draws()), x)
