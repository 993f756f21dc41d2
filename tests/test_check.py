"""`unsynth synths check`: a good synth passes, every kind of bad one fails at its line; and docs/extending.md works."""

import re
from pathlib import Path

import pytest
import torch
from commands import is_one_sentence, run
from toy import Toy

from unsynth import synths
from unsynth.check import check
from unsynth.errors import ContractError
from unsynth.params import Param, ParamSpec

ROOT = Path(__file__).parent.parent


class Random(Toy):
    def render(self, params, noise=None):
        return super().render(params) + 0.01 * torch.rand(len(params), 1)


class Remembers(Toy):
    """Its echo of the sound before it is the same only if all is played in the same order."""

    def render(self, params, noise=None):
        sound = super().render(params)
        return sound + 0.1 * sound.roll(1, 0)


class Batched(Toy):
    """Louder alone."""

    def render(self, params, noise=None):
        return super().render(params) / len(params) ** 0.1


class Loud(Toy):
    def render(self, params, noise=None):
        return 4 * super().render(params)


class Silent(Toy):
    def render(self, params, noise=None):
        return 1e-6 * super().render(params)


class Broken(Toy):
    """NaN where the level is 0."""

    def render(self, params, noise=None):
        return super().render(params) * (params[:, 1:2] / params[:, 1:2])


class Short(Toy):
    def render(self, params, noise=None):
        return super().render(params)[:, :-1]


class Detached(Toy):
    def render(self, params, noise=None):
        return super().render(params.detach()) + 0 * params.sum()


class Crashes(Toy):
    def render(self, params, noise=None):
        raise RuntimeError("no such oscillator")


class Stepless(Toy):
    """Says it has steps, and has none."""

    spec = ParamSpec("toy", [Param("frequency", 200, 205, kind="integer"), Param("level"), Param("unused")])

    def render(self, params, noise=None):
        return super().render(params) * params[:, :1]


class Slow(Toy):
    seconds = 0.25

    def render(self, params, noise=None):
        import time

        time.sleep(0.3 * len(params))
        return super().render(params)


class Greedy(Toy):
    """Plays its patches, and changes them."""

    def render(self, params, noise=None):
        sound = super().render(params)
        params.zero_()
        return sound


class Renamed(Toy):
    spec = ParamSpec("other", list(Toy.spec.params))


class Unreadable(Toy):
    spec = ParamSpec("toy", [Param("frequency", 200, 2000, "Hz"), Param("level"), Param("a\nb")])


class Low(Toy):
    rate = 22050


class Asymmetric(Toy):
    """Says that its first two knobs may be swapped."""

    spec = ParamSpec("toy", list(Toy.spec.params), (((0,), (1,)),))


class Double(Toy):
    def render(self, params, noise=None):
        return super().render(params).double()


class Numpy(Toy):
    def render(self, params, noise=None):
        return super().render(params).detach().numpy()


def failed(synth, **options):
    return {line.name for line in check(synth, **options) if not line.passed}


def test_good_synths_pass():
    assert failed(Toy()) == set()
    assert failed(synths.synth("voice"), count=4) == set()


@pytest.mark.parametrize(
    ("synth", "lines"),
    [
        (Random, {"determinism", "order", "batching", "steps"}),
        (Remembers, {"order", "batching"}),
        (Batched, {"batching"}),
        (Loud, {"level"}),
        (Silent, {"silence"}),
        (Broken, {"finite"}),
        (Short, {"shape"}),
        (Double, {"shape"}),
        (Renamed, {"names"}),
        (Unreadable, {"names"}),
        (Low, {"rate"}),
        (Asymmetric, {"symmetry"}),
        (Detached, {"gradient"}),
        (Stepless, {"steps"}),
    ],
)
def test_bad_synths_fail_at_their_line(synth, lines):
    assert failed(synth()) == lines


def test_what_is_given_must_stay_as_it_is():
    assert "arguments" in failed(Greedy())


def test_what_is_no_tensor_is_said():
    lines = {line.name: str(line) for line in check(Numpy())}
    assert "returns ndarray where it should return a torch tensor" in lines["shape"]


def test_slow_synths_fail_at_speed():
    assert failed(Slow(), count=2) == {"speed"}


def test_what_a_synth_raises_is_told():
    lines = list(check(Crashes()))
    assert {line.name for line in lines if line.passed} == {"spec", "names", "rate"}
    assert all("no such oscillator" in str(line) for line in lines if not line.passed)


def test_the_command_prints_a_line_each_and_tells_the_shell(capsys, monkeypatch):
    monkeypatch.setitem(synths.SYNTHS, "good", Toy)
    monkeypatch.setitem(synths.SYNTHS, "bad", Loud)
    code, out, err = run(capsys, "synths", "check", "good")
    assert (code, err) == (0, "")
    assert all(line.startswith("ok ") for line in out.splitlines())
    code, out, err = run(capsys, "synths", "check", "bad")
    assert code == ContractError.exit_code
    assert is_one_sentence(err)
    assert [line.split()[1] for line in out.splitlines() if line.startswith("FAIL")] == ["level"]


@pytest.mark.parametrize("argv", [["check"], ["profile"], ["check", "magic"], ["play", "voice"]])
def test_actions_that_make_no_sense(capsys, argv):
    code, _, err = run(capsys, "synths", *argv)
    assert code == 2
    assert is_one_sentence(err)


def test_the_synth_of_the_docs_is_short_and_good():
    (code,) = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs" / "extending.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert len(code.splitlines()) < 60
    there = {"__name__": "organ"}
    exec(compile(code, "organ.py", "exec"), there)
    organ = there["Organ"]()
    assert failed(organ) == set()
    flute = organ.spec.to_human(torch.zeros(1, len(organ.spec)))
    flute[0, :6] = torch.tensor([69, 1.5, 0.002, 0.01, 0, 1.0])
    sound = organ.render(organ.spec.to_unit(flute))[0]
    spectrum = torch.fft.rfft(sound[11025:55125] * torch.hann_window(44100)).abs()
    assert spectrum.argmax() == 440
    assert sound[round(1.52 * 44100) :].abs().max() == 0
