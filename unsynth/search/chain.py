"""Searches in sequence, each starting from what the one before it found."""

from __future__ import annotations

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
