"""ParamSpec: what goes in comes out, for any spec that can be written."""

import pytest
import torch
from hypothesis import given, settings, strategies as st

from unsynth.params import Param, ParamSpec
from unsynth.synths.voice import SPEC


@st.composite
def params(draw, name):
    low = draw(st.floats(-1000, 1000))
    high = low + draw(st.floats(0.1, 1000))
    curve = draw(st.sampled_from([0.2, 0.25, 0.5, 1.0, 2.0]))
    return Param(name, low, high, "Hz", curve, draw(st.booleans()))


specs = st.lists(st.integers(0, 10**6), min_size=1, max_size=8, unique=True).flatmap(
    lambda names: st.tuples(*(params(str(n)) for n in names)).map(lambda ps: ParamSpec("any", list(ps)))
)


@settings(max_examples=60, deadline=None)
@given(specs, st.integers(0, 2**31))
def test_human_and_unit_are_inverse(spec, seed):
    unit = torch.rand(16, len(spec), generator=torch.Generator().manual_seed(seed))
    human = spec.to_human(unit)
    assert torch.all(human >= spec.column("low") - 1e-3)
    assert torch.all(human <= spec.column("high") + 1e-3)
    again = spec.to_human(spec.to_unit(human))
    torch.testing.assert_close(again, human, rtol=1e-3, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.integers(-5, 5))
def test_every_step_is_reached_and_comes_back(count, low):
    choices = tuple(f"choice {i}" for i in range(count))
    spec = ParamSpec("any", [Param("c", low, low + count - 1, kind="categorical", choices=choices)])
    steps = low + torch.arange(count, dtype=torch.float32)[:, None]
    assert torch.equal(spec.to_human(spec.to_unit(steps)), steps)
    assert [spec.text(0, float(s)) for s in steps] == list(choices)
    assert set(spec.to_human(torch.linspace(0, 1, 50 * count)[:, None])[:, 0].tolist()) == set(steps[:, 0].tolist())


@given(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3))
def test_snapping_moves_steps_to_their_middle_and_nothing_else(units):
    choice = Param("c", 0, 2, kind="categorical", choices=("a", "b", "c"))
    spec = ParamSpec("any", [Param("a", 0, 9, curve=0.5), Param("b", -1, 2, kind="integer"), choice])
    unit = torch.tensor(units)
    snapped = spec.snap(unit)
    assert torch.equal(spec.to_human(snapped), spec.to_human(unit))
    assert snapped[0] == unit[0]
    assert snapped[1:].tolist() == pytest.approx(
        [min(int(u * n), n - 1) / n + 0.5 / n for u, n in zip(units[1:], (4, 3), strict=True)]
    )


def test_gradient_is_finite_at_the_edges():
    unit = torch.tensor([0.0, 0.5, 1.0, 1e-38])[:, None].expand(-1, len(SPEC)).clone().requires_grad_()
    SPEC.to_human(unit).sum().backward()
    assert unit.grad is not None
    assert torch.isfinite(unit.grad).all()


def test_hash_changes_with_anything_that_changes_the_sound():
    def spec(**change):
        return ParamSpec("s", [Param("a"), Param(**{"name": "b", "high": 2.0, **change})])

    same = spec().hash
    assert spec().hash == same
    for change in ({"high": 3.0}, {"curve": 0.5}, {"name": "c"}, {"symmetric": True}, {"kind": "integer"}):
        assert spec(**change).hash != same
    assert ParamSpec("s", [Param(name="b", high=2.0), Param("a")]).hash != same


@pytest.mark.parametrize(
    "build",
    [
        lambda: Param("a", 1, 1),
        lambda: Param("a", 0, 2, kind="categorical", choices=("x",)),
        lambda: ParamSpec("s", [Param("a"), Param("a")]),
        lambda: ParamSpec("s", [Param("a"), Param("b")], symmetries=(((0,), (0, 1)),)),
    ],
)
def test_nonsense_is_refused(build):
    with pytest.raises(ValueError, match=r"\w"):
        build()


def test_the_voice_has_its_78_parameters_in_registration_order():
    assert len(SPEC) == 78
    assert SPEC.names[:2] == ("keyboard.midi_f0", "keyboard.duration")
    assert SPEC.names[48] == "mod_matrix.adsr_1->vco_1_pitch"
    assert SPEC.names[-1] == "mixer.noise"
    lfo = SPEC.to_human(torch.full((1, 78), 0.5))[0, SPEC.index("lfo_1.mod_depth")]
    assert float(lfo) == 5.0
