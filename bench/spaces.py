"""What the shipped joint spaces find, and how fast: `python bench/spaces.py` writes results/spaces.json, in minutes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, cast

from unsynth import audio, checkpoint
from unsynth.base import Audio, Budget, Problem, Synth
from unsynth.evaluate import machine
from unsynth.objectives.joint import Joint
from unsynth.recipe import rebuild
from unsynth.scores import markdown
from unsynth.search.embedding import Embedding, feature
from unsynth.search.index import best_index, name_of
from unsynth.search.objective import MatchDistance
from unsynth.space import best_space
from unsynth.study.recall import points, ranks, recall
from unsynth.synths import known

OUT = Path(__file__).parent.parent / "results" / "spaces.json"
SYNTHS = ("voice", "drum")
NEAR = (1, 2, 5, 10)
AMONG = 10_000  # sounds of the test split
TIMED = 32  # of them
FOUND = 64  # sounds of an index
GENERATIONS = 32
EVALUATIONS = FOUND * GENERATIONS
TIMES = ("hear", "look up", "evolve", "polish")
Json = dict[str, Any]


def measured(name: str, among: int = AMONG, timed: int = TIMED) -> Json:
    """Recall of a synth's space on the test split, and how long what is done in it takes."""
    synth = known(name)
    space = best_space(synth)
    source = rebuild(checkpoint.load(checkpoint.installed(f"{name}-space"))[1]).sounds(synth)
    found = recall(ranks(*points(cast(Joint, space.joint), source, among, split="test")), NEAR)
    sounds = source.take("test", 0, timed).audio.split(1)
    by = feature(space)
    index = best_index(synth, by) if checkpoint.installed(name_of(synth, by)).is_file() else None
    times = {"hear": seconds(space.sounds, sounds)}
    evolve = partial(Embedding, space, index, population=FOUND, generations=GENERATIONS)
    for what, search in {"evolve": evolve(steps=0), "polish": evolve()}.items():
        times[what] = seconds(lambda sound, search=search: search.nearest(problem(synth, sound)), sounds)
    if index is not None:
        times["look up"] = seconds(lambda sound: index.nearest(sound, FOUND), sounds)
    return {**found, "seconds": times, "indexed": 0 if index is None else len(index.codes)}


def problem(synth: Synth, sound: Audio) -> Problem:
    """Nothing of it is rendered."""
    return Problem(synth, sound, MatchDistance(sound), Budget(renders=1))


def seconds(work: Callable[[Audio], object], sounds: Iterable[Audio]) -> float:
    """The median of how long it takes with each sound but the first."""
    times = []
    for sound in sounds:
        began = time.perf_counter()
        work(sound)
        times.append(time.perf_counter() - began)
    return median(times[1:])


def cells(spaces: Json) -> list[list[str]]:
    """A table."""
    head = ["synth", *(f"recall@{k}" for k in NEAR), "indexed", *(f"{what}, ms" for what in TIMES)]
    return [head, *(_line(synth, own) for synth, own in spaces.items())]


def _line(synth: str, own: Json) -> list[str]:
    times = [f"{1000 * own['seconds'][what]:.3g}" if what in own["seconds"] else "–" for what in TIMES]
    return [
        synth,
        *(f"{own[f'recall@{k}']:.3f}" for k in NEAR),
        f"{own['indexed']:,}" if own["indexed"] else "–",
        *times,
    ]


if __name__ == "__main__":
    spaces = {name: measured(name) for name in SYNTHS}
    sizes = {"among": AMONG, "timed": TIMED, "found": FOUND, "evaluations": EVALUATIONS}
    told = {**machine(), "command": "python bench/spaces.py", **sizes, "spaces": spaces}
    audio.write_text(OUT, json.dumps(told, indent=1) + "\n")
    print(markdown(cells(spaces)))
