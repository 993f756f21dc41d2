"""What a report says of sounds, against sounds whose pitch, brightness, attack and length are known."""

import math

import pytest
import torch
from toy import Toy

from unsynth import distances
from unsynth.candidates import Candidate, tell_apart
from unsynth.pitch import FRAME_SECONDS, is_pitched, track
from unsynth.report.features import features
from unsynth.report.loudness import as_loud
from unsynth.report.projection import scaled, spectral_distances
from unsynth.report.words import CONTRASTS, contrasts

RATE = 44_100
SAME = dict.fromkeys(CONTRASTS, 0.0)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def seconds(length=1.0, rate=RATE):
    return torch.arange(round(rate * length)) / rate


def tone(hertz, length=1.0, rate=RATE, partials=(1,)):
    turns = 2 * math.pi * hertz * seconds(length, rate)
    return 0.3 * sum(torch.sin(k * turns + k) / k for k in partials)


def noise(length=1.0):
    return 0.3 * torch.randn(round(RATE * length), generator=torch.Generator().manual_seed(0))


def of(*sounds, rate=RATE):
    rows = as_loud(list(sounds), rate)
    return features(rows, rate, [track(row, rate) for row in rows])


def alone(*sounds):
    """The features of each sound as numbers."""
    found = of(*sounds)
    return [{name: float(values[i]) for name, values in found.items()} for i in range(len(sounds))]


@pytest.mark.parametrize("rate", [16_000, RATE])
@pytest.mark.parametrize("partials", [(1,), (1, 2, 3, 4), (2, 3)])
@pytest.mark.parametrize("hertz", [55.0, 220.0, 440.0, 987.77])
def test_a_tone_has_the_pitch_of_its_fundamental(hertz, partials, rate):
    """Also where the fundamental itself is missing."""
    sound = tone(hertz, 0.5, rate, partials)
    found = track(sound, rate)
    inner = found[2:-3]
    assert is_pitched(found, sound, rate)
    assert (1200 * (inner / hertz).log2()).abs().max() < 5


def test_a_glide_is_followed():
    """200 Hz and 200 more in each second."""
    time = seconds(2.0)
    found = track(torch.sin(2 * math.pi * (200 * time + 100 * time.square())), RATE)
    expected = 200 + 200 * FRAME_SECONDS * torch.arange(len(found))
    torch.testing.assert_close(found[2:-4], expected[2:-4], rtol=0.005, atol=0)


def test_noise_and_silence_have_no_pitch():
    for sound in (noise(), torch.zeros(RATE), torch.zeros(1)):
        assert not is_pitched(track(sound, RATE), sound, RATE)
    after = torch.cat([tone(440, 0.5), torch.zeros(RATE)])
    assert track(after, RATE)[30:].isnan().all()


def test_centroid_is_the_middle_of_two_equal_tones():
    window = torch.hann_window(RATE)
    found = of(window * (tone(1000) + tone(3000)), window * tone(4000))["centroid"]
    torch.testing.assert_close(2**found, torch.tensor([2000.0, 4000.0]), rtol=0.01, atol=0)


def test_length_is_that_of_the_decay():
    """exp(-t / T) is 30 dB down after T * 1.5 ln 10."""
    times = torch.tensor([0.05, 0.1, 0.2])
    found = of(*((-seconds(2.0) / t).exp() * tone(1000, 2.0) for t in times))["length"]
    torch.testing.assert_close(2**found, times * 1.5 * math.log(10), atol=0.015, rtol=0)


def test_attack_is_that_of_a_ramp():
    """From a tenth to 0.708 of a ramp that takes half a second."""
    ramp = (seconds() / 0.5).clamp(max=1) * tone(1000)
    slow, jump = 2 ** of(ramp, tone(1000))["attack"]
    assert slow == pytest.approx(0.5 * (10 ** (-3 / 20) - 0.1), abs=0.01)
    assert jump <= 0.0125


def test_onset_is_the_level_of_the_beginning():
    """Half as loud for the first 50 ms is 6 dB softer."""
    softer = torch.where(seconds() < 0.055, 0.5, 1.0) * tone(1000)
    found = features(torch.stack([tone(1000), softer]), RATE, [track(tone(1000), RATE)] * 2)["onset"]
    assert found[0] == pytest.approx(20 * math.log10(0.3 / math.sqrt(2)), abs=0.5)
    assert found[0] - found[1] == pytest.approx(20 * math.log10(2), abs=0.3)


def test_flatness_is_that_of_white_noise():
    """The power of noise in a bin is exponential, whose geometric mean is exp(-gamma) of its mean."""
    euler = 0.5772156649
    found = of(noise(), torch.hann_window(RATE) * tone(1000))["flatness"]
    assert found[0] == pytest.approx(-10 * euler / math.log(10), abs=0.15)
    assert found[1] < -40


def test_sounds_differ_in_the_words_of_how_they_were_made():
    decay = (-seconds(2.0) / 0.2).exp()
    made = {
        "much higher pitch": decay * tone(880, 2.0),
        "longer": decay.sqrt() * tone(440, 2.0),
        "much slower attack": (seconds(2.0) / 0.3).clamp(max=1) * decay * tone(440, 2.0),
        "much noisier": decay * (tone(440, 2.0) + 0.3 * noise(2.0)),
        "much brighter": decay * tone(440, 2.0, partials=range(1, 30)),
    }
    plain, *others = alone(decay * tone(440, 2.0), *made.values())
    for expected, other in zip(made, others, strict=True):
        words = dict(contrasts(plain, other))
        assert expected in words
    assert dict(contrasts(plain, others[0]))["much higher pitch"] == "pitch +12.0 semitones"
    assert dict(contrasts(plain, others[1]))["longer"] == "length × 2"
    assert "much lower pitch" in dict(contrasts(others[0], plain))


def test_words_have_degrees_and_the_largest_comes_first():
    least = {name: how.least for name, how in CONTRASTS.items()}
    assert contrasts(SAME, {**SAME, "length": 0.9 * least["length"], "pitch": math.nan}) == []
    found = contrasts(SAME, {**SAME, "onset": -1.1 * least["onset"], "flatness": -3 * least["flatness"]})
    assert [words for words, _ in found] == ["purer", "slightly softer attack"]
    assert found[0][1] == "spectral flatness -9.0 dB"


def test_distances_of_the_map_are_those_of_the_metric():
    sounds = torch.stack([tone(440, 0.5), tone(500, 0.5), noise(0.5)])
    expected = torch.stack([distances.mss(sound[None], sounds) for sound in sounds])
    torch.testing.assert_close(spectral_distances(sounds), expected, atol=0.02, rtol=0)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_points_of_a_plane_keep_their_distances(count):
    points = torch.randn(count, 2, generator=torch.Generator().manual_seed(count)).double()
    found = scaled(torch.cdist(points, points))
    torch.testing.assert_close(torch.cdist(found, found), torch.cdist(points, points).float(), atol=1e-5, rtol=0)
    assert (found[0] <= 0).all()


def test_only_parameters_that_are_heard_set_candidates_apart():
    def made(*params):
        return Candidate(torch.tensor(params), 0, torch.zeros(1), 0.0, 0.0, {})

    found = [made(0.2, 0.5, 0.1), made(0.5, 0.5, 0.9), made(0.2, 0.5, 0.9)]
    tell_apart(Toy(), found, renders=6)
    assert [candidate.differs for candidate in found] == [(), ("frequency",), ()]
    fresh = [made(0.2, 0.5, 0.1), made(0.5, 0.5, 0.9)]
    tell_apart(Toy(), fresh, renders=0)
    assert fresh[1].differs == ()
