"""Log-mel spectrograms against librosa, the fast distance against the published one, on every instruction set."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch

from unsynth.base import UnusableError, UsageError
from unsynth.distances import DB_FLOOR, RATE, mss
from unsynth.frontends.mel import MSS_SCALES, LogMel, RelativeLogMel, log_mel, native_plan
from unsynth.native import instruction_sets, kernels
from unsynth.search.objective import GROUPED, PADDING, SpectralDistance, cumulated

LENGTH = 22_050
OTHER_SCALES = ((1024, 256, 64), (600, 100, 40), (2 * 13 * 31, 200, 16), (25, 7, 3))
ISAS = instruction_sets()
natively = pytest.mark.skipif(not ISAS, reason="the native kernels are not built")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def sounds(length: int = LENGTH) -> torch.Tensor:
    """Steady, decaying, late, ended, clicking, quiet and silent."""
    t = np.arange(length) / RATE
    noise = np.random.default_rng(0).normal(size=length)
    tone = 0.4 * np.sin(2 * np.pi * 220 * t) + 0.2 * np.sin(2 * np.pi * 3100 * t)
    late, ended, click = np.zeros((3, length))
    late[length // 2 :] = tone[length // 2 :]
    ended[: length // 3] = 0.1 * noise[: length // 3]
    click[length // 2] = 1
    batch = [tone, 0.3 * noise * np.exp(-20 * t), late, ended, click, 1e-3 * tone, np.zeros(length)]
    return torch.from_numpy(np.stack(batch).astype(np.float32))


def librosa_mel(audio: torch.Tensor, n_fft: int, hop: int, mels: int) -> torch.Tensor:
    power = librosa.feature.melspectrogram(
        y=audio.double().numpy(), sr=RATE, n_fft=n_fft, hop_length=hop, n_mels=mels, pad_mode="constant"
    )
    return torch.from_numpy(10 * np.log10(np.maximum(power, DB_FLOOR)))


def assert_near(mel: torch.Tensor, truth: torch.Tensor, decibels: float = 0.01, below: float = 80) -> None:
    """Equal down to 80 dB under the loudest; under that, where float32 rounds, no louder than it."""
    limit = truth.amax((-2, -1), keepdim=True) - below
    assert mel.shape == truth.shape
    torch.testing.assert_close(mel.double().maximum(limit), truth.maximum(limit), atol=decibels, rtol=0)


@natively
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("scale", MSS_SCALES + OTHER_SCALES)
def test_kernel_is_librosa(scale, isa):
    audio = sounds()
    assert_near(log_mel(audio, scale, isa=isa), librosa_mel(audio, *scale))


@pytest.mark.parametrize("scale", MSS_SCALES)
def test_torch_is_librosa(scale):
    audio = sounds().requires_grad_()
    mel = log_mel(audio, scale)
    assert mel.requires_grad
    assert_near(mel.detach(), librosa_mel(audio.detach(), *scale))


def test_a_large_prime_is_left_to_torch():
    scale = (2 * 37, 20, 8)
    assert native_plan(*scale) is None
    assert_near(log_mel(sounds(), scale), librosa_mel(sounds(), *scale))


@natively
@pytest.mark.filterwarnings("ignore:n_fft=:UserWarning")
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("length", [1, 219, 440, 2206, 7_056])
def test_kernel_at_any_length(length, isa):
    audio = sounds()[:2, :length].contiguous()
    for scale in MSS_SCALES:
        assert_near(log_mel(audio, scale, isa=isa), librosa_mel(audio, *scale), below=60)


@natively
@pytest.mark.parametrize("isa", ISAS)
def test_silent_frames_are_exactly_the_floor(isa):
    ended = sounds()[3:4]
    mel = log_mel(ended, (441, 220, 32), isa=isa)
    last = (LENGTH // 3 - 1 + 220) // 220
    assert mel[..., last - 1].min() > -70
    assert (mel[..., last + 1 :] == mel.min()).all()
    assert mel.min() == pytest.approx(-100, abs=1e-4)


@pytest.mark.parametrize("isa", ["", *ISAS])
@pytest.mark.parametrize("row", range(7))
def test_distance_is_mss(row, isa):
    audio = sounds()
    distance = SpectralDistance(audio[row : row + 1], isa=isa)
    torch.testing.assert_close(distance(audio), mss(audio[row : row + 1], audio), atol=0.01, rtol=0)
    assert distance(audio)[row] < 1e-3


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("row", range(6))
def test_transport_is_that_of_torch(row, isa):
    audio = sounds()[[0, 1, 2, 3, 5, 6]]  # not the click, whose empty frames share the rounding of the full ones
    spectral, moved = SpectralDistance(audio[row : row + 1], isa=isa).both(audio)
    torch.testing.assert_close(spectral, mss(audio[row : row + 1], audio), atol=0.01, rtol=0)
    expected = (cumulated(audio) - cumulated(audio[row : row + 1])).abs().mean((1, 2))
    torch.testing.assert_close(moved, expected, atol=1e-4, rtol=0)


def test_transport_is_the_distance_that_magnitude_moves():
    time = torch.arange(RATE) / RATE
    tones = [torch.sin(2 * torch.pi * hertz * time) for hertz in (1000, 1100, 6000)]
    _, moved = SpectralDistance(tones[0][None]).both(torch.stack([*tones, torch.zeros(RATE)]))
    torch.testing.assert_close(moved[:3], torch.tensor([0, 100, 5000]) / (RATE / 2), atol=2e-3, rtol=0.1)
    assert moved[3] == pytest.approx(1 - 1000 / (RATE / 2), abs=0.01)  # nothing to move: all that lies above is missing


@natively
def test_the_kernel_groups_and_reads_as_told():
    assert (kernels.mel_grouped, kernels.mel_padding) == (GROUPED, PADDING)


def test_distance_cuts_to_the_shorter():
    audio = sounds()
    distance = SpectralDistance(audio[:1])
    for other in (sounds()[:, :9_000], sounds(30_000), audio):
        torch.testing.assert_close(distance(other), mss(audio[:1], other), atol=0.01, rtol=0)


def test_distance_has_a_gradient_where_asked():
    audio = sounds()[:3].requires_grad_()
    distance = SpectralDistance(sounds()[1:2], part=2)
    value = distance(audio)
    torch.testing.assert_close(value.detach(), distance(audio.detach()), atol=0.01, rtol=0)
    (gradient,) = torch.autograd.grad(value.sum(), audio)
    assert gradient.isfinite().all()
    assert gradient[0].abs().max() > 0


@natively
def test_a_sound_does_not_depend_on_its_batch_or_threads():
    audio = sounds()
    distance = SpectralDistance(audio[1:2])
    alone = torch.cat([distance(row[None]) for row in audio])
    torch.set_num_threads(2)
    together = distance(audio)
    torch.set_num_threads(1)
    assert torch.equal(together, alone)
    assert torch.equal(distance(audio.flip(0)[::2]), alone.flip(0)[::2])


def test_misuse_is_explained():
    with pytest.raises(UsageError, match="one target"):
        SpectralDistance(sounds())
    with pytest.raises(UnusableError, match="at least one sample"):
        SpectralDistance(torch.zeros(1, 0))
    with pytest.raises(UnusableError, match="at least one sample"):
        SpectralDistance(sounds()[:1])(torch.zeros(2, 0))
    with pytest.raises(UnusableError, match="at least one sample"):
        log_mel(torch.zeros(2, 0), MSS_SCALES[0])
    with pytest.raises(UsageError, match="batch, time"):
        SpectralDistance(sounds()[:1])(torch.zeros(5))


@pytest.mark.parametrize("scale", [(2048, 441, 128), (441, 220, 32)])
@pytest.mark.parametrize("grad", [False, True])
def test_module_is_the_function_normalised(scale, grad):
    audio = sounds().requires_grad_(grad)
    expected = (librosa_mel(audio.detach(), *scale) + 50) / 20
    frames = LogMel(*scale, offset=50, scale=20)(audio).detach()
    assert_near(frames * 20, 20 * expected)
    assert frames[-1].unique() == pytest.approx((-100 + 50) / 20)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_no_floor(value):
    audio = torch.randn(2, 44100, generator=torch.Generator().manual_seed(0))
    audio[1, 20000] = value
    for frontend in (LogMel(), RelativeLogMel()):
        frames = frontend(audio)
        assert frames[0].isfinite().all()
        assert not frames[1].isfinite().all()
