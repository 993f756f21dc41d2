"""What a search makes small: transport beside spectra, and sounds that are hardly or not at all there."""

import pytest
import torch

from unsynth.search.objective import MatchDistance, SpectralDistance


def test_a_tail_that_spectra_do_not_hear_counts():
    time = torch.arange(44100) / 44100
    ended = torch.sin(2 * torch.pi * 440 * time) * (time < 0.5)
    tail = ended + 1e-6 * torch.sin(2 * torch.pi * 440 * time)
    sounds = torch.stack([ended, tail])
    assert SpectralDistance(ended[None])(sounds).max() < 0.05
    first, second = MatchDistance(ended[None], transport=2.0)(sounds).tolist()
    assert first == pytest.approx(0, abs=1e-3)
    assert second == pytest.approx(2 * 0.5, abs=0.1)


def test_a_tail_of_subnormal_numbers_is_silence():
    """As it is where kernels flush them to zero, so that a decay does not end in frames that nobody counts."""
    sine = torch.sin(2 * torch.pi * 440 * torch.arange(44100) / 44100)[None]
    ended = sine * (torch.arange(44100) < 20000)
    fading = torch.where(ended == 0, 1e-40 * sine, ended)
    distance = MatchDistance(sine, transport=3.0)
    torch.testing.assert_close(distance(fading), distance(ended), rtol=0.01, atol=0.01)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", [0, 1234, 8819])
def test_what_is_not_finite_has_no_distance(value, place):
    sounds = torch.sin(2 * torch.pi * 440 * torch.arange(8820) / 44100).repeat(3, 1)
    target = sounds[:1].clone()
    sounds[1, place] = value
    for found in (*SpectralDistance(target).both(sounds), SpectralDistance(target)(sounds)):
        assert found.isfinite().tolist() == [True, False, True]


@pytest.mark.parametrize("level", [1e-34, 1e-36, 1e-38, 1e-42])
def test_a_sound_just_above_nothing_has_a_distance(level):
    sine = torch.sin(2 * torch.pi * 440 * torch.arange(8820) / 44100)[None]
    assert MatchDistance(sine)(level * sine).isfinite()


def test_silence_for_a_sound_is_charged():
    sine = torch.cos(2 * torch.pi * 440 * torch.arange(8820) / 44100)[None]
    for audio in (sine * (torch.arange(8820) < 4410), sine[:, :4000], sine[:, :1]):
        spectral, moved = SpectralDistance(sine).both(audio)
        torch.testing.assert_close(MatchDistance(sine, transport=3.0)(audio), spectral + 3 * moved)
    assert SpectralDistance(sine).both(torch.zeros_like(sine))[1] > 0.9
