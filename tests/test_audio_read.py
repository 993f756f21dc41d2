"""Whatever file is given becomes finite mono at the asked rate, or one sentence of the right error."""

import errno
import os
import struct
import tracemalloc

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import example, given, strategies as st
from test_audio import RATE, error_of, in_one_folder, saved, tone

from unsynth import audio
from unsynth.base import NotFoundError, UnreadableError, UnsynthError, UnusableError

WAV_SUBTYPES = ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM"]
FORMATS = {"wav": "PCM_16", "flac": "PCM_24", "ogg": "VORBIS", "mp3": "MPEG_LAYER_III", "aiff": "PCM_16", "au": "FLOAT"}


def sine_share(sound: torch.Tensor, rate: int, hertz: float = 440.0) -> float:
    """The share of the energy of ``sound`` that a sine of ``hertz`` explains."""
    phase = 2 * np.pi * hertz * np.arange(len(sound)) / rate
    basis = np.stack([np.sin(phase), np.cos(phase)], axis=1)
    samples = sound.double().numpy()
    fitted = basis @ np.linalg.lstsq(basis, samples, rcond=None)[0]
    return float((fitted**2).sum() / (samples**2).sum())


# what is fine


@pytest.mark.parametrize("subtype", WAV_SUBTYPES)
def test_read_takes_every_depth(tmp_path, subtype):
    sound = audio.read(saved(tmp_path / "a.wav", tone(), subtype=subtype), RATE)[:20_000]  # ADPCM pads the end
    assert sound.dtype == torch.float32
    assert sine_share(sound, RATE) > 0.99
    assert audio.loudness(sound).item() == pytest.approx(-9.03, abs=0.1)


@pytest.mark.parametrize("suffix", FORMATS)
def test_read_takes_every_format_as_soundfile_decodes_it_at_once(tmp_path, suffix):
    path = saved(tmp_path / f"a.{suffix}", tone(seconds=1.5), subtype=FORMATS[suffix])
    whole, _ = soundfile.read(path, dtype="float32")
    assert torch.equal(audio.read(path, RATE), torch.from_numpy(whole))


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_read_resamples_and_keeps_pitch_level_and_length(tmp_path, rate):
    sound = audio.read(saved(tmp_path / "a.wav", tone(rate), rate, "FLOAT"), RATE)
    assert abs(len(sound) - round(rate / 2) * RATE / rate) <= 1
    middle = sound[2_000:-2_000]
    assert sine_share(middle, RATE) > 0.9999
    assert audio.loudness(middle).item() == pytest.approx(-9.03, abs=0.05)


@pytest.mark.parametrize("channels", range(1, 9))
def test_read_means_the_channels(tmp_path, channels):
    gains = np.arange(1, channels + 1, dtype=np.float32) / channels
    path = saved(tmp_path / "a.wav", tone()[:, None] * gains, subtype="FLOAT")
    np.testing.assert_allclose(audio.read(path, RATE), tone() * gains.mean(), atol=1e-6)


def test_read_of_a_few_samples_is_a_click(tmp_path):
    sound = audio.read(saved(tmp_path / "a.wav", np.array([0.0, 0.5, 0.0])), RATE)
    torch.testing.assert_close(sound, torch.tensor([0.0, 0.5, 0.0]), atol=1e-4, rtol=0)


def test_read_of_two_hours_that_begin_late_stays_small(tmp_path):
    path, rate = tmp_path / "long.au", 8_000
    with open(path, "wb") as file:  # AU header (linear 16 bits, mono, length unknown), then a hole, then the sound
        file.write(struct.pack(">4s5I", b".snd", 24, 0xFFFFFFFF, 3, rate, 1))
        file.seek(24 + 2 * rate * 7_200)
        file.write((tone(rate, 5.0) * 32_767).astype(">i2").tobytes())
    tracemalloc.start()
    sound = audio.read(path, rate, seconds=2.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000  # bytes; the whole file would be 230 million as float32
    assert 2.0 <= len(sound) / rate <= 2.5
    begun = audio.fit(sound, rate, 2 * rate)[15:15_000]  # 2 ms of lead before the first sample that isn't 0
    np.testing.assert_allclose(begun, tone(rate, 5.0)[: len(begun)], atol=1e-4)


def test_read_waits_for_the_sound_behind_faint_noise(tmp_path):
    noise = np.random.default_rng(0).uniform(-3e-4, 3e-4, 5 * RATE).astype(np.float32)
    path = saved(tmp_path / "a.wav", np.concatenate([noise, tone()]), subtype="FLOAT")
    begun = audio.fit(audio.read(path, RATE, seconds=0.5), RATE, RATE // 4)
    assert sine_share(begun[100:10_000], RATE) > 0.999


def test_read_takes_a_soft_sound(tmp_path):
    path = saved(tmp_path / "a.wav", tone(amplitude=5e-4), subtype="FLOAT")
    np.testing.assert_allclose(audio.read(path, RATE), tone(amplitude=5e-4), atol=1e-7)


# what is not


def test_missing_file_and_folder_and_pipe_are_not_found(tmp_path):
    assert "does not exist" in error_of(NotFoundError, audio.read, tmp_path / "nowhere.wav", RATE)
    os.mkfifo(tmp_path / "pipe.wav")
    for path in (tmp_path, tmp_path / "pipe.wav"):
        assert "not a file" in error_of(NotFoundError, audio.read, path, RATE)


@pytest.mark.parametrize("suffix", ["wav", "raw", "vox", "mp3", "txt"])
@pytest.mark.parametrize("content", [b"", b"Dear diary, " * 99, np.random.default_rng(1).bytes(9_999)])
def test_what_is_no_audio_is_unreadable_whatever_its_name(tmp_path, suffix, content):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    assert str(path) in error_of(UnreadableError, audio.read, path, RATE)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_cut_inside_its_header_is_unreadable(tmp_path, suffix):
    path = saved(tmp_path / f"a.{suffix}", tone(), subtype=FORMATS[suffix])
    path.write_bytes(path.read_bytes()[:20])
    error_of(UnreadableError, audio.read, path, RATE)


def test_a_cut_flac_is_unreadable_only_where_it_is_needed(tmp_path):
    path = saved(tmp_path / "a.flac", np.random.default_rng(2).uniform(-0.5, 0.5, 4 * RATE))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert len(audio.read(path, RATE, seconds=1.0)) >= RATE
    error_of(UnreadableError, audio.read, path, RATE, 4.0)


def test_a_cut_wav_gives_what_it_has(tmp_path):
    path = saved(tmp_path / "a.wav", tone(), subtype="PCM_16")
    path.write_bytes(path.read_bytes()[: 44 + 2 * 10_000])
    np.testing.assert_allclose(audio.read(path, RATE), tone()[:10_000], atol=1e-4)


def test_a_file_without_permission_is_unreadable(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.wav", tone())

    def refuse(*_args):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(audio, "open", refuse, raising=False)
    assert "Permission denied" in error_of(UnreadableError, audio.read, path, RATE)


@pytest.mark.parametrize("claimed", [0, 1, 2**31 - 1])
def test_an_impossible_rate_is_unreadable(tmp_path, claimed):
    path = saved(tmp_path / "a.wav", tone(), subtype="PCM_16")
    data = bytearray(path.read_bytes())
    data[24:28] = struct.pack("<I", claimed)  # the rate's place in a plain RIFF header
    path.write_bytes(data)
    error_of(UnreadableError, audio.read, path, RATE)


@pytest.mark.parametrize(
    "samples",
    [np.zeros(0), np.zeros(RATE), np.full(RATE, 0.5), np.array([0.5]), tone(amplitude=9e-5)],
    ids=["none", "zeros", "constant", "one", "faint"],
)
@pytest.mark.parametrize("suffix", ["wav", "aiff"])
def test_empty_silent_and_single_sample_files_are_unusable(tmp_path, samples, suffix):
    path = saved(tmp_path / f"a.{suffix}", samples, subtype="PCM_24")
    assert "silent" in error_of(UnusableError, audio.read, path, RATE)


def test_channels_that_cancel_are_unusable(tmp_path):
    path = saved(tmp_path / "a.wav", np.stack([tone(), -tone()], axis=1))
    assert "as mono" in error_of(UnusableError, audio.read, path, RATE)


def test_ultrasound_is_unusable_at_a_rate_that_cannot_hold_it(tmp_path):
    path = saved(tmp_path / "a.wav", tone(192_000, hertz=40_000.0) * np.hanning(96_000), 192_000)
    assert "8000 Hz" in error_of(UnusableError, audio.read, path, 8_000)
    assert audio.loudness(audio.read(path, 192_000)).item() > -20


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300, -2e6])
def test_samples_that_are_no_numbers_are_unusable(tmp_path, bad):
    samples = np.stack([tone(), tone()], axis=1).astype(np.float64)
    samples[300, 1] = bad
    assert "NaN" in error_of(UnusableError, audio.read, saved(tmp_path / "a.wav", samples, subtype="DOUBLE"), RATE)
    assert "NaN" in error_of(UnusableError, audio.from_array, samples, RATE, RATE)


# properties


@in_one_folder
@given(
    suffix=st.sampled_from(["wav", "flac", "aiff"]),
    subtype=st.sampled_from(["PCM_16", "PCM_24"]),
    rate_in=st.integers(800, 19_200).map(lambda tens: 10 * tens),
    rate=st.sampled_from([16_000, 44_100, 48_000]),
    channels=st.integers(1, 8),
    length=st.integers(1, 20_000),
    seed=st.integers(0, 99),
)
@example(suffix="wav", subtype="PCM_16", rate_in=192_000, rate=16_000, channels=1, length=3, seed=0)
def test_any_valid_file_is_finite_mono_of_the_right_length(
    tmp_path, suffix, subtype, rate_in, rate, channels, length, seed
):
    samples = np.random.default_rng(seed).uniform(-0.9, 0.9, (length, channels))
    path = saved(tmp_path / f"a.{suffix}", samples, rate_in, subtype)
    try:
        sound = audio.read(path, rate, seconds=20.0)
    except UnusableError:
        assert length < 2 or length * rate / rate_in < 3
        return
    assert sound.ndim == 1
    assert sound.dtype == torch.float32
    assert bool(sound.isfinite().all())
    assert abs(len(sound) - length * rate / rate_in) <= 1
    if length > channels:
        torch.testing.assert_close(audio.from_array(samples, rate_in, rate, 20.0), sound, atol=1e-3, rtol=0)


@in_one_folder
@given(
    suffix=st.sampled_from(sorted(FORMATS)),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
    header_only=st.booleans(),
    kept=st.floats(0.1, 1),
)
def test_a_damaged_file_is_a_sound_or_one_of_our_errors(tmp_path, suffix, changes, header_only, kept):
    path = saved(tmp_path / f"a.{suffix}", tone(seconds=0.2), subtype=FORMATS[suffix])
    data = bytearray(path.read_bytes())
    reach = 64 if header_only else len(data)
    for where, value in changes:
        data[int(where * (reach - 1))] = value
    path.write_bytes(data[: int(kept * len(data))])
    try:
        sound = audio.read(path, RATE, seconds=1.0)
    except UnsynthError:
        return
    assert sound.ndim == 1
    assert bool(sound.isfinite().all())
    assert 2 <= len(sound) <= 1.5 * RATE + 1


def test_of_channels_that_cancel_it_says_to_give_one(tmp_path):
    left = np.sin(np.arange(RATE) / 10)
    soundfile.write(tmp_path / "opposite.wav", np.stack([left, -left], 1), RATE)
    with pytest.raises(UnusableError, match="or one channel"):
        audio.read(tmp_path / "opposite.wav", RATE)
