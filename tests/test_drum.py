"""The drum: what it promises as a synth, the physics of its parts against closed forms and scipy, and its families."""

import json

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch
from commands import EXAMPLE, one_thread, run  # noqa: F401

from unsynth.search.sample import draws
from unsynth.sounds.live import Live
from unsynth.synths import drum_modules as m, synth
from unsynth.synths.drum import SPEC
from unsynth.synths.drum_prior import FAMILIES, NEUTRAL, of_family
from unsynth.synths.voice_drums import NEBULA, draw

RATE = m.RATE
TIME = np.arange(m.SAMPLES) / RATE
DRUM = synth("drum")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_params(count, seed=0):
    return torch.rand(count, len(SPEC), generator=generator(seed))


def patch(**modules):
    """A patch of nothing but what is named, at full length and hardly driven."""
    quiet = NEUTRAL | {"output.drive": -20, "output.length": m.SAMPLES / RATE}
    human = quiet | {f"{module}.{name}": value for module, knobs in modules.items() for name, value in knobs.items()}
    return SPEC.to_unit(torch.tensor([[float(human.get(name, 0)) for name in SPEC.names]]))


def values(*numbers):
    return [torch.tensor([[float(number)]]) for number in numbers]


def analytic(sound):
    """The sound without its negative frequencies."""
    spectrum = np.fft.fft(sound) * 2
    spectrum[len(sound) // 2 :] = 0
    return np.fft.ifft(spectrum)


def slope(sound, start, end):
    """Decibels per second of the envelope between two times, by least squares."""
    envelope = 20 * np.log10(np.abs(analytic(sound)) + 1e-12)
    inside = (start <= TIME) & (end > TIME)
    return np.polyfit(TIME[inside], envelope[inside], 1)[0]


def test_a_sound_is_the_same_in_any_batch():
    params, ids = random_params(7), torch.arange(7)
    sounds = DRUM.render(params, ids)
    assert sounds.shape == (7, 4 * RATE)
    assert sounds.dtype == torch.float32
    assert sounds.abs().max() <= 1
    assert torch.equal(DRUM.render(params, ids), sounds)
    alone = torch.cat([DRUM.render(params[i : i + 1], ids[i : i + 1]) for i in range(7)])
    torch.testing.assert_close(alone, sounds, atol=1e-5, rtol=0)
    assert torch.equal(DRUM.render(params), DRUM.render(params, 0 * ids))


def test_the_noise_row_changes_the_noise_only():
    still = patch(body={"level": 0.5}, metal={"level": 0.5}, transient={"level": 0.5, "noise": 0}).repeat(3, 1)
    first, second, again = DRUM.render(still, torch.tensor([0, 1, 32]))
    assert torch.equal(first, second)
    for name in ("noise", "transient"):
        noisy = patch(**{name: {"level": 0.5, "noise": 1} if name == "transient" else {"level": 0.5}}).repeat(3, 1)
        first, second, again = DRUM.render(noisy, torch.tensor([0, 1, 32]))
        assert torch.equal(first, again)
        assert np.corrcoef(first, second)[0, 1] < 0.2


def test_the_modes_above_the_first_can_be_swapped():
    params = random_params(1)
    swapped = params[:, SPEC.equivalents[[1, -1]]][0]
    assert len(SPEC.equivalents) == 24
    torch.testing.assert_close(DRUM.render(swapped), DRUM.render(params).expand(2, -1), atol=1e-5, rtol=0)


def test_gradients_are_finite_on_the_edges_too():
    params, edge = random_params(16, 3), torch.rand(16, len(SPEC), generator=generator(4))
    params = torch.where(edge < 0.25, 0.0, torch.where(edge > 0.75, 1.0, params))
    params = torch.cat([params, torch.zeros(1, len(SPEC)), torch.ones(1, len(SPEC))]).requires_grad_()
    sounds = DRUM.render(params)
    (sounds * torch.randn(sounds.shape, generator=generator(5))).sum().backward()
    assert params.grad is not None
    assert params.grad.isfinite().all()
    assert sounds.isfinite().all()


def test_gradients_are_slopes():
    params = of_family(torch.arange(len(FAMILIES)), generator(2)).double()
    weights = torch.randn(len(params), m.SAMPLES, generator=generator(3), dtype=torch.float64)
    leaf = params.clone().requires_grad_()
    (DRUM.render(leaf) * weights).sum().backward()
    names = ("body.decay", "mode_2.level", "metal.damping", "noise.decay", "noise.high_cut", "transient.resonance")
    for i, name in enumerate((*names, "output.drive")):
        step = torch.zeros_like(params)
        step[:, SPEC.index(name)] = 1e-4
        up, down = ((DRUM.render(params + s * step) * weights).sum(1) for s in (1, -1))
        assert leaf.grad is not None
        expected = (up - down) / 2e-4
        torch.testing.assert_close(leaf.grad[:, SPEC.index(name)], expected, rtol=0.02, atol=0.02, msg=f"{i} {name}")


def test_no_random_patch_is_silent():
    assert DRUM.render(random_params(64, 6)).abs().amax(1).min() > 0.003


def test_the_body_has_its_pitch_its_modes_and_its_decay():
    knobs = {"level": 0.5, "pitch": 69, "decay": 1.2}
    sound = DRUM.render(patch(body=knobs, mode_2={"level": 0.2, "ratio": 2.5, "decay": 2}))[0].numpy()
    spectrum = np.abs(np.fft.rfft(sound * scipy.signal.get_window("hann", len(sound))))
    peaks = scipy.signal.find_peaks(spectrum, spectrum.max() * 0.05)[0] * RATE / len(sound)
    np.testing.assert_allclose(peaks, [440, 1100], atol=1)
    assert slope(DRUM.render(patch(body=knobs))[0].numpy(), 0.1, 1) == pytest.approx(-60 / 1.2, rel=0.01)


def test_the_pitch_falls_as_it_should():
    knobs = {"level": 0.5, "pitch": 57, "decay": 4, "sweep": 12, "sweep_time": 0.6}
    sound = DRUM.render(patch(body=knobs))[0].numpy()
    frequency = np.diff(np.unwrap(np.angle(analytic(sound)))) * RATE / 2 / np.pi
    expected = 220 * (1 + 10 ** (-3 * TIME / 0.6))
    inside = slice(2000, 60000)
    np.testing.assert_allclose(frequency[inside], expected[:-1][inside], rtol=0.01)


def test_partials_are_decaying_sines_to_the_last_sample():
    frequency, level, t60 = torch.tensor([[440.3, 9876.5]]), torch.tensor([[0.5, 0.25]]), torch.tensor([[3.0, 8.0]])
    phase = torch.tensor([0.0, 0.3])
    expected = sum(
        a * 10 ** (-3 * TIME / t) * np.sin(2 * np.pi * (float(f) * TIME + float(p)))
        for f, a, t, p in zip(frequency[0], level[0].tolist(), t60[0].tolist(), phase, strict=True)
    )
    np.testing.assert_allclose(m.partials(frequency, level, t60, phase)[0], expected, atol=2e-5)


def test_metal_has_the_808s_squares_above_its_low_cut():
    sound = m.metal(*values(205.3, 1, 500, -1, 4, 0))[0].numpy()
    spectrum = np.abs(np.fft.rfft(sound * scipy.signal.get_window("hann", len(sound))))
    levels = [spectrum[round(hz * 4) - 1 : round(hz * 4) + 2].max() for hz in (205.3, 540, 3 * 540)]
    assert levels[2] / levels[1] == pytest.approx((540**4 + 500**4) ** 0.5 / 540**2 / 3, rel=0.1)
    assert levels[0] / levels[1] < 0.3


def test_noise_has_the_response_of_a_butterworth_filter():
    sounds = torch.cat([m.noise(torch.tensor([row]), *values(800, 4000, 2, 1, 0)) for row in range(8)])
    hz, power = scipy.signal.welch(sounds.numpy(), RATE, nperseg=1024)
    expected = 1 / (1 + (hz / 4000) ** 4) / (1 + (800 / np.maximum(hz, 1)) ** 4)  # Butterworth, second order
    inside = (hz > 300) & (hz < 16000)
    ratio = 10 * np.log10(power.mean(0)[inside] / expected[inside])
    assert np.abs(ratio - ratio.mean()).max() < 1.5
    assert sounds.square().mean() == pytest.approx(1, rel=0.1)


def test_damping_shortens_what_is_high():
    knobs = {"level": 0.5, "low_cut": 100, "high_cut": 18000, "decay": 1, "damping": 0.5}
    sounds = DRUM.render(patch(noise=knobs).repeat(16, 1), torch.arange(16)).numpy()
    for hz, expected in ((700, 60), (4000, 60 * 2)):
        band = scipy.signal.butter(4, [hz * 0.7, hz * 1.3], "band", fs=RATE, output="sos")
        power = np.square(scipy.signal.sosfilt(band, sounds)).mean(0)
        early, late = (10 * np.log10(power[(at <= TIME) & (at + 0.1 > TIME)].mean()) for at in (0.02, 0.42))
        assert (early - late) / 0.4 == pytest.approx(expected, rel=0.1)


def test_a_clap_is_bursts_and_then_a_decay():
    envelope = m.bursts(*values(3, 0.012, 0.001, 0.2, 0, 1))[0].numpy()
    starts = (np.diff(envelope) > 0.5).nonzero()[0] + 1
    np.testing.assert_allclose(starts / RATE, [0.012, 0.024], atol=1 / RATE)
    assert envelope[0] == 1
    assert envelope[8820] / envelope[2205] == pytest.approx(10 ** (-3 * 0.15 / 0.2), rel=0.01)


def test_the_transient_is_a_band_pass_of_an_impulse():
    sound = m.transient(torch.tensor([0]), *values(2000, 3, 0.01, 0))[0].numpy()
    angle = 2 * np.pi * 2000 / RATE
    alpha = np.sin(angle) / 2 / 3  # Audio EQ Cookbook, band-pass of constant peak
    b, a = [alpha, 0, -alpha], [1 + alpha, -2 * np.cos(angle), 1 - alpha]
    impulse = np.zeros(m.SAMPLES)
    impulse[0] = m.IMPULSE
    np.testing.assert_allclose(sound, scipy.signal.lfilter(b, a, impulse), atol=2e-3)


def test_drive_is_tanh_and_length_ends_the_sound():
    knobs = {"body": {"level": 0.8, "pitch": 57, "decay": 6}, "output": {"drive": 12, "length": 0.5, "release": 0.1}}
    sound = DRUM.render(patch(**knobs))[0].numpy()
    plain = 0.8 * 10 ** (-3 * TIME / 6) * np.sin(2 * np.pi * 220 * TIME)
    gain = 10 ** (12 / 20)
    expected = 10 ** (-6 / 20) * np.tanh(gain * plain) / np.tanh(gain)
    np.testing.assert_allclose(sound[:20000], expected[:20000], atol=1e-3)
    assert np.abs(sound[TIME > 0.61]).max() == 0


@pytest.fixture(scope="module")
def families():
    """Median spectral centroid in Hz, and median time of 30 dB, of 16 drums of each family."""
    found = {}
    for i, name in enumerate(FAMILIES):
        sounds = DRUM.render(of_family(torch.full((16,), i), generator(1))).numpy()
        power = np.abs(np.fft.rfft(sounds)) ** 2
        centroid = (power * np.fft.rfftfreq(m.SAMPLES, 1 / RATE)).sum(1) / power.sum(1)
        rest = np.cumsum(sounds[:, ::-1] ** 2, axis=1)[:, ::-1]
        found[name] = np.median(centroid), np.median((rest > 1e-3 * rest[:, :1]).sum(1) / RATE)
    return found


def test_families_of_the_prior_sound_different(families):
    bright = {name: centroid for name, (centroid, _) in families.items()}
    assert 4 * bright["kick"] < bright["snare"] < bright["clap"] < bright["cymbal"] < bright["hat"]
    assert 1.5 * bright["tom"] < bright["snare"]
    lasting = {name: seconds for name, (_, seconds) in families.items()}
    assert lasting["kick"] < lasting["tom"] < lasting["cymbal"]
    assert 1.5 * lasting["hat"] < lasting["cymbal"]


def test_searches_draw_from_the_prior():
    params = draws(DRUM)(64, generator())
    assert params.shape == (64, len(SPEC))
    assert ((params >= 0) & (params <= 1)).all()
    assert torch.equal(params, draws(DRUM)(64, generator()))
    assert params.std(0).mean() < 0.25 < random_params(64).std(0).mean()


def test_short_sounds_are_whole():
    """What is left out of the computation of a short sound would have been silence."""
    long = patch(body={"level": 0.5, "decay": 6}, noise={"level": 0.3}, output={"length": 4, "release": 1})
    short = patch(body={"level": 0.5, "decay": 6}, noise={"level": 0.3}, output={"length": 0.3, "release": 0.1})
    together = DRUM.render(torch.cat([long, short, long]))
    sound = together[1]
    assert sound[: round(0.39 * RATE)].abs().amax() > 0.01
    assert sound[round(0.4 * RATE) + 1 :].abs().amax() == 0
    held = round(0.3 * RATE)
    torch.testing.assert_close(sound[:held], together[0, :held], atol=1e-5, rtol=0)
    torch.testing.assert_close(together[0], together[2], atol=1e-5, rtol=0)


def lasting(sounds):
    """Seconds after which a thousandth of the energy is left."""
    rest = sounds.square().flip(1).cumsum(1).flip(1)
    return (rest > 1e-3 * rest[:, :1]).sum(1) / RATE


def test_the_voices_own_drums_are_shorter_than_its_other_sounds():
    voice = synth("voice")
    drums, others = draw(64, generator()), torch.rand(64, len(voice.spec), generator=generator())
    assert ((drums >= 0) & (drums <= 1)).all()
    assert 2 * lasting(voice.render(drums)).median() < lasting(voice.render(others)).median()
    curves = {p.name: (p.curve, p.symmetric) for p in NEBULA.params}  # some of torchsynth's nebulae/voice/drum.json
    assert curves["keyboard.midi_f0"] == (0.5, True)
    assert curves["mod_matrix.adsr_2->vco_1_amp"] == (2, False)
    assert curves["mod_matrix.adsr_2->noise_amp"] == (1, False)
    assert curves["lfo_1_amp_adsr.attack"] == (0.5, False)
    source = Live(voice, "invented")
    assert not torch.equal(source.params("train", torch.arange(4)), Live(voice).params("train", torch.arange(4)))


def test_match_writes_a_patch_that_plays_what_was_heard(tmp_path, capsys):
    options = ["--synth", "drum", "--renders", "40", "--candidates", "1", "--out", tmp_path]
    assert run(capsys, "match", EXAMPLE, *options)[0] == 0
    folder = tmp_path / EXAMPLE.stem
    assert json.loads((folder / "patch.json").read_text())["synth"] == "drum"
    again = tmp_path / "again.wav"
    assert run(capsys, "render", folder / "patch.json", "--out", again)[0] == 0
    heard, played = (soundfile.read(path)[0] for path in (folder / "match.wav", again))
    np.testing.assert_allclose(played, heard, atol=1e-4)


def test_its_parameters_are_listed_in_units(capsys):
    _, out, _ = run(capsys, "synths", "drum")
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert lines["noise.high_cut"][:2] == ["100", "Hz"]
    assert lines["body.pitch"][-2:] == ["112", "MIDI"]
    assert 25 <= len(lines) - 1 <= 45
