"""The filter bank by its physics: it gives the audio back, keeps energy, and puts each frequency in its band."""

from __future__ import annotations

import pytest
import torch

from unsynth.frontends.pqmf import Pqmf

RATE = 44_100
BANDS = (2, 8, 16, 64)


def noise(length: int) -> torch.Tensor:
    return torch.randn(2, length, generator=torch.Generator().manual_seed(0))


def snr(truth: torch.Tensor, found: torch.Tensor) -> float:
    return float(10 * torch.log10(truth.square().sum() / (truth - found).square().sum()))


@pytest.mark.parametrize("bands", BANDS)
@pytest.mark.parametrize("length", [1, 7, 1_000, 20_001])
def test_gives_the_audio_back(bands, length):
    filters, audio = Pqmf(bands), noise(length)
    assert snr(audio, filters.synthesise(filters(audio), length)) > 60


@pytest.mark.parametrize("bands", BANDS)
def test_gives_a_sweep_back_at_every_frequency(bands):
    """Aliases of a sine lie elsewhere, so what a sweep leaves over is nowhere above -54 dB."""
    time = torch.arange(RATE, dtype=torch.float64) / RATE
    sweep = torch.sin(torch.pi * (RATE / 2) * time.square())[None].float()
    filters = Pqmf(bands)
    rest = filters.synthesise(filters(sweep), RATE) - sweep
    spectra = [torch.stft(x, 1024, window=torch.hann_window(1024), return_complex=True).abs() for x in (rest, sweep)]
    assert spectra[0].max() < 2e-3 * spectra[1].max()


@pytest.mark.parametrize("bands", BANDS)
def test_keeps_energy(bands):
    audio = noise(10_000)
    energy = Pqmf(bands, scale=1)(audio).square().sum()
    torch.testing.assert_close(energy, audio.square().sum(), rtol=1e-3, atol=0)


@pytest.mark.parametrize("bands", BANDS)
def test_a_sine_is_in_its_band_and_80_db_down_past_its_neighbours(bands):
    centres = (torch.arange(bands) + 0.5) * RATE / (2 * bands)
    time = torch.arange(RATE // 2, dtype=torch.float64) / RATE
    sines = torch.sin(2 * torch.pi * centres[:, None] * time).float()
    level = Pqmf(bands)(sines)[..., 20:-20].square().mean(-1).log10() * 10
    loudest = level.diagonal()
    assert (level.argmax(1) == torch.arange(bands)).all()
    far = (torch.arange(bands)[:, None] - torch.arange(bands)).abs() > 1
    assert ((level - loudest[:, None])[far] < -80).all()


def test_synthesis_is_the_transpose_of_analysis():
    filters, audio = Pqmf(8, scale=1), noise(501)
    bands = filters(audio)
    other = torch.randn(bands.shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close((bands * other).sum(), (audio * filters.synthesise(other, 501)).sum(), rtol=1e-4, atol=0)


def test_frames_are_where_the_docstring_says():
    click = torch.zeros(1, 4_000)
    click[0, 2_000] = 1
    filters = Pqmf(16)
    energy = filters(click)[0].square().sum(0)
    centre = float((energy * torch.arange(len(energy))).sum() / energy.sum())
    assert (centre + 1) / filters.frame_rate - 80 / RATE == pytest.approx(2_000 / RATE, abs=2 / RATE)
