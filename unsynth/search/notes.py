"""The nearest patches at other notes: a search that moves few of many parameters rarely comes across the right one."""

from __future__ import annotations

import torch

from unsynth.base import Problem, Search, Solution
from unsynth.presets import NOTES
from unsynth.search.genetic import survivors

PITCH, VELOCITY, LENGTH = range(3)  # of a note
TRIALS = (  # what is changed; whether the values are added; the values
    (LENGTH, False, (0.12, 0.3, 0.7, 1.6, 3.2)),  # s
    (PITCH, True, tuple(float(n) for n in range(-8, 9) if n)),  # semitones
    (PITCH, True, (-12.0, 12.0)),
    (VELOCITY, False, (60.0, 127.0)),
)


class Notes(Search):
    """Tries other lengths, pitches and velocities with each of the nearest patches, one after another.

    Presets are found at few notes only. Without presets, or notes, it does nothing.

    Args:
        count: how many of the nearest; fewer where the budget is small.
        until: fraction of the problem's budget to leave for later stages.
    """

    def __init__(self, count: int = 12, until: float = 0.5) -> None:
        self.count, self.until = count, until

    def __call__(self, problem: Problem, start: Solution) -> Solution:
        if problem.synth.name not in NOTES or len(start.params) == 0:
            return start
        note, ordered = NOTES[problem.synth.name], start.best(len(start.params))
        best = ordered.best(self.count)
        for knob, added, values in TRIALS:
            best = best.best(len(best.params))
            nearest = best.best(min(self.count, problem.affords(self.until) // len(values)))
            tried = _tried(problem, nearest, problem.synth.spec.index(note[knob]), added, torch.tensor(values))
            which = torch.arange(len(nearest.params)).repeat_interleave(len(values))
            best = survivors(best, tried, which) if len(which) else best
        others = Solution(ordered.params[self.count :], ordered.distances[self.count :])
        return best.join(others).best(problem.keep)


def _tried(problem: Problem, best: Solution, column: int, added: bool, values: torch.Tensor) -> Solution:
    """Each patch with each of ``values`` in ``column``, or with that added to it."""
    spec, params = problem.synth.spec, best.params.repeat_interleave(len(values), 0)
    human = spec.to_human(params)
    human[:, column] = values.repeat(len(best.params)) + (human[:, column] if added else 0)
    params[:, column] = spec.to_unit(human)[:, column]
    return Solution(params, problem.evaluate(params))
