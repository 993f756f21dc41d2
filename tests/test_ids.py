"""Sound ids: pure functions, one split for everything."""

import pytest
import torch
from hypothesis import given, strategies as st

from unsynth import native
from unsynth.base import UsageError
from unsynth.sounds import ids
from unsynth.synths.voice import SPEC

numbers = st.integers(0, 4 * 10**8)


@given(numbers, st.integers(1, 3000))
def test_train_and_test_ids_are_ordered_and_of_their_split(start, count):
    for of, train in ((ids.train_ids, True), (ids.held_out_ids, False)):
        found = of(start, count)
        assert torch.all(found.diff() > 0)
        assert torch.all(ids.is_train(found) == train)


@given(numbers)
def test_counting_ids_skips_none(start):
    after = ids.train_ids(start, 1025)
    between = torch.arange(int(after[0]), int(after[-1]) + 1)
    assert torch.equal(between[ids.is_train(between)], after)


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(1, 3000))
def test_validation_and_test_have_no_id_in_common(first, second, count):
    quoted, chosen = ids.quoted_ids(first, count), ids.validation_ids(second, count)
    assert not ids.is_train(torch.cat([quoted, chosen])).any()
    assert torch.cat([quoted, chosen]).unique().numel() == 2 * count


@pytest.mark.parametrize(("of", "side"), [(ids.quoted_ids, 0), (ids.validation_ids, 1)])
def test_the_first_100_000_of_each_are_in_a_row(of, side):
    first = ids.held_out_ids(side * ids.VALIDATION, ids.VALIDATION)
    assert torch.equal(of(0, ids.VALIDATION), first)
    assert of(ids.VALIDATION, 1) > ids.held_out_ids(2 * ids.VALIDATION - 1, 1)


@pytest.mark.parametrize("of", [ids.train_ids, ids.held_out_ids, ids.quoted_ids, ids.validation_ids])
def test_there_are_no_ids_that_are_another_ones_patch(of):
    with pytest.raises(UsageError, match="4,294,967,296"):
        of(4 * 10**9, 3)


def test_params_depend_on_the_id_alone():
    some = torch.tensor([0, 1, 77, 10**9, 2**32 - 1])
    together = ids.params_of(some, SPEC)
    for i, sound in enumerate(some):
        assert torch.equal(ids.params_of(sound[None], SPEC)[0], together[i])
    assert float(together.min()) >= 0
    assert float(together.max()) < 1


def test_without_native_code_the_same_numbers(monkeypatch):
    some = torch.tensor([0, 5, 123456789])
    expected = ids.uniforms(some, 78)
    monkeypatch.setattr(native, "kernels", None)
    assert torch.equal(ids.uniforms(some, 78), expected)
