"""The metrics against librosa and dtw-python, and the quirks that the docstring promises."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch
from dtw import dtw as dtw_python
from hypothesis import given, settings, strategies as st

from unsynth.base import UnsynthError
from unsynth.distances import RATE, dtw, mel_filterbank, metrics, mfcc, mss, rms, sot, wmfcc

ALL = (mss, wmfcc, sot, rms)
LENGTH = 17_640  # 0.4 s


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def harmonics(f0: float, decay: float, length: int = LENGTH) -> np.ndarray:
    t = np.arange(length) / RATE
    k = np.arange(1, 9)[:, None]
    return (0.3 * np.sin(2 * np.pi * f0 * k * t) * np.exp(-decay * k * t) / k).sum(0).astype(np.float32)


def burst(seed: int, decay: float, length: int = LENGTH) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=length)
    return (0.2 * noise * np.exp(-decay * np.arange(length) / RATE)).astype(np.float32)


def chirp(low: float, high: float, length: int = LENGTH) -> np.ndarray:
    frequency = np.geomspace(low, high, length)
    return (0.5 * np.sin(2 * np.pi * np.cumsum(frequency) / RATE)).astype(np.float32)


def half_silent(audio: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(audio)) < len(audio) // 2, 0, audio).astype(np.float32)


SOUNDS = {
    "harmonics": harmonics(220, 5),
    "dull harmonics": harmonics(110, 20),
    "burst": burst(0, 20),
    "steady noise": burst(1, 0),
    "chirp": chirp(50, 15_000),
    "late": half_silent(harmonics(330, 8)),
    "mixture": harmonics(97, 3) + burst(2, 60),
    "quiet": 1e-3 * harmonics(220, 5),
    "clipped": np.clip(9 * chirp(3000, 80), -1, 1),
    "inaudible": 1e-10 * burst(1, 0),  # under every floor
    "silence": np.zeros(LENGTH, np.float32),
}
NAMES = list(SOUNDS)
PAIRS = [(a, NAMES[(i + step) % len(NAMES)]) for i, a in enumerate(NAMES) for step in (1, 4)]


def reference_mss(target: np.ndarray, candidate: np.ndarray) -> float:
    terms = []
    for n_fft, hop, mels in ((441, 220, 32), (1102, 441, 64), (4410, 2205, 128)):
        a, b = (
            librosa.power_to_db(
                librosa.feature.melspectrogram(y=y, sr=RATE, n_fft=n_fft, hop_length=hop, n_mels=mels), ref=np.max
            )
            for y in (target, candidate)
        )
        terms.append(np.abs(a - b).mean())
    return float(np.mean(terms))


def reference_mfcc(audio: np.ndarray) -> np.ndarray:
    return librosa.feature.mfcc(y=audio, sr=RATE, n_mfcc=20, n_fft=2205, hop_length=441, n_mels=128).T


def reference_dtw(cost: np.ndarray) -> float:
    return vars(dtw_python(cost, distance_only=True))["normalizedDistance"]


def reference_wmfcc(target: np.ndarray, candidate: np.ndarray) -> float:
    a, b = reference_mfcc(target), reference_mfcc(candidate)
    return reference_dtw(np.abs(a[:, None] - b[None]).mean(-1))


def reference_sot(target: np.ndarray, candidate: np.ndarray) -> float:
    a, b = (np.abs(librosa.stft(y, n_fft=2205, hop_length=882)) for y in (target, candidate))
    a, b = (np.cumsum(s / np.clip(s.sum(0), 1e-6, None), axis=0) for s in (a, b))
    return float((np.abs(a - b).sum(0) / len(a)).mean())


def reference_rms(target: np.ndarray, candidate: np.ndarray) -> float:
    a, b = (librosa.feature.rms(y=y, frame_length=2205, hop_length=1102)[0] for y in (target, candidate))
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norm) if norm else 0.0


REFERENCES = {mss: reference_mss, wmfcc: reference_wmfcc, sot: reference_sot, rms: reference_rms}
METRICS = pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.__name__)


def batch(*sounds: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(sounds))


@METRICS
def test_equals_reference_in_a_batch(metric):
    """Every pair in one batch, so that nothing of one clip (maximum, range) may leak into another."""
    ours = metric(batch(*(SOUNDS[a] for a, _ in PAIRS)), batch(*(SOUNDS[b] for _, b in PAIRS)))
    theirs = [REFERENCES[metric](SOUNDS[a], SOUNDS[b]) for a, b in PAIRS]
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3 if metric in (mss, wmfcc) else 1e-5)


@METRICS
@pytest.mark.filterwarnings("ignore:n_fft")
@pytest.mark.parametrize(("n", "m"), [(9001, 8000), (2205, 2204), (440, 1000), (1, 1)])
def test_equals_reference_on_unequal_lengths(metric, n, m):
    """Cut to the shorter; lengths under one frame included."""
    target, candidate, length = chirp(60, 9000, n), burst(3, 30, m), min(n, m)
    theirs = REFERENCES[metric](target[:length], candidate[:length])
    assert float(metric(batch(target), batch(candidate))) == pytest.approx(theirs, abs=1e-3)


@METRICS
def test_one_target_for_many_candidates(metric):
    one, many = batch(SOUNDS["mixture"]), batch(*SOUNDS.values())
    torch.testing.assert_close(metric(one, many), metric(one.expand(len(many), -1), many))
    torch.testing.assert_close(metric(many, one), metric(many, one.expand(len(many), -1)))


@METRICS
def test_a_batch_is_its_rows(metric):
    target, candidate = batch(*(SOUNDS[a] for a, _ in PAIRS[:6])), batch(*(SOUNDS[b] for _, b in PAIRS[:6]))
    rows = torch.cat([metric(target[i : i + 1], candidate[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(metric(target, candidate), rows, rtol=1e-4, atol=1e-5)


def test_metrics_has_the_four_by_name():
    target, candidate = batch(SOUNDS["harmonics"]), batch(SOUNDS["burst"], SOUNDS["chirp"])
    scores = metrics(target, candidate)
    assert list(scores) == ["MSS", "wMFCC", "SOT", "RMS"]
    for metric, score in zip(ALL, scores.values(), strict=True):
        torch.testing.assert_close(score, metric(target, candidate))


@METRICS
def test_keeps_double_precision(metric):
    target, candidate = batch(SOUNDS["harmonics"]).double(), batch(SOUNDS["burst"]).double()
    score = metric(target, candidate)
    assert score.dtype == torch.float64
    torch.testing.assert_close(score.float(), metric(target.float(), candidate.float()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize(("n_fft", "mels"), [(441, 16), (1102, 64), (2205, 128), (4410, 128)])
def test_filterbank_is_librosas(rate, n_fft, mels):
    theirs = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=mels, dtype=np.float64)
    np.testing.assert_allclose(mel_filterbank(rate, n_fft, mels), theirs, atol=1e-12)


def test_filterbank_under_the_knee_is_librosas():
    theirs = librosa.filters.mel(sr=1500, n_fft=1024, n_mels=8, dtype=np.float64)
    np.testing.assert_allclose(mel_filterbank(1500, 1024, 8), theirs, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_mfcc_is_librosas(name):
    ours = mfcc(batch(SOUNDS[name]))[0]
    np.testing.assert_allclose(ours, reference_mfcc(SOUNDS[name]), rtol=1e-4, atol=1e-2)


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 24), columns=st.integers(1, 24), seed=st.integers(0, 2**31))
def test_dtw_is_dtw_pythons(rows, columns, seed):
    costs = np.random.default_rng(seed).exponential(size=(3, rows, columns))
    theirs = [reference_dtw(cost) for cost in costs]
    np.testing.assert_allclose(dtw(torch.from_numpy(costs)), theirs, rtol=1e-10)


sounds = st.builds(
    lambda kind, seed, gain, length: (
        gain * {"tone": harmonics(40.0 + seed, seed % 30, length), "noise": burst(seed, seed % 50, length)}[kind]
    ).astype(np.float32),
    kind=st.sampled_from(["tone", "noise"]),
    seed=st.integers(0, 2000),
    gain=st.sampled_from([0.0, 1e-6, 0.01, 1.0, 30.0]),
    length=st.integers(1, 6000),
)
PROPERTY = settings(max_examples=25, deadline=None)


@METRICS
@pytest.mark.parametrize("name", ["harmonics", "late", "silence"])
def test_gradient_is_finite(metric, name):
    candidate = batch(SOUNDS[name]).requires_grad_()
    (gradient,) = torch.autograd.grad(metric(batch(SOUNDS["mixture"]), candidate), candidate)
    assert gradient.isfinite().all()
    assert bool(gradient.any()) == (name != "silence")


@METRICS
@PROPERTY
@given(a=sounds, b=sounds)
def test_finite_symmetric_and_never_negative(metric, a, b):
    a, b = batch(a), batch(b)
    score = metric(a, b)
    assert score.shape == (1,)
    assert score.isfinite().all()
    assert (score >= 0).all()
    torch.testing.assert_close(score, metric(b, a), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("metric", [mss, wmfcc, sot], ids=lambda metric: metric.__name__)
@PROPERTY
@given(a=sounds)
def test_distance_to_itself_is_zero(metric, a):
    assert float(metric(batch(a), batch(a))) == 0


@pytest.mark.parametrize("metric", [mss, rms], ids=lambda metric: metric.__name__)
@pytest.mark.parametrize("gain", [0.1, 0.5, 3.0])
def test_blind_to_gain(metric, gain):
    a, b = batch(SOUNDS["steady noise"]), batch(SOUNDS["chirp"])
    torch.testing.assert_close(metric(a, gain * b), metric(a, b), rtol=1e-4, atol=1e-4)


def test_rms_of_a_sound_with_itself_is_one():
    loud = batch(*(SOUNDS[name] for name in NAMES if name != "silence"))
    torch.testing.assert_close(rms(loud, loud), torch.ones(len(loud)))


def test_rms_of_silence_is_zero():
    silence, sound = batch(SOUNDS["silence"]), batch(SOUNDS["harmonics"])
    assert float(rms(silence, sound)) == float(rms(silence, silence)) == 0


def test_wmfcc_charges_level():
    """sqrt(128) / 20 for each dB, all of it in the first coefficient; the period is the hop, so warping cannot help."""
    a, decibels = batch(harmonics(RATE / 441, 0)), 3.0
    frames = 1 + LENGTH // 441
    expected = decibels * 128**0.5 / 20 * (1 - 1 / (2 * frames))  # the first cell of the path counts once
    assert float(wmfcc(a, a * 10 ** (decibels / 20))) == pytest.approx(expected, rel=1e-3)


def test_wmfcc_forgives_a_shift_that_mss_does_not():
    sound = SOUNDS["burst"]
    late = np.concatenate([np.zeros(4410, np.float32), sound])[:LENGTH]
    a, b, other = batch(sound), batch(late), batch(SOUNDS["harmonics"])
    assert wmfcc(a, b) / wmfcc(a, other) < 0.7 * mss(a, b) / mss(a, other)


def test_silence_is_the_clips_own_maximum_to_mss():
    """0 dB everywhere, so that a tone is far from silence, white noise is nearer, and silence is at 0 from itself."""
    silence = batch(SOUNDS["silence"])
    to_noise, to_chirp, to_itself = mss(silence, batch(*(SOUNDS[k] for k in ("steady noise", "chirp", "silence"))))
    assert to_itself == 0 < to_noise < to_chirp / 2
    assert to_chirp > 20


def test_padding_flatters_mss():
    a, b = batch(SOUNDS["harmonics"]), batch(SOUNDS["mixture"])
    padding = torch.zeros(1, LENGTH)
    assert float(mss(torch.cat([a, padding], 1), torch.cat([b, padding], 1))) < 0.7 * float(mss(a, b))


def test_sot_of_silence_against_a_low_tone_is_nearly_one():
    silence, tone = batch(SOUNDS["silence"]), batch(harmonics(110, 0))
    assert 0.85 < float(sot(silence, tone)) < 1


def test_sot_is_the_distance_on_the_frequency_axis():
    """Two steady tones 1/4 of the axis apart."""
    nyquist = RATE / 2
    low, high = batch(chirp(nyquist / 4, nyquist / 4)), batch(chirp(nyquist / 2, nyquist / 2))
    assert float(sot(low, high)) == pytest.approx(0.25, abs=0.01)


@METRICS
def test_noise_is_not_information(metric):
    """Two draws of one noise are near each other, next to a tone."""
    a, b, tone = batch(burst(5, 0)), batch(burst(6, 0)), batch(SOUNDS["dull harmonics"])
    near, far = float(metric(a, b)), float(metric(a, tone))
    assert near > 0.99 if metric is rms else near < far / 4


@METRICS
@pytest.mark.parametrize(
    ("target", "candidate"),
    [((4, 900), (3, 900)), ((900,), (1, 900)), ((1, 1, 900), (1, 900)), ((1, 900), (2, 0))],
    ids=["batches", "no batch", "channels", "empty"],
)
def test_unfit_input_is_a_clear_error(metric, target, candidate):
    with pytest.raises(UnsynthError, match=r"(?i)give|compare"):
        metric(torch.zeros(target), torch.zeros(candidate))
