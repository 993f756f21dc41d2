"""Searches in sequence, each starting from what the one before it found."""

from __future__ import annotations

from collections.abc import Callable

from unsynth.base import Problem, Search, Solution


class Chain(Search):
    """Runs each search on the result of the one before; ends early when the budget does.

    Args:
        stages: the searches, in order.
    """

    def __init__(self, *stages: Search) -> None:
        self.stages = stages

    def __call__(self, problem: Problem, start: Solution) -> Solution:
        for stage in self.stages:
            start = stage(problem, start)
        return start


class Later(Search):
    """A search that is made when its turn comes, so that what it loads delays nothing before.

    Args:
        make: makes the search.
        until: fraction of the problem's budget at which it is too late for the search: it is not even made.
    """

    def __init__(self, make: Callable[[], Search], until: float = 0.0) -> None:
        self.make, self.until = make, until

    def __call__(self, problem: Problem, start: Solution) -> Solution:
        return self.make()(problem, start) if problem.left() > self.until else start
