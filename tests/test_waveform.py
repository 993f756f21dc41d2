"""The waveform front end: the samples themselves, or what a good resampler makes of them."""

from __future__ import annotations

import pytest
import soxr
import torch

from unsynth.frontends.waveform import Waveform

RATE = 44_100


def sine(hz: float, rate: float = RATE, seconds: float = 0.5) -> torch.Tensor:
    return torch.sin(2 * torch.pi * hz * torch.arange(round(seconds * rate), dtype=torch.float64) / rate)[None].float()


def samples(frames: torch.Tensor) -> torch.Tensor:
    return frames.mT.flatten(1)


@pytest.mark.parametrize("length", [1, 16, 17, 1_000])
def test_without_decimation_it_is_the_samples(length):
    audio = torch.randn(2, length, generator=torch.Generator().manual_seed(0))
    found = samples(Waveform(16, scale=1)(audio))
    assert torch.equal(found[:, :length], audio)
    assert (found[:, length:] == 0).all()


@pytest.mark.parametrize("decimation", [2, 3, 8])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.8])
def test_what_fits_is_kept_in_place(decimation, share):
    hz = share * RATE / (2 * decimation)
    found = samples(Waveform(16, decimation, scale=1)(sine(hz)))
    truth = sine(hz, RATE / decimation)
    inside = slice(100, truth.shape[-1] - 100)
    torch.testing.assert_close(found[:, inside], truth[:, inside], atol=1e-3, rtol=0)


@pytest.mark.parametrize("decimation", [2, 3, 8])
@pytest.mark.parametrize("share", [1.0, 1.3, 1.95])
def test_what_would_alias_is_gone(decimation, share):
    found = samples(Waveform(16, decimation, scale=1)(sine(share * RATE / (2 * decimation))))[:, 100:-100]
    assert found.abs().max() < 2e-4


def test_like_soxr():
    audio = torch.randn(1, RATE, generator=torch.Generator().manual_seed(0)).cumsum(-1) / 100
    audio = audio * torch.hann_window(RATE)
    truth = torch.from_numpy(soxr.resample(audio[0].numpy(), RATE, RATE / 4, "VHQ"))
    found = samples(Waveform(16, 4, scale=1)(audio))[0, : len(truth)]
    assert (found - truth).square().mean().sqrt() < 3e-3 * truth.square().mean().sqrt()


def test_rates():
    assert Waveform(16).frame_rate == pytest.approx(RATE / 16)
    assert Waveform(16, 4).frame_rate == pytest.approx(RATE / 64)
