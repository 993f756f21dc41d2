"""S4D against scan, matrix exponential and physics: nothing here computes a kernel as the code does."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import cont2discrete

from unsynth.encoders.s4 import S4D, legs_frequencies, lin_frequencies, transform_length

CHANNELS, STATES = 5, 16


def space(seed=0, **options):
    torch.manual_seed(seed)
    layer = S4D(CHANNELS, STATES, **options)
    with torch.no_grad():
        for p in (layer.drive, layer.log_decay):
            p.add_(torch.randn_like(p), alpha=0.3)
    return layer


def system(layer):
    """A (channel, state), B, C (direction, channel, state) and the steps, in float64."""
    d, channels, pairs = layer.sizes
    wide = {k: v.detach().double().numpy() for k, v in layer.named_parameters()}
    poles = (-np.exp(wide["log_decay"]) + 1j * wide["frequency"]).reshape(channels, pairs)
    drive = wide["drive"].view(complex).reshape(channels, pairs)
    return poles, drive, wide["read"].view(complex).reshape(d, channels, pairs), np.exp(wide["log_step"])


def discrete(layer):
    """The zero-order-hold matrices of each channel by scipy's matrix exponential, all N states in conjugate pairs."""
    poles, drive, read, steps = system(layer)
    for h, step in enumerate(steps):
        a, b = np.diag(np.r_[poles[h], poles[h].conj()]), np.r_[drive[h], drive[h].conj()][:, None]
        c = np.concatenate([read[:, h], read[:, h].conj()], axis=-1)
        a, b, *_ = cont2discrete((a, b, np.zeros((1, len(a))), np.zeros((1, 1))), step, method="zoh")
        yield a, b[:, 0], c


def scan(layer, u):
    """One sequence ``(frame, channel)`` through the recurrence, step by step in float64, forwards, then backwards."""
    out = np.zeros(u.shape)
    for h, (a, b, c) in enumerate(discrete(layer)):
        for read, order in zip(c, (range(len(u)), reversed(range(len(u)))), strict=False):
            x = np.zeros(len(b), complex)
            for t in order:
                x = a @ x + b * u[t, h]
                out[t, h] += (read @ x).real
    return out + layer.skip.detach().double().numpy() * u


@pytest.mark.parametrize("start", ["lin", "legs"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("length", [1, 2, 300])
def test_convolution_is_the_recurrence(start, bidirectional, length):
    layer = space(start=start, bidirectional=bidirectional)
    u = torch.randn(2, length, CHANNELS)
    expected = np.stack([scan(layer, row) for row in u.double().numpy()])
    assert layer(u).shape == u.shape
    np.testing.assert_allclose(layer(u).detach().numpy(), expected, atol=1e-4, rtol=1e-4)


def test_kernel_is_powers_of_the_discretised_matrix():
    layer = space(bidirectional=True)
    found = layer.kernel(65).detach().numpy()
    for h, (a, b, c) in enumerate(discrete(layer)):
        powers = [np.linalg.matrix_power(a, n) @ b for n in range(65)]
        np.testing.assert_allclose(found[:, h], (c @ np.stack(powers, axis=1)).real, atol=1e-5, rtol=1e-4)


def test_kernel_stays_exact_over_a_whole_sound():
    layer, length = S4D(4, 64), 176400 // 16
    poles, drive, read, steps = system(layer)
    exponent = poles * steps[:, None]
    late = np.arange(0, length, 97)
    weight = read * drive * np.expm1(exponent) / poles
    expected = 2 * (weight[..., None] * np.exp(exponent[..., None] * late)).sum(2).real
    np.testing.assert_allclose(layer.kernel(length)[..., ::97].detach().numpy(), expected, atol=1e-4)


def oscillator(decay, frequency, step):
    layer = S4D(1, 2, bidirectional=False)
    values = {"log_decay": math.log(decay), "frequency": frequency, "log_step": math.log(step), "skip": 0.0}
    with torch.no_grad():
        for name, value in values.items():
            getattr(layer, name).fill_(value)
        layer.read.copy_(torch.tensor([1.0, 0.0]))
    return layer


def test_an_impulse_rings_and_dies_away():
    hertz, lifetime, rate = 50.0, 0.1, 4000
    u = torch.zeros(1, rate, 1)
    u[0, 0] = 1
    ring = oscillator(1 / lifetime, 2 * math.pi * hertz, 1 / rate)(u)[0, :, 0].detach()
    crossings = ((ring[1:2000] > 0) != (ring[:1999] > 0)).sum()
    assert int(crossings) == pytest.approx(2 * hertz * 0.5, abs=1)
    early, late = ring[: rate // 50].abs().max(), ring[rate // 10 : rate // 10 + rate // 50].abs().max()
    assert float(late / early) == pytest.approx(math.exp(-0.1 / lifetime), rel=0.01)


def test_a_constant_settles_where_the_differential_equation_rests():
    layer = oscillator(decay=20.0, frequency=30.0, step=0.005)
    settled = layer(torch.ones(1, 400, 1))[0, -1, 0].item()
    assert settled == pytest.approx(2 * (-1 / complex(-20, 30)).real, rel=1e-4)


def test_legs_are_eigenvalues_of_the_normal_part_of_hippo():
    n = np.arange(32)
    root = np.sqrt(2 * n + 1)
    hippo = -np.tril(np.outer(root, root), -1) - np.diag(n + 1.0)
    found = np.linalg.eigvals(hippo + np.outer(root, root) / 2)
    np.testing.assert_allclose(found.real, -0.5, atol=1e-10)
    np.testing.assert_allclose(legs_frequencies(16), np.sort(found.imag)[16:], rtol=1e-5)


def test_lin_states_are_a_fourier_basis():
    time = np.linspace(0, 2, 2000, endpoint=False)
    waves = np.exp(1j * np.outer(lin_frequencies(8).numpy(), time))
    np.testing.assert_allclose(waves @ waves.conj().T / len(time), np.eye(8), atol=1e-5)


def test_a_longer_silence_changes_nothing_before_it():
    layer = space(bidirectional=False)
    u = torch.randn(1, 700, CHANNELS)
    longer = layer(torch.nn.functional.pad(u, (0, 0, 0, 1300)))
    torch.testing.assert_close(longer[:, :700], layer(u), atol=1e-5, rtol=1e-4)
    assert longer[:, 700:].abs().max() > 0.01


def test_both_directions_are_mirror_images():
    layer = space(bidirectional=True)
    with torch.no_grad():
        layer.read.copy_(layer.read.view(2, -1)[0].repeat(2))
    u = torch.randn(1, 90, CHANNELS)
    torch.testing.assert_close(layer(u.flip(1)), layer(u).flip(1), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("length", [1, 2, 5000])
def test_gradients_are_finite_and_reach_every_parameter(length):
    layer = space()
    u = torch.randn(1, length, CHANNELS, requires_grad=True)
    layer(u).square().mean().backward()
    for p in (u, *layer.parameters()):
        assert torch.isfinite(p.grad).all()
        assert p.grad.abs().max() > 0


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    layer = S4D(2, 4).double()
    torch.autograd.gradcheck(layer, torch.randn(1, 7, 2, dtype=torch.float64, requires_grad=True))
    names, values = zip(*layer.named_parameters(), strict=True)
    u = torch.randn(1, 7, 2, dtype=torch.float64)

    def run(*values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), u)

    torch.autograd.gradcheck(run, values)


def test_autocast_leaves_the_transform_in_float32():
    layer, u = space(), torch.randn(1, 400, CHANNELS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(u)
    assert found.dtype == torch.float32
    assert torch.equal(found, layer(u))


def test_poles_cannot_become_unstable():
    layer = space(bidirectional=False)
    with torch.no_grad():
        layer.log_decay.normal_(0, 5)
    poles, drive, read, steps = system(layer)
    bound = 2 * np.abs(read * drive * np.expm1(poles * steps[:, None]) / poles).sum(2)
    assert np.all(np.abs(layer.kernel(20000).detach().numpy()).max(2) <= 1.001 * bound)


def test_transforms_are_long_enough_and_fast():
    for least in (1, 2, 3, 22, 883, 22050):
        size = transform_length(least)
        assert least <= size <= max(least + 1, 1.25 * least)
        odd = size // (size & -size)
        assert odd in (1, 3, 5, 7)
