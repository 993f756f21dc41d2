"""Candidates: what a search found, as sounds at the target's level with their scores, and what sets them apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from unsynth import audio, distances
from unsynth.base import Audio, Params, Problem, Solution, Synth
from unsynth.search.diverse import considered, diverse
from unsynth.search.held import Held
from unsynth.search.influence import carried
from unsynth.search.objective import MatchDistance


@dataclass
class Candidate:
    """One patch that sounds like the target.

    Args:
        params: unit-interval parameters, shape ``(param,)``.
        noise: the noise row (a sound id) it was rendered with.
        audio: the rendered sound at the target's level, shape ``(time,)``; no samples where nothing plays the synth.
        gain_db: decibels from the synth's own output to that level.
        distance: what the search minimised; NaN where nothing plays the synth.
        metrics: named scores, such as ``MSS``.
        differs: names of the parameters that make it sound unlike the best candidate, the most heard first, if known.
    """

    params: Float[Tensor, " param"]
    noise: int
    audio: Float[Tensor, " time"]
    gain_db: float
    distance: float
    metrics: dict[str, float]
    differs: tuple[str, ...] = ()


def stems(rank: int) -> tuple[str, str]:
    """File names without ending of the sound and of the patch of the candidate at ``rank`` (1: best)."""
    return ("match", "patch") if rank == 1 else (f"candidate-{rank}", f"candidate-{rank}")


def of(problem: Problem, found: Solution, count: int) -> list[Candidate]:
    """The best of ``found`` and those that sound different from it, best first; with the held parameters too.

    In ``on_progress`` of :func:`unsynth.match.match`, ``problem.elite`` is what was found by then.
    """
    chosen, sounds = diverse(problem.synth, found, count, considered=max(count, considered(problem)))
    params = problem.synth.spec.snap(chosen.params.cpu())
    full = problem.synth.full(params) if isinstance(problem.synth, Held) else params
    return _measured(problem.target[0], sounds, Solution(full, chosen.distances))


def audition(synth: Synth, target: Float[Tensor, " time"], params: Params) -> list[Candidate]:
    """Patches as candidates for a target, in their own order, without any search.

    Shape: ``(time,)`` and ``(batch, param)`` in.
    """
    sounds = synth.render(params)
    return _measured(target, sounds, Solution(params, MatchDistance(target[None])(sounds)))


def unheard(params: Params) -> list[Candidate]:
    """Patches as candidates where nothing plays the synth, in their own order: without sound and scores."""
    return [Candidate(row, 0, torch.empty(0), 0.0, math.nan, {}) for row in params]


def tell_apart(synth: Synth, found: list[Candidate], renders: int, named: int = 3, audible_db: float = 0.1) -> None:
    """Fill in ``differs`` of all but the first, which is the best.

    The parameters that differ most are set in the best as the other has them, one at a time, and heard.

    Args:
        synth: what plays them.
        found: the best, and others.
        renders: how many sounds that may cost in all.
        named: how many parameters to name.
        audible_db: spectral distance that is not heard.
    """
    best, *others = found
    for other in others:
        moves = (other.params - best.params).abs()
        columns = moves.argsort(descending=True)[: min(renders // len(others), int((moves > 0).sum()))]
        if len(columns):
            heard = carried(synth, best.params, other.params, columns)
            order = heard.argsort(descending=True)[:named]
            other.differs = tuple(synth.spec.names[columns[i]] for i in order if heard[i] > audible_db)


def _measured(target: Float[Tensor, " time"], sounds: Audio, found: Solution) -> list[Candidate]:
    levelled, gains = audio.match_level(sounds.cpu(), target)
    scores = distances.metrics(target[None], levelled)
    return [
        Candidate(
            params=found.params[i],
            noise=0,
            audio=levelled[i],
            gain_db=gains[i].item(),
            distance=found.distances[i].item(),
            metrics={name: values[i].item() for name, values in scores.items()},
        )
        for i in range(len(found.params))
    ]
