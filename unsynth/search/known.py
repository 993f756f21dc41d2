"""The user's own presets as sounds again: played, and as what a search starts from."""

from __future__ import annotations

import torch

from unsynth.base import Audio, NotFoundError, Params, PatchError, Problem, Search, Solution, Synth
from unsynth.search.library import Library, Near, at_note
from unsynth.synths import known


class Known(Search):
    """The presets of the synth that are nearest to the target, each at the nearest note.

    Args:
        library: the user's presets; those of another version of the synth are left out.
        count: how many of the nearest are rendered and measured; None for all that the budget allows.
    """

    def __init__(self, library: Library, count: int | None = 64) -> None:
        self.library, self.count = library, count

    def __call__(self, problem: Problem, start: Solution) -> Solution:
        synth = problem.synth
        near = self.library.nearest(problem.target, self.count or len(self.library), synth.name)
        params = _params([one for one in near if one.spec == synth.spec.hash], synth)
        if self.count is None and not len(params):
            raise NotFoundError(
                f"The index of your presets has none of this {synth.name}; `unsynth index presets FOLDER` adds them."
            )
        return start.join(Solution(params, problem.evaluate(params))).best(problem.keep)


def play(near: Near) -> Audio:
    """The sound of a preset at the note at which it is near, ``(1, time)``.

    Raises:
        PatchError: it was indexed by a version of unsynth whose synth had other parameters.
        UsageError, EngineError: it cannot be played here.
    """
    synth = known(near.preset.synth)
    if near.spec != synth.spec.hash:
        raise PatchError(f"{near.file} was indexed by another version; `unsynth index presets FOLDER` renews that.")
    return synth.render(_params([near], synth), torch.tensor([near.preset.noise]))


def _params(near: list[Near], synth: Synth) -> Params:
    """The parameters of presets at the notes at which they are near, ``(batch, param)``."""
    rows = [at_note(synth.spec, one.preset.params, one.semitones) for one in near]
    return torch.stack([row for row in rows if row is not None]) if rows else torch.empty(0, len(synth.spec))
