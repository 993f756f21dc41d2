"""What every front end keeps to: one test body over all of them."""

from __future__ import annotations

import pytest
import torch

from unsynth.base import Frontend, UnusableError
from unsynth.frontends.cqt import Cqt
from unsynth.frontends.mel import LogMel
from unsynth.frontends.pqmf import Pqmf
from unsynth.frontends.statistics import Mfcc, Statistics
from unsynth.frontends.waveform import Waveform
from unsynth.sounds.ids import held_out_ids, params_of
from unsynth.synths.voice import Voice

RATE = 44_100
FRONTENDS = {
    "mel": LogMel,
    "short mel": lambda: LogMel(441, 220, 32),
    "pqmf": Pqmf,
    "many bands": lambda: Pqmf(64),
    "cqt": Cqt,
    "vqt": lambda: Cqt(36, gamma=5.0, hop=220),
    "waveform": Waveform,
    "decimated": lambda: Waveform(32, decimation=4),
    "statistics": Statistics,
    "mfcc": Mfcc,
}
LINEAR = (Pqmf, Waveform)  # in the audio, so that level scales them; the others are in dB
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU"))]


@pytest.fixture(params=FRONTENDS)
def frontend(request: pytest.FixtureRequest) -> Frontend:
    return FRONTENDS[request.param]()


@pytest.fixture(scope="module")
def sounds() -> torch.Tensor:
    """48 random sounds of the Voice; the generator of the normalisation saw none of them."""
    ids = held_out_ids(0, 48)
    voice = Voice()
    return voice.render(params_of(ids, voice.spec), ids)


def burst(length: int = 9_000) -> torch.Tensor:
    """A decaying chord, in noise, in silence."""
    t = torch.arange(length) / RATE
    chord = sum(torch.sin(2 * torch.pi * hz * t) for hz in (110.0, 440.0, 2500.0)) * torch.exp(-8 * t)
    noise = torch.randn(length, generator=torch.Generator().manual_seed(0))
    return torch.stack([0.2 * chord, 0.1 * noise, torch.zeros(length)])


@pytest.mark.parametrize("length", [1, 2, 15, 441, 4_097, 30_000])
def test_any_length(frontend, length):
    frames = frontend(burst(length))
    assert frames.shape[:2] == (3, frontend.bands)
    extra = 9 if isinstance(frontend, Pqmf) else 0  # frames that hear the sound from beyond its ends
    assert abs(frames.shape[2] - extra - length * frontend.frame_rate / RATE) <= 1.01
    assert frames.dtype == torch.float32
    assert frames.isfinite().all()


def test_a_sound_does_not_depend_on_its_batch_or_the_call(frontend):
    audio = burst()
    together = frontend(audio)
    assert torch.equal(frontend(audio), together)
    torch.testing.assert_close(torch.cat([frontend(row[None]) for row in audio]), together, atol=1e-3, rtol=1e-3)


def test_gradient_is_finite_and_right(frontend):
    audio = burst().requires_grad_()
    value = frontend(audio)
    torch.testing.assert_close(value.detach(), frontend(audio.detach()), atol=1e-2, rtol=1e-2)
    (gradient,) = torch.autograd.grad(value[:2].square().sum() + value[2].sum(), audio)
    assert gradient.isfinite().all()
    assert (gradient[:2].abs().amax(-1) > 0).all()


def test_random_sounds_of_the_voice_are_normal(frontend, sounds):
    frames = frontend(sounds)
    assert abs(frames.mean()) < 0.25
    assert 0.7 < frames.std() < 1.25


def test_level_is_kept(frontend, sounds):
    loud, quiet = frontend(sounds[:8]), frontend(0.1 * sounds[:8])
    if isinstance(frontend, LINEAR):
        torch.testing.assert_close(quiet, 0.1 * loud)
    else:
        assert (loud - quiet).mean() > 0.02
        assert (loud - quiet).abs().mean() > 0.05


def test_constants_are_not_weights(frontend):
    assert list(frontend.parameters()) == []
    assert frontend.state_dict() == {}


def test_full_precision_under_autocast(frontend):
    audio = burst().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        frames = frontend(audio)
    torch.testing.assert_close(frames, frontend(audio))


@pytest.mark.parametrize("device", DEVICES)
def test_any_device(frontend, device):
    frames = frontend.to(device)(burst().to(device))
    assert frames.device.type == device
    torch.testing.assert_close(frames.cpu(), frontend.cpu()(burst()), atol=2e-3, rtol=2e-3)


def test_no_samples_is_explained(frontend):
    with pytest.raises(UnusableError, match="at least one sample"):
        frontend(torch.zeros(2, 0))
