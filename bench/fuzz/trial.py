"""Gives inputs to a target one after another, and keeps account of what became of them."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from unsynth.base import UnsynthError

LIMIT = 5.0  # seconds of processor time that an input may take
LONGEST = 600  # characters of a sentence
ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Target:
    """What is tested.

    Args:
        name: of the target.
        make: an input.
        give: reads the input; UnsynthError where it is refused.
    """

    name: str
    make: Callable[[Random], Any]
    give: Callable[[Any], None]


class SlowError(BaseException):
    """An input took more processor time than it may."""


class WrongError(Exception):
    """An input was refused, but not as it should be."""


@dataclass
class Account:
    """What became of inputs; ``failures`` has the number of the first input of each kind, and how many there were."""

    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    worst_seconds: float = 0.0
    worst_cpu_seconds: float = 0.0
    start_mb: float = 0.0
    peak_mb: float = 0.0
    failures: dict[str, list[int]] = field(default_factory=dict)

    def fail(self, what: str, number: int) -> None:
        first, count = self.failures.get(what, (number, 0))
        self.failures[what] = [first, count + 1]

    def add(self, other: Account) -> None:
        for name in ("inputs", "accepted", "refused"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("worst_seconds", "worst_cpu_seconds", "start_mb", "peak_mb"):
            setattr(self, name, max(getattr(self, name), getattr(other, name)))
        for what, (first, count) in other.failures.items():
            before = self.failures.get(what, [first, 0])
            self.failures[what] = [min(first, before[0]), before[1] + count]


def generator(target: Target, seed: int, number: int) -> Random:
    """What the input of a number is made with."""
    return Random(f"{seed}/{target.name}/{number}")


def trials(
    target: Target, seed: int, numbers: range, on_input: Callable[[int], None] = lambda n: None, limit: float = LIMIT
) -> Account:
    """Make and give the inputs of these numbers."""
    account = Account()
    for number in numbers:
        on_input(number)
        made = target.make(generator(target, seed, number))
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            with _limited(limit):
                account.accepted += _accepted(target, made)
        except (Exception, SlowError) as error:
            account.fail(_what(error), number)
        account.worst_seconds = max(account.worst_seconds, time.perf_counter() - wall)
        account.worst_cpu_seconds = max(account.worst_cpu_seconds, time.process_time() - cpu)
        account.inputs += 1
    account.refused = account.inputs - account.accepted - sum(count for _, count in account.failures.values())
    return account


def _accepted(target: Target, made: Any) -> bool:
    try:
        target.give(made)
    except UnsynthError as error:
        check_sentence(str(error))
        return False
    return True


def check_sentence(text: str) -> None:
    """WrongError unless ``text`` is one printable line of moderate length that ends as a sentence does."""
    if not (text.isprintable() and text.endswith(".") and len(text) <= LONGEST):
        raise WrongError(f"not a sentence: {text[:200]!a}")


def _what(error: BaseException) -> str:
    """The kind of a failure: the error, and the last place of ours that it went through."""
    places = [frame for frame in traceback.extract_tb(error.__traceback__) if "/unsynth/" in frame.filename]
    at = f" in {Path(places[-1].filename).relative_to(ROOT)}:{places[-1].lineno}" if places else ""
    return f"{type(error).__name__}{at or f': {str(error)[:100]!a}'}"


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise SlowError(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
