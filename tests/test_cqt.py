"""The constant-Q transform against its definition, librosa, and what it has to do with sines and clicks."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch

from unsynth.base import UsageError
from unsynth.frontends.cqt import Cqt

RATE = 44_100
F_MIN = 27.5


def plain(bands_per_octave: int = 24, octaves: float = 9.5, hop: int = 512, gamma: float = 0.0) -> Cqt:
    return Cqt(bands_per_octave, octaves, hop=hop, gamma=gamma, offset=0, scale=1)


def sines(hertz: torch.Tensor, seconds: float = 2.0) -> torch.Tensor:
    return 0.5 * torch.sin(2 * torch.pi * hertz[:, None] * torch.arange(round(seconds * RATE)).double() / RATE).float()


def mixture(length: int = 60_000) -> np.ndarray:
    t = np.arange(length) / RATE
    tones = sum(np.sin(2 * np.pi * hz * t * (1 + 0.02 * t)) for hz in (55.0, 261.6, 1_700.0, 9_000.0))
    return 0.1 * tones * np.exp(-2 * t) + 0.02 * np.random.default_rng(0).normal(size=length)


@pytest.mark.parametrize("gamma", [0.0, 7.0])
def test_is_its_definition(gamma):
    """Sums over samples with a Gaussian of the noise bandwidth of a Hann window, evaluated in float64."""
    audio = mixture()
    found = plain(gamma=gamma)(torch.from_numpy(audio).float()[None])[0]
    for band in (0, 31, 90, 160, 227):
        centre = F_MIN * 2 ** (band / 24)
        length = RATE / (np.tanh(np.log(2) / 24) * centre + gamma)
        for frame in (0, 40, 100, found.shape[1] - 1):
            time = np.arange(len(audio)) - frame * 512
            deviation = length / (3 * np.sqrt(np.pi))
            window = np.exp(-((time / deviation) ** 2) / 2) / (deviation * np.sqrt(2 * np.pi))
            value = np.sqrt(length) * np.sum(audio * window * np.exp(-2j * np.pi * centre * time / RATE))
            assert float(found[band, frame]) == pytest.approx(20 * np.log10(abs(value)), abs=0.05)


@pytest.mark.parametrize("gamma", [0.0, 7.0])
def test_is_librosas_with_the_same_window(gamma):
    """librosa cuts windows off; in one twice as long, the same Gaussian is whole."""

    def gaussian(length: int) -> np.ndarray:
        return np.exp(-(((np.arange(length) - length // 2) * 3 * np.sqrt(np.pi) / (length / 2)) ** 2) / 2)

    audio = mixture()
    truth = librosa.vqt(
        audio, sr=RATE, hop_length=512, fmin=880, n_bins=48, bins_per_octave=24, gamma=gamma, filter_scale=2,
        window=gaussian, sparsity=0,
    )  # fmt: skip
    frontend = Cqt(24, 2, f_min=880, hop=512, gamma=gamma, offset=0, scale=1)
    found = frontend(torch.from_numpy(audio).float()[None])[0].numpy()[:, 8:-8]
    truth = 20 * np.log10(np.abs(truth) / np.sqrt(2))[:, 8 : found.shape[1] + 8]
    loud = truth > truth.max() - 40
    assert loud.mean() > 0.5
    assert np.abs(found - truth)[loud].mean() < 0.1
    assert np.abs(found - truth)[loud].max() < 1.5


def test_is_near_librosas_default():
    audio = mixture()
    truth = librosa.cqt(audio, sr=RATE, hop_length=512, fmin=F_MIN, n_bins=168, bins_per_octave=24)
    found = plain(octaves=7)(torch.from_numpy(audio).float()[None])[0].numpy()
    truth = 20 * np.log10(np.abs(truth))[:, : found.shape[1]]
    loud = truth > truth.max() - 30
    assert np.abs(found - truth)[loud].mean() < 1.5


@pytest.mark.parametrize("bands_per_octave", [24, 36])
def test_a_pitch_peaks_in_its_band_at_the_same_level(bands_per_octave):
    bands = torch.arange(0, round(9.5 * bands_per_octave), 19)
    centres = F_MIN * 2 ** (bands / bands_per_octave)
    middle = plain(bands_per_octave)(sines(centres))[:, :, 86]
    assert torch.equal(middle.argmax(1), bands)
    length = RATE / (np.tanh(np.log(2) / bands_per_octave) * centres)
    torch.testing.assert_close(middle.amax(1), 20 * torch.log10(length.sqrt() / 4), atol=0.05, rtol=0)


def test_silence_and_the_time_far_from_a_click_are_the_floor():
    audio = torch.zeros(2, RATE)
    audio[1, RATE // 2] = 1
    frames = plain()(audio)
    assert (frames[0] == -100).all()
    assert int(frames[1, 150].argmax()) == pytest.approx(RATE / 2 / 512, abs=1)
    assert frames[1, 150:, [0, -1]].max() == -100


def test_beyond_the_nyquist_frequency_is_explained():
    with pytest.raises(UsageError, match="below 22050 Hz"):
        Cqt(octaves=10)
