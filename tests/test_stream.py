"""What is rendered for training: no held-out sound, every sound once, whoever renders it."""

import itertools

import pytest
import torch
from hypothesis import given, settings, strategies as st
from training import Chime

from unsynth.errors import UsageError
from unsynth.sounds.ids import is_train
from unsynth.sounds.live import Live
from unsynth.sounds.stream import Stream


class Silent(Chime):
    seconds = 1 / Chime.rate

    def render(self, params, noise=None):
        return torch.zeros(len(params), 1)


def ids(batch, rank, world, first, step):
    return Stream(Live(Silent()), batch, rank, world, first).at(step).ids


SHARES = st.tuples(st.integers(1, 8), st.integers(1, 700))  # processes, rows of each


@settings(deadline=None, max_examples=40)
@given(SHARES, st.integers(0, 100_000), st.integers(0, 3_000))
def test_no_held_out_sound_and_the_same_global_batch_in_any_world(share, first, step):
    world, rows = share
    together = ids(world * rows, 0, 1, first, step)
    assert is_train(together).all()
    assert (together // 1024 % 10 != 9).all()
    apart = [ids(world * rows, rank, world, first, step) for rank in range(world)]
    assert [len(part) for part in apart] == [rows] * world
    assert torch.equal(torch.cat(apart), together)


@settings(deadline=None, max_examples=8)
@given(SHARES, st.integers(0, 20_000))
def test_no_sound_comes_twice_and_none_is_left_out(share, first):
    world, rows = share
    told = torch.cat([ids(world * rows, 0, 1, first, step) for step in range(25)])
    everything = torch.arange(int(told[-1]) + 1)
    assert torch.equal(told, everything[is_train(everything)][first:])


def test_the_stream_goes_on_from_any_step_with_the_sounds_of_the_ids():
    torch.set_num_threads(1)
    stream = Stream(Live(Chime()), 4)
    for step, batch in enumerate(itertools.islice(stream.since(2300), 6), 2300):
        assert torch.equal(batch.ids, stream.at(step).ids)
        assert torch.equal(batch.audio, Chime().render(batch.params, batch.ids))


def test_a_batch_that_cannot_be_shared():
    with pytest.raises(UsageError, match="multiple of 3"):
        Stream(Live(Chime()), 16, 0, 3)
