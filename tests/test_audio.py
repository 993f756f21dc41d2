"""Sounds from folders and arrays, fitted, levelled and written whole or not at all (test_audio_read.py reads files)."""

import errno
import io
import os
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

from unsynth import audio, checkpoint
from unsynth.base import NotFoundError, OutputError, UnsynthError, UnusableError, UsageError

RATE = 44_100
in_one_folder = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # every example overwrites the same file


def tone(rate: int = RATE, seconds: float = 0.5, hertz: float = 440.0, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def saved(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str | None = None) -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def error_of(kind: type[UnsynthError], call, *args) -> str:
    with pytest.raises(kind) as caught:
        call(*args)
    message = str(caught.value)
    assert type(caught.value) is kind
    assert message.endswith(".")
    assert "\n" not in message
    return message


# find


def test_find_is_recursive_sorted_and_skips_what_is_hidden_or_no_sound(tmp_path):
    for name in ["b.WAV", "a/c.flac", "a/.hidden.wav", ".trash/d.wav", "notes.txt", "e.mp3"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert audio.find([tmp_path]) == [tmp_path / name for name in ("a/c.flac", "b.WAV", "e.mp3")]


def test_find_takes_a_named_file_whatever_its_suffix_and_each_file_once(tmp_path):
    odd, wav = tmp_path / "sound.xyz", tmp_path / "sound.wav"
    odd.touch()
    wav.touch()
    assert audio.find([odd, tmp_path, str(wav)]) == [odd, wav]


def test_find_tells_what_is_missing(tmp_path):
    assert "nowhere.wav" in error_of(NotFoundError, audio.find, [tmp_path / "nowhere.wav"])
    assert str(tmp_path) in error_of(NotFoundError, audio.find, [tmp_path])


# from_array


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy])
def test_array_axes_are_told_apart_by_length(make):
    sound = tone()
    both = np.stack([sound, 0.5 * sound])
    for samples, expected in [(sound, sound), (both, 0.75 * sound), (np.ascontiguousarray(both.T), 0.75 * sound)]:
        np.testing.assert_allclose(audio.from_array(make(samples), RATE, RATE), expected, atol=1e-6)
    square = np.array([[0.1, -0.2], [0.3, -0.4]])  # channels first
    np.testing.assert_allclose(audio.from_array(make(square), RATE, RATE), [0.2, -0.3], atol=1e-6)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float16, np.float64])
def test_array_depths_share_one_full_scale(kind):
    scale = 1.0 if np.dtype(kind).kind == "f" else 2.0 ** (8 * np.dtype(kind).itemsize - 1)
    samples = (tone() * scale + (128 if kind is np.uint8 else 0)).astype(kind)
    np.testing.assert_allclose(audio.from_array(samples, RATE, RATE), tone(), atol=0.01)


def test_array_with_gradient_and_half_precision():
    samples = torch.from_numpy(tone()).bfloat16().requires_grad_()
    np.testing.assert_allclose(audio.from_array(samples, RATE, RATE), tone(), atol=0.01)


@pytest.mark.parametrize("samples", [np.zeros((2, 3, 4)), np.float32(1), tone() * 1j, ["la"], np.ones((40, 50))])
def test_array_that_is_no_sound_is_a_usage_error(samples):
    error_of(UsageError, audio.from_array, samples, RATE, RATE)


@pytest.mark.parametrize("rate_in", [0, -44_100, 10**9])
def test_array_at_an_impossible_rate_is_a_usage_error(rate_in):
    assert str(rate_in) in error_of(UsageError, audio.from_array, tone(), rate_in, RATE)


@pytest.mark.parametrize("samples", [[], np.zeros((0, 2)), np.zeros((2, 0)), np.zeros(99), [0.5], np.ones(99)])
def test_array_that_is_empty_or_silent_is_unusable(samples):
    error_of(UnusableError, audio.from_array, samples, RATE, RATE)


# fit


@given(silence=st.integers(0, 3_000), length=st.integers(1, 3_000), samples=st.integers(1, 4_000))
def test_fit_trims_to_the_lead_and_has_the_asked_length(silence, length, samples):
    rate, lead = 1_000, 2
    sound = torch.cat([torch.zeros(silence), torch.ones(length)])
    fitted = audio.fit(sound, rate, samples)
    expected = torch.zeros(samples)
    onset = min(silence, lead)
    expected[onset : onset + length] = 1
    uncut = samples if onset + length <= samples else samples - 10  # 10 ms of fade
    assert fitted.shape == (samples,)
    assert torch.equal(fitted[: max(0, uncut)], expected[: max(0, uncut)])
    if onset + length > samples:
        assert fitted[-1].abs() < 1e-6
        assert bool((fitted[max(0, uncut, onset) :].diff() <= 0).all())


def test_fit_threshold_is_relative_to_the_peak():
    soft = 0.9e-3 * torch.tensor([1.0, -1.0]).repeat(250)
    sound = torch.cat([soft, torch.ones(500)])
    for gain in (1e-3, 1.0, 1e3):
        fitted = audio.fit(sound * gain, 1_000, 600)
        assert (fitted != 0).sum() == 502
    assert torch.equal(audio.fit(sound, 1_000, 1_000, threshold_db=-70.0), sound)


def test_fit_finds_the_onset_behind_a_constant_offset_but_keeps_square_waves():
    tone = torch.sin(torch.arange(8_000) * 0.05) * torch.linspace(1, 0, 8_000)
    late = torch.cat([torch.zeros(2_000), tone])
    clean, shifted = audio.fit(late, 8_000, 9_000), audio.fit(late + 0.004, 8_000, 9_000)
    torch.testing.assert_close(shifted, clean, atol=1e-6, rtol=0)
    square = torch.cat([torch.full((400,), 0.5), torch.full((400,), -0.5)]).repeat(5)
    assert torch.equal(audio.fit(square, 8_000, 4_000), square)


def test_fit_of_silence_is_silence():
    assert torch.equal(audio.fit(torch.zeros(5), RATE, 7), torch.zeros(7))


# loudness


def test_loudness_of_known_sounds():
    sounds = torch.stack(
        [torch.ones(1_000), 0.1 * torch.ones(1_000), torch.zeros(1_000), torch.from_numpy(tone()[:1000])]
    )
    torch.testing.assert_close(audio.loudness(sounds[:3]), torch.tensor([0.0, -20.0, -200.0]))
    assert audio.loudness(torch.from_numpy(tone(amplitude=1.0))).item() == pytest.approx(-3.0103, abs=1e-3)


@given(gain=st.floats(-80, 40), other=st.floats(-80, 40))
def test_match_level_meets_the_target_and_tells_the_gain(gain, other):
    sound, target = (torch.from_numpy(tone()) * 10 ** (db / 20) for db in (gain, other))
    matched, gain_db = audio.match_level(sound, target[: len(target) // 2])
    torch.testing.assert_close(matched, target, rtol=1e-3, atol=1e-9)
    assert gain_db.item() == pytest.approx(other - gain, abs=0.01)


def test_match_level_works_by_row_and_leaves_silence_alone():
    sounds = torch.stack([torch.zeros(100), torch.ones(100), 0.5 * torch.ones(100)])
    matched, gain_db = audio.match_level(sounds, torch.full((40,), 0.25))
    torch.testing.assert_close(matched, torch.tensor([0.0, 0.25, 0.25])[:, None].expand(3, 100))
    torch.testing.assert_close(gain_db, torch.tensor([0.0, -12.0412, -6.0206]))


# write


@in_one_folder
@given(peak=st.floats(0.01, 8.0), length=st.integers(2, 999), rate=st.sampled_from([8_000, 44_100, 192_000]))
def test_write_then_read_is_the_same_sound(tmp_path, peak, length, rate):
    sound = torch.linspace(-peak, peak, length)
    audio.write(tmp_path / "a.wav", sound, rate)
    assert soundfile.info(tmp_path / "a.wav").subtype == ("PCM_24" if peak <= 1 else "FLOAT")
    torch.testing.assert_close(audio.read(tmp_path / "a.wav", rate), sound, atol=2**-23, rtol=0)


def test_write_replaces_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "patch.json"
    audio.write_text(path, "old")
    audio.write_text(path, "größer")
    assert path.read_text("utf-8") == "größer"
    assert list(tmp_path.iterdir()) == [path]


def test_write_through_a_link_keeps_the_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    audio.write_text(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "text"


@pytest.mark.parametrize("peak", [0.5, 2.0])
def test_a_wav_is_the_same_whenever_it_is_made(peak):
    sound = torch.linspace(-peak, peak, 400)
    made = audio.wav(sound, RATE)
    time.sleep(1.1)  # libsndfile's clock counts seconds
    assert audio.wav(sound, RATE) == made
    played, _ = soundfile.read(io.BytesIO(made), dtype="float32")
    assert np.abs(played - sound.numpy()).max() < 1e-6


def test_write_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for name in ("file/a.wav", "nowhere/a.wav", "folder", "x" * 300):
        assert name in error_of(OutputError, audio.write, tmp_path / name, torch.zeros(9), RATE)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]


def test_write_never_replaces_a_device(tmp_path):
    device = tmp_path / "device"
    os.mkfifo(device)
    assert "regular" in error_of(OutputError, audio.write_text, device, "text")
    assert device.is_fifo()


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("trouble", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_write_on_a_full_or_failing_disk_keeps_what_was_there(tmp_path, monkeypatch, step, trouble):
    path = tmp_path / "a.wav"
    path.write_text("precious")

    def fail(*_args):
        raise OSError(trouble, os.strerror(trouble))

    monkeypatch.setattr(os, step, fail)
    assert os.strerror(trouble) in error_of(OutputError, audio.write, path, torch.zeros(9), RATE)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


@contextmanager
def four_kilobytes():
    """Files may become no larger, as on a disk that is nearly full (nor may the log of the tests, so not for long)."""
    resource = pytest.importorskip("resource", reason="needs limits of POSIX")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_write_that_fails_halfway(tmp_path):
    with four_kilobytes():
        sound = error_of(OutputError, audio.write, tmp_path / "a.wav", torch.zeros(99_999), RATE)
        weights = error_of(OutputError, checkpoint.save, tmp_path / "a.safetensors", {"a": torch.zeros(9999)}, {})
    assert "File too large" in sound
    assert "large" in weights
    assert list(tmp_path.iterdir()) == []
