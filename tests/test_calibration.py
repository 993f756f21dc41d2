"""Calibration: exact posteriors pass, and wrong ones fail as closed forms say they do."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest, norm
from torch.special import ndtr, ndtri

from unsynth.base import Estimator, PatchError, Synth, UsageError
from unsynth.calibration import LEVELS, Setting, band, bin_interval, calibrate, canonical, checked, ranked
from unsynth.params import Param, ParamSpec
from unsynth.sounds.live import Live
from unsynth.synths import synth

NOISE = 0.02
OTHER_SEEDS = 1 << 40  # noise of a sound is not of the random numbers that its parameters are of
SETTING = Setting(targets=400, draws=63)
ROUNDING = 0.03  # draws are finitely many, and the cube has faces


class Heard(Synth):
    """Its sounds are its parameters with Gaussian noise; with ``sort``, its parameters in increasing order."""

    name, rate, differentiable = "heard", 1000, False

    def __init__(self, spec, sort=False):
        self.spec, self.seconds, self.sort = spec, len(spec) / 1000, sort

    def render(self, params, noise=None):
        seeds = (torch.Generator().manual_seed(OTHER_SEEDS + i) for i in noise.tolist())
        noises = torch.stack([torch.randn(len(self.spec), generator=seed) for seed in seeds])
        return (params.sort(1).values if self.sort else params) + NOISE * noises


class Gauss(Estimator):
    """The posterior of uniform parameters of ``Heard``, but ``wide`` times too wide and moved by ``shift``."""

    def __init__(self, wide=1.0, shift=0.0):
        super().__init__()
        self.wide, self.shift = wide, shift

    def loss(self, batch, player):
        raise AssertionError

    def sample(self, audio, n, generator):
        scale, middle = NOISE * self.wide, audio.double() + self.shift
        low, high = ndtr(-middle / scale), ndtr((1 - middle) / scale)
        share = torch.rand(n, *audio.shape, generator=generator, dtype=torch.float64)
        return (middle + scale * ndtri(low + share * (high - low))).clamp(0, 1).float()


class Pair(Gauss):
    """The posterior of two parameters of which only the sorted ones are heard; in one order, or in both equally."""

    def __init__(self, both):
        super().__init__()
        self.both = both

    def sample(self, audio, n, generator):
        many = super().sample(audio, 200 * n, generator)[:, 0]
        drawn = many[many[:, 0] < many[:, 1]][:n]
        swapped = self.both & (torch.rand(n, 1, generator=generator) < 0.5)
        return torch.where(swapped, drawn.flip(1), drawn)[:, None]


class Prior(Gauss):
    """Hears nothing."""

    def sample(self, audio, n, generator):
        return torch.rand(n, *audio.shape, generator=generator)


PLAIN = ParamSpec("heard", [Param("a.x"), Param("a.y")])
TWINS = ParamSpec("heard", [Param("a.x"), Param("b.x")], (((0,), (1,)),))
STEPS = ParamSpec(
    "heard",
    [
        Param("a.number", 0, 2, kind="integer"),
        Param("a.wave", 0, 1, kind="categorical", choices=("sine", "saw")),
        Param("a.level"),
    ],
)


def calibration(estimator, spec=PLAIN, setting=SETTING, **options):
    return calibrate(estimator, Live(Heard(spec, **options)), setting)


def all_checks(found):
    return [found.joint, *found.params.values()]


def middle_of(check):
    """Mean rank."""
    counts = np.array(check.histogram)
    return counts @ (np.arange(len(counts)) + 0.5) / len(counts) / counts.sum()


def test_the_right_posterior_is_calibrated():
    low, high = band(SETTING.targets)
    for check in all_checks(calibration(Gauss())):
        assert check.q > 0.05
        assert abs(check.overconfidence) < 0.1
        assert (np.array(low) <= check.coverage).all()
        assert (check.coverage <= np.array(high)).all()
        assert sum(check.histogram) == SETTING.targets
        assert check.contraction == pytest.approx(1 - 12 * NOISE**2, abs=2e-3)


@pytest.mark.parametrize("wide", [0.5, 2.0])
def test_too_narrow_and_too_wide_draws_have_the_coverage_of_the_closed_form(wide):
    found = calibration(Gauss(wide=wide))
    expected = 2 * norm.cdf(wide * norm.ppf((1 + np.array(LEVELS)) / 2)) - 1
    deviation = np.sqrt(expected * (1 - expected) / SETTING.targets)
    for check in found.params.values():
        assert (np.abs(check.coverage - expected) < 3.5 * deviation + ROUNDING).all()
        assert check.calibration_error == pytest.approx(np.abs(expected - LEVELS).mean(), abs=0.05)
    for check in all_checks(found):
        assert check.q < 0.05
        assert check.overconfidence * (1 - wide) > 0.02


@pytest.mark.parametrize("shift", [-NOISE, NOISE])
def test_moved_draws_have_the_ranks_of_the_closed_form(shift):
    found = calibration(Gauss(shift=shift))
    for check in found.params.values():
        assert check.q < 1e-6
        assert middle_of(check) == pytest.approx(norm.cdf(-shift / NOISE / math.sqrt(2)), abs=0.05)
        assert check.overconfidence > 0.1


def test_who_hears_nothing_is_calibrated_steps_and_choices_too_and_contracts_nothing():
    found = calibration(Prior(), STEPS)
    for check in all_checks(found):
        assert check.q > 0.05
        assert abs(check.overconfidence) < 0.1
        assert check.contraction == pytest.approx(0, abs=0.1)


def test_ties_are_broken_at_random():
    generator = torch.Generator().manual_seed(0)
    ranks = ranked(torch.ones(2000), torch.ones(7, 2000), generator)
    assert kstest(ranks, "uniform").pvalue > 0.01
    below = ranked(torch.full((2000,), 2.0), torch.ones(7, 2000), generator)
    assert kstest((below - 7 / 8) * 8, "uniform").pvalue > 0.01


def test_a_patch_and_those_that_sound_the_same_have_one_canonical_form():
    spec = synth("voice").spec
    patches = torch.rand(5, len(spec), generator=torch.Generator().manual_seed(0))
    first = torch.tensor([min(spec.snap(p)[spec.equivalents].tolist()) for p in patches])
    for order in spec.equivalents:
        assert torch.equal(canonical(patches[:, order], spec), first)
    assert not torch.equal(first, spec.snap(patches))


def test_equal_knobs_leave_the_choice_of_the_order_to_the_next():
    spec = ParamSpec("four", [Param(name) for name in "abcd"], (((0, 1), (2, 3)),))
    assert canonical(torch.tensor([0.5, 0.75, 0.5, 0.25]), spec).tolist() == [0.5, 0.25, 0.5, 0.75]
    assert canonical(torch.tensor([0.5, 0.25, 0.5, 0.75]), spec).tolist() == [0.5, 0.25, 0.5, 0.75]


@pytest.mark.parametrize(("both", "raw", "calibrated"), [(1, 0, 1), (1, 1, 1), (0, 0, 1), (0, 1, 0)])
def test_one_of_two_orders_that_sound_the_same_will_do_unless_raw(both, raw, calibrated):
    found = calibration(Pair(bool(both)), TWINS, Setting(targets=400, raw=bool(raw)), sort=True)
    assert all((check.q > 0.05) == bool(calibrated) for check in found.params.values())
    assert (found.joint.q > 0.05) == bool(calibrated)


def test_all_together_tells_what_each_alone_cannot():
    """Two parameters of which the sum is heard, to (0, 1): draws that know it, and draws only right one by one."""
    generator = torch.Generator().manual_seed(0)
    one = torch.rand(400, generator=generator)
    together = torch.rand(63, 400, generator=generator)
    right, apart = torch.stack([together, 1 - together], -1), torch.rand(63, 400, 2, generator=generator)
    truth = torch.stack([one, 1 - one], -1)
    assert checked(truth, right, PLAIN, generator).joint.q > 0.05
    wrong = checked(truth, apart, PLAIN, generator)
    assert all(check.q > 0.05 for check in wrong.params.values())
    assert wrong.joint.q < 0.05


def test_it_repeats_by_its_seed():
    setting = Setting(targets=20, draws=10)
    assert calibration(Gauss(), setting=setting) == calibration(Gauss(), setting=setting)
    assert calibration(Gauss(), setting=setting) != calibration(Gauss(), setting=Setting(20, draws=10, seed=1))


def test_sounds_are_held_out_and_validation_begins_where_it_does():
    assert Setting(start=99_999).place == ("test", 99_999)
    assert Setting(start=100_003).place == ("validation", 3)


@pytest.mark.parametrize("count", [40, 256])
def test_the_band_holds_nineteen_curves_of_twenty(count):
    low, high = (np.array(edge) for edge in band(count))
    uniform = np.random.default_rng(1).random((4000, count, 1))
    curves = np.stack([(uniform <= level).mean((1, 2)) for level in LEVELS], 1)
    inside = ((curves >= low - 1e-9) & (curves <= high + 1e-9)).all(1).mean()
    assert inside == pytest.approx(0.95, abs=0.015)


def test_a_bin_is_in_its_interval_in_99_of_100_cases():
    low, high = bin_interval(256)
    counts = np.random.default_rng(0).binomial(256, 1 / 16, 20_000)
    assert 0.988 < ((counts >= low) & (counts <= high)).mean() < 0.999


@pytest.mark.parametrize("wrong", [{"targets": 7}, {"draws": 2}, {"start": -1}, {"seed": -1}])
def test_settings_that_say_nothing_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Setting(**wrong)


def test_draws_that_are_no_numbers_are_refused():
    with pytest.raises(PatchError, match="train it again"):
        calibration(Gauss(shift=math.nan), setting=Setting(targets=8))


def test_a_source_that_ends_must_have_enough(monkeypatch):
    source = Live(Heard(PLAIN))
    monkeypatch.setattr(source, "size", lambda split: 10)
    with pytest.raises(UsageError, match="only 10 test sounds"):
        calibrate(Gauss(), source, Setting(targets=11))
