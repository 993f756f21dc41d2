"""Starts at the pitch of the target: what is learned of a synth's own sounds hears the pitch of others wrongly."""

from __future__ import annotations

import torch

from unsynth import pitch
from unsynth.base import Problem, Search, Solution
from unsynth.params import ParamSpec

NEAR = 0.1  # semitones that are not worth a render
SHARE = 4  # at most this part of the renders that are left, for the starts and for what they become


class Retune(Search):
    """Plays the nearest starts again, and as much higher or lower as makes their pitch the target's, as YIN hears both.

    It does nothing for targets without a clear pitch.

    Args:
        knob: the parameter that is the pitch, in semitones.
        count: how many of the nearest; fewer where the budget is small.
    """

    def __init__(self, knob: str, count: int = 16) -> None:
        self.knob, self.count = knob, count

    def __call__(self, problem: Problem, start: Solution) -> Solution:
        spec, (track,) = problem.synth.spec, pitch.clear_tracks(problem.target.cpu(), problem.synth.rate)
        best = start.best(min(self.count, problem.affords() // SHARE // 2))
        if self.knob not in spec.names or not track.isfinite().any() or not len(best.params):
            return start
        tracks = [pitch.track(sound, problem.synth.rate) for sound in problem.play(best.params)]
        apart = 12 * torch.stack([track.nanmedian() / own.nanmedian() for own in tracks]).log2()
        moved = _moved(best.params, spec, spec.index(self.knob), apart)
        return start.join(Solution(moved, problem.evaluate(moved))).best(problem.keep)


def _moved(params: torch.Tensor, spec: ParamSpec, column: int, semitones: torch.Tensor) -> torch.Tensor:
    """The patches that have a pitch and can be moved by what is too little or too much of it."""
    human = spec.to_human(params)
    human[:, column] += semitones
    low, high = spec.params[column].low, spec.params[column].high
    able = (semitones.abs() > NEAR) & (human[:, column] >= low) & (human[:, column] <= high)  # NaN is not able
    return spec.to_unit(human[able])
