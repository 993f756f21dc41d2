"""What it costs to see a sound and to compare it with a target."""

from __future__ import annotations

from collections.abc import Callable

import torch

from bench.rendering import References
from bench.timing import Plan, interleaved, measure, on_cores, spread, table
from unsynth import SYNTHS
from unsynth.base import Audio
from unsynth.distances import mss
from unsynth.frontends.mel import MSS_SCALES, log_mel
from unsynth.native import instruction_sets
from unsynth.search.objective import SpectralDistance
from unsynth.sounds.ids import params_of, train_ids

IN_TORCH = 4  # sounds; torch is slow


def works(audio: Audio, render: Callable[[], Audio]) -> dict[str, tuple[Callable[[], object], int]]:
    """What to time, by name, and how many sounds it takes."""
    n, some = len(audio), audio[:IN_TORCH]
    found: dict[str, tuple[Callable[[], object], int]] = {"render, to compare": (render, n)}
    for scale in MSS_SCALES:
        name = "log-mel, frame {}, hop {}, {} bands".format(*scale)
        found[name] = (lambda scale=scale: log_mel(audio, scale), n)
    for isa in instruction_sets():
        distance = SpectralDistance(audio[:1], isa=isa)
        found[f"MSS distance, {isa}"] = (lambda distance=distance: distance(audio), n)
    found["MSS distance, torch"] = (lambda: mss(some[:1], some), len(some))
    return found


@torch.no_grad()
def features(plan: Plan, references: References) -> str:
    """## Features and distances

    Milliseconds for each sound of 4 s on one core. The MSS distance has all three log-mel scales in it.
    """
    voice, ids = SYNTHS["voice"](), train_ids(0, plan.sounds)
    params = params_of(ids, voice.spec)
    with on_cores(1):
        timed = works(voice.render(params, ids), lambda: voice.render(params, ids))
        contestants = {
            name: measure(lambda turn, work=work: work(), plan.at_least) for name, (work, _) in timed.items()
        }
        times = interleaved(contestants, plan.rounds)
    rows = [[name, spread([1e3 * s / timed[name][1] for s in seconds])] for name, seconds in times.items()]
    return table(["", "ms per sound"], rows)
