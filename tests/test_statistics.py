"""Statistics and cepstrum against librosa, on frames that do not reach beyond the ends."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch

from unsynth.frontends.statistics import STATISTICS, Mfcc, Statistics

RATE, N_FFT, HOP = 44_100, 2048, 441


def sounds() -> torch.Tensor:
    """A chord, decaying noise, a sine and a click in faint noise."""
    t = np.arange(20_000) / RATE
    noise = np.random.default_rng(0).normal(size=len(t))
    chord = 0.3 * np.sin(2 * np.pi * 220 * t) + 0.1 * np.sin(2 * np.pi * 3_100 * t)
    click = 1e-3 * noise
    click[10_000] = 1
    batch = [chord + 1e-3 * noise, 0.3 * noise * np.exp(-10 * t), 0.5 * np.sin(2 * np.pi * 1_000 * t), click]
    return torch.from_numpy(np.stack(batch).astype(np.float32))


def reference(name: str, audio: np.ndarray) -> np.ndarray:
    frame, nyquist = {"frame_length": N_FFT, "hop_length": HOP}, RATE / 2
    spectrum = np.abs(librosa.stft(audio, n_fft=N_FFT, hop_length=HOP, pad_mode="constant"))
    padded = np.pad(audio, N_FFT // 2)
    feature = librosa.feature
    return {
        "rms": lambda: 20 * np.log10(feature.rms(y=audio, **frame)),
        "peak": lambda: 20 * np.log10(np.abs(librosa.util.frame(padded, **frame)).max(0)),
        "crossings": lambda: feature.zero_crossing_rate(audio, **frame),
        "flatness": lambda: 10 * np.log10(feature.spectral_flatness(S=spectrum)),
        "centroid": lambda: feature.spectral_centroid(S=spectrum, sr=RATE) / nyquist,
        "bandwidth": lambda: feature.spectral_bandwidth(S=spectrum, sr=RATE) / nyquist,
        "rolloff": lambda: feature.spectral_rolloff(S=spectrum, sr=RATE) / nyquist,
    }[name]()


@pytest.mark.parametrize("name", STATISTICS)
def test_statistics_are_librosas(name):
    statistics = Statistics(N_FFT, HOP, mean=(0.0,) * 7, deviation=(1.0,) * 7)
    found = statistics(sounds())[:, STATISTICS.index(name), 3:-3]
    truth = np.stack([reference(name, audio).reshape(-1)[3:-3] for audio in sounds().double().numpy()])
    tolerance = 0.02 if name in ("rms", "peak", "flatness") else 2e-3
    np.testing.assert_allclose(found, truth, atol=tolerance)


def test_silence_is_the_floor_and_flat():
    found = Statistics(mean=(0.0,) * 7, deviation=(1.0,) * 7)(torch.zeros(1, 5_000))[0]
    expected = torch.tensor([-100, -100, 0, 0, 0.5, 1 / 12**0.5, 0.85])[:, None].expand_as(found)
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


def test_normalisation_is_per_statistic():
    plain = Statistics(mean=(0.0,) * 7, deviation=(1.0,) * 7)(sounds())
    found = Statistics(mean=tuple(range(7)), deviation=tuple(range(1, 8)))(sounds())
    torch.testing.assert_close(found, (plain - torch.arange(7)[:, None]) / torch.arange(1, 8)[:, None])


def test_mfcc_is_librosas():
    audio = sounds()
    mel = librosa.feature.melspectrogram(
        y=audio.double().numpy(), sr=RATE, n_fft=N_FFT, hop_length=HOP, n_mels=128, pad_mode="constant"
    )
    truth = librosa.feature.mfcc(S=10 * np.log10(np.maximum(mel, 1e-10)), n_mfcc=13) / 128**0.5
    found = Mfcc(13, N_FFT, HOP, mean=(0.0,) * 13, deviation=(1.0,) * 13)(audio)
    np.testing.assert_allclose(found, truth, atol=0.01)
    shifted = Mfcc(13, N_FFT, HOP, mean=(5.0,) * 13, deviation=(2.0,) * 13)(audio)
    torch.testing.assert_close(shifted, (found - 5) / 2, atol=1e-3, rtol=0)
