"""Milliseconds for each four-second sound to render it, see it and compare it: ``python bench/features.py``."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from jsonargparse import auto_cli
from rich.console import Console
from rich.table import Table

from unsynth import SYNTHS
from unsynth.base import Audio
from unsynth.distances import mss
from unsynth.frontends.mel import MSS_SCALES, log_mel
from unsynth.search.objective import SpectralDistance
from unsynth.sounds.ids import params_of, train_ids
from unsynth.synths.voice_native import instruction_sets


def best(work: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of several runs, after one to warm up."""
    work()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def rows(audio: Audio, render: Callable[[], Audio]) -> dict[str, tuple[Callable[[], object], int]]:
    """What to time, by name, and how many sounds it takes."""
    n, some = len(audio), audio[:4]
    table: dict[str, tuple[Callable[[], object], int]] = {"render": (render, n)}
    for scale in MSS_SCALES:
        table[f"log-mel {scale}"] = (lambda scale=scale: log_mel(audio, scale), n)
    for isa in instruction_sets():
        distance = SpectralDistance(audio[:1], isa=isa)
        table[f"distance, {isa}"] = (lambda distance=distance: distance(audio), n)
    table["distance in torch"] = (lambda: mss(some[:1], some), len(some))
    return table


@torch.no_grad()
def main(sounds: int = 256, threads: list[int] = [1, 2], repeats: int = 5) -> None:  # noqa: B006
    """Print core-milliseconds (time by threads) for each sound of typical Voice ids.

    Args:
        sounds: how many training ids from the first.
        threads: numbers of threads to compare.
        repeats: runs, of which the fastest counts.
    """
    voice, ids = SYNTHS["voice"](), train_ids(0, sounds)
    params = params_of(ids, voice.spec)
    audio = voice.render(params, ids)
    output = Table("ms per sound and core", *(f"{n} threads" for n in threads))
    for name, (work, count) in rows(audio, lambda: voice.render(params, ids)).items():
        times = []
        for n in threads:
            torch.set_num_threads(n)
            times.append(f"{best(work, repeats) * n / count * 1e3:.3f}")
        output.add_row(name, *times)
    Console().print(output)


if __name__ == "__main__":
    auto_cli(main)
