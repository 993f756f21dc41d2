"""Wall-clock times that survive a noisy machine: what is compared takes turns, and medians of the turns count."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

Name = TypeVar("Name", bound=Hashable)
Measure = Callable[[int], float]
"""Seconds of one call of what is measured; takes the number of the round, so that sounds can differ by round."""


@dataclass(frozen=True)
class Plan:
    """How long to measure.

    Args:
        rounds: turns of each contestant.
        at_least: seconds that a turn lasts, in as many calls as fit.
        batches: sounds rendered at once, on one core.
        threaded: sounds rendered at once, on two cores.
        gradient: sounds rendered at once and differentiated.
        sounds: sounds where only throughput counts, and single sounds whose latency is measured.
        starts: cold starts of the interpreter.
    """

    rounds: int = 11
    at_least: float = 0.3
    batches: tuple[int, ...] = (32, 128)
    threaded: int = 64
    gradient: int = 32
    sounds: int = 256
    starts: int = 7


QUICK = Plan(rounds=3, at_least=0.02, sounds=32, starts=2)


def seconds(work: Callable[[], object], at_least: float) -> float:
    """Mean seconds of a call of ``work``, over as many calls as last ``at_least`` seconds together."""
    calls, began = 0, time.perf_counter()
    while True:
        work()
        calls += 1
        spent = time.perf_counter() - began
        if spent >= at_least:
            return spent / calls


def measure(work: Callable[[int], object], at_least: float) -> Measure:
    return lambda turn: seconds(lambda: work(turn), at_least)


def interleaved(contestants: Mapping[Name, Measure], rounds: int) -> dict[Name, list[float]]:
    """Seconds of each contestant in each round; after a round to warm up, every other round runs backwards."""
    times: dict[Name, list[float]] = {name: [] for name in contestants}
    for turn in range(-1, rounds):
        order = list(contestants)
        for name in order if turn % 2 else reversed(order):
            spent = contestants[name](max(turn, 0))
            if turn >= 0:
                times[name].append(spent)
    return times


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Ratios of what was measured in the same round."""
    return [a / b for a, b in zip(over, under, strict=True)]


def spread(values: Sequence[float], digits: int = 3) -> str:
    """``median (min-max)`` to so many significant digits."""
    low, middle, high = (short(x, digits) for x in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low}–{high})"


def short(x: float, digits: int = 3) -> str:
    """A number above zero with ``digits`` significant digits, in full, with commas between thousands."""
    magnitude = math.floor(math.log10(x)) + 1
    return f"{x:,.{max(0, digits - magnitude)}f}"


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """This thread, and what it starts, on the last ``count`` of its cores, with as many threads of torch."""
    threads, cores = torch.get_num_threads(), os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, sorted(cores)[-count:])
        torch.set_num_threads(count)
        yield
    finally:
        os.sched_setaffinity(0, cores)
        torch.set_num_threads(threads)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in markdown; all columns but the first are numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
