"""Turns: bounded, fair, and given up at once."""

import threading
from queue import Full

import pytest

from unsynth.web.turns import Turns


@pytest.fixture
def turns():
    made = Turns(workers=1, waiting=4)
    yield made
    made.close()


def busy(turns):
    """A turn that runs until it is told to end, which has begun."""
    began, end = threading.Event(), threading.Event()

    def work(turn):
        began.set()
        end.wait(5)

    turns.take("busy", work)
    assert began.wait(5)
    return end


def test_owners_are_served_in_rounds(turns):
    served, done = [], threading.Event()

    def work(turn):
        served.append(turn.owner)
        if len(served) == 4:
            done.set()

    end = busy(turns)
    waiting = [turns.take(owner, work) for owner in ("a", "a", "b", "c")]
    assert [turns.position(turn) for turn in waiting] == [1, 4, 2, 3]
    end.set()
    assert done.wait(5)
    assert served == ["a", "b", "c", "a"]


def test_the_line_is_bounded(turns):
    end = busy(turns)
    for _ in range(4):
        turns.take("x", lambda turn: None)
    with pytest.raises(Full):
        turns.take("y", lambda turn: None)
    end.set()


def test_a_turn_that_is_given_up_never_runs_and_makes_room(turns):
    end, ran = busy(turns), []
    left = turns.take("x", lambda turn: ran.append("left"))
    done = threading.Event()
    kept = turns.take("y", lambda turn: done.set())
    assert turns.position(kept) == 2
    turns.leave(left)
    assert (left.state, turns.position(left), turns.position(kept)) == ("over", 0, 1)
    end.set()
    assert done.wait(5)
    assert ran == []


def test_work_that_fails_costs_no_thread(turns, caplog):
    def fail(turn):
        raise ValueError("as it must")

    done = threading.Event()
    turns.take("x", fail)
    turns.take("x", lambda turn: done.set())
    assert done.wait(5)
    assert "as it must" in caplog.text
