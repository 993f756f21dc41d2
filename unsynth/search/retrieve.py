"""Retrieval: the nearest of an index of rendered sounds, re-ranked by rendering and measuring them."""

from __future__ import annotations

from unsynth.base import Problem, Search, Solution
from unsynth.search.index import Index
from unsynth.sounds.ids import params_of


class Retrieve(Search):
    """The indexed sounds nearest to the target.

    Args:
        index: what to search.
        count: how many of the nearest are rendered and measured.
    """

    def __init__(self, index: Index, count: int = 256) -> None:
        self.index, self.count = index, count

    def __call__(self, problem: Problem, start: Solution) -> Solution:
        params = params_of(self.index.nearest(problem.target, self.count), problem.synth.spec)
        return start.join(Solution(params, problem.evaluate(params))).best(problem.keep)
