"""The Voice against torchsynth's own sounds (gold vectors; tests/gold/make.py makes them), on every backend."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from unsynth.base import UsageError
from unsynth.native import instruction_sets
from unsynth.sounds.ids import is_train, params_of
from unsynth.synths import SYNTHS, modules as m, synth
from unsynth.synths.voice import SPEC, Voice
from unsynth.synths.voice_native import render_native, render_native_differentiable
from unsynth.synths.voice_torch import audio, control, render_torch

GOLD = dict(np.load(Path(__file__).parent / "gold" / "voice.npz"))
IDS = torch.from_numpy(GOLD["ids"])
TOLERANCE = 1e-4  # the promise; measured 5e-7
SLOW = bool(os.environ.get("UNSYNTH_SLOW"))  # every id on every backend, and gradients of 10,000 sounds: some minutes
NATIVE_COUNT = 10_000 if SLOW else 100  # sounds whose gradient is checked

torchs_mkl = pytest.mark.skipif(
    not torch.backends.mkl.is_available(), reason="torch without MKL rounds LFOs differently"
)
native = pytest.mark.skipif(not instruction_sets(), reason="built without native kernels")


def assert_gold(render, rows):
    rows = np.asarray(rows)
    for part in np.array_split(rows, max(1, len(rows) // 32)):
        sound = render(torch.from_numpy(GOLD["params"][part]), IDS[part]).numpy()
        np.testing.assert_allclose(sound[:, GOLD["positions"]], GOLD["samples"][part], rtol=0, atol=TOLERANCE)
        means = np.abs(sound.reshape(len(part), 16, -1)).mean(2)
        np.testing.assert_allclose(means, GOLD["means"][part], rtol=0, atol=TOLERANCE / 10)


@native
@torchs_mkl
@pytest.mark.parametrize("isa", instruction_sets())
def test_native_makes_torchsynths_sounds(isa):
    every = 1 if SLOW or isa != "baseline" else 4
    assert_gold(lambda params, ids: render_native(params, ids, isa), range(0, len(IDS), every))


@torchs_mkl
def test_torch_makes_torchsynths_sounds():
    with torch.no_grad():
        assert_gold(render_torch, range(0, len(IDS), 1 if SLOW else 16))


def test_ids_are_torchsynths():
    assert torch.equal(params_of(IDS, SPEC), torch.from_numpy(GOLD["params"]))
    assert torch.equal(is_train(IDS), torch.from_numpy(GOLD["is_train"]))


@native
def test_sound_does_not_depend_on_the_batch_or_the_threads():
    params, ids = params_of(IDS[:16], SPEC), IDS[:16]
    whole = Voice("native").render(params, ids)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        single = torch.cat([Voice("native").render(params[i : i + 1], ids[i : i + 1]) for i in range(16)])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(whole, single)


@native
def test_backends_agree_on_audible_noise():
    params, ids = params_of(IDS[:8], SPEC), torch.arange(28, 36)
    params[:, SPEC.index("mixer.noise")] = 0.98
    torch.testing.assert_close(render_native(params, ids), render_torch(params, ids), rtol=0, atol=1e-5)
    assert not torch.equal(render_native(params, ids), render_native(params, ids + 1))
    assert torch.equal(render_native(params, ids), render_native(params, ids + 32))


def gradients(render, params, ids):
    leaf = params.clone().requires_grad_()
    weights = torch.randn(len(ids), m.SAMPLES, generator=torch.Generator().manual_seed(0))
    (render(leaf, ids) * weights).sum().backward()
    return leaf.grad


@native
@pytest.mark.parametrize("isa", instruction_sets())
def test_fused_gradient_is_autograds(isa):
    params, ids = params_of(IDS[:6], SPEC), IDS[:6]
    params[3, SPEC.index("mixer.noise")] = 0.97
    expected = gradients(render_torch, params, ids)
    found = gradients(lambda p, i: render_native_differentiable(p, i, isa), params, ids)
    error = (found - expected).norm(dim=1) / expected.norm(dim=1)
    assert float(error.max()) < 1e-4


def edges(count):
    """Parameters with many exact zeros, ones and halves, and values too small to square."""
    generator = torch.Generator().manual_seed(1)
    params, choice = (torch.rand(count, len(SPEC), generator=generator) for _ in range(2))
    for low, value in ((0.0, 0.0), (0.2, 1.0), (0.4, 0.5), (0.5, 1e-12), (0.55, 1e-38)):
        params = torch.where((choice >= low) & (choice < low + 0.05 + 0.1 * (value in (0, 1))), value, params)
    params[:4] = torch.tensor([0.0, 1.0, 0.5, 1e-30])[:, None]
    return params


@pytest.mark.parametrize("backend", ["torch", *(["native"] if instruction_sets() else [])])
@pytest.mark.parametrize("kind", ["random", "edges"])
def test_audio_and_gradient_are_finite(backend, kind):
    count = NATIVE_COUNT if backend == "native" else 12
    params = params_of(torch.arange(count), SPEC) if kind == "random" else edges(count)
    for part in params.split(50):
        leaf = part.clone().requires_grad_()
        sound = Voice(backend).render(leaf, torch.arange(len(part)))
        sound.square().sum().backward()
        assert torch.isfinite(sound).all()
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()
        assert float(sound.detach().abs().max()) <= 1 + 1e-6


def test_gradient_is_the_slope():
    """Along amplitude, where the sound is smooth, a finite difference finds the same."""
    params, row = params_of(torch.tensor([17]), SPEC), torch.tensor([17])
    column, step = SPEC.index("mixer.vco_2"), 1e-3
    leaf = params.clone().requires_grad_()
    render_torch(leaf, row).square().sum().backward()
    moved = [params.clone() for _ in range(2)]
    moved[0][0, column] -= step
    moved[1][0, column] += step
    low, high = (float(render_torch(p, row).detach().square().sum()) for p in moved)
    assert leaf.grad is not None
    assert float(leaf.grad[0, column]) == pytest.approx((high - low) / (2 * step), rel=1e-2)


def test_symmetric_parameters_sound_the_same():
    params, ids = params_of(IDS[:8], SPEC), IDS[:8]
    plain = synth("voice").render(params, ids)
    for left, right in SPEC.symmetries:
        swapped = params.clone()
        swapped[:, [*left, *right]] = params[:, [*right, *left]]
        assert not torch.equal(swapped, params)
        twin = synth("voice").render(swapped, ids)
        correlation = torch.nn.functional.cosine_similarity(plain, twin)
        assert float(correlation.min()) > 0.999


def test_scalars_and_signals_have_the_documented_shapes():
    signals, scalars = control(params_of(IDS[:2], SPEC))
    assert signals.shape == (2, 5, m.FRAMES)
    assert scalars.shape == (2, 11)
    assert audio(signals, scalars, torch.zeros(2, m.SAMPLES)).shape == (2, m.SAMPLES)


def test_unknown_names_are_refused():
    with pytest.raises(UsageError, match="choose one of"):
        synth("moog")
    with pytest.raises(UsageError, match="doctor"):
        Voice("cuda")
    assert "voice" in SYNTHS
