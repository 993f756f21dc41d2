"""``python -m bench.soak``: a thousand matches in one process. Its memory, files and processes; and the same answers.

Some of the matches are done again, each in a new process, which has to write the same patch. Writes
results/reliability-soak.json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from bench import machine
from unsynth import audio
from unsynth.base import Budget
from unsynth.match import match
from unsynth.synths import synth as synth_of
from unsynth.targets import held_out

RESULTS = machine.ROOT / "results" / "reliability-soak.json"
EXAMPLES = sorted((machine.ROOT / "examples").glob("*.flac"))
KINDS = 4  # of targets, which take turns
PAGE = os.sysconf("SC_PAGE_SIZE")
PLAYED = "dexed"  # the synth with an engine in processes of its own
WARM_UP = 0.2  # share of the matches in which caches may fill
POINTS = 50  # of memory over time that are kept


@dataclass(frozen=True)
class Held:
    """What a process holds on to: memory in MB, open files, threads, and processes that it has started."""

    megabytes: float
    files: int
    threads: int
    processes: int


def held() -> Held:
    """What this process holds now (Linux)."""
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6
    children = [pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]
    return Held(resident, len(os.listdir("/proc/self/fd")), threading.active_count(), len(children))


def target(number: int) -> tuple[torch.Tensor | Path, int]:
    """A sound and its rate (of a file, nobody asks): held-out sounds of two synths, examples, plucked tones."""
    kind, turn = number % KINDS, number // KINDS
    if kind == 0:
        return EXAMPLES[turn % len(EXAMPLES)], 0
    if kind == 1:
        rate = (22_050, 44_100, 48_000)[turn % 3]
        at = torch.arange(round(rate * (0.1 + turn % 7 / 4))) / rate
        return torch.exp(-5 * at) * torch.sin(2 * torch.pi * (60 + 17 * (turn % 50)) * at), rate
    synth = synth_of(("voice", "drum")[kind - 2])
    (found,) = held_out(synth, 1, 100_000 + turn)
    return found.sound[0], synth.rate


def patch(number: int, synth: str, renders: int, folder: Path) -> dict[str, Any]:
    """Match the target of a number, write everything, and read the patch, without the seconds."""
    sound, rate = target(number)
    name = f"sound-{number}"
    found = match(sound, rate or None, synth=synth, budget=Budget(renders=renders), seed=number, name=name)
    found.save(folder)
    told = json.loads((folder / "patch.json").read_text())
    return {field: value for field, value in told.items() if field != "seconds"}


def soak(matches: int, synth: str, renders: int, minutes: float, kept: list[int]) -> dict[str, Any]:
    """So many matches, or as many as there is time for: what the process held after each, and some of the patches."""
    first, patches, after = held(), {}, []
    began, end = time.process_time(), time.monotonic() + 60 * minutes
    with TemporaryDirectory() as folder:
        for number in range(matches):
            made = patch(number, synth, renders, Path(folder))
            after.append(held())
            patches |= {number: made} if number in kept else {}
            if number % 20 == 0:
                print(f"{synth}: {number} of {matches}, {after[-1]}", flush=True)
            if time.monotonic() > end:
                break
    seconds = time.process_time() - began
    told = {"synth": synth, "matches": len(after), "renders": renders, "cpu_seconds": seconds, "patches": patches}
    return {**told, **_trend(first, after)}


def again(number: int, synth: str, renders: int) -> dict[str, Any]:
    """The patch of a number."""
    with TemporaryDirectory() as folder:
        return patch(number, synth, renders, Path(folder))


def run(matches: int, synth: str, renders: int, minutes: float, repeated: int) -> dict[str, Any]:
    """:func:`soak` in a new process, then the numbers whose patches other new processes do not find again."""
    kept = sorted({round(x) for x in np.linspace(0, matches - 1, repeated)})
    told = _alone(soak, matches, synth, renders, minutes, kept)
    patches = told.pop("patches")
    other = [number for number, made in patches.items() if _alone(again, number, synth, renders) != made]
    return {**told, "repeated": len(patches), "other": other}


def _alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives in a process of its own, forked from this one, which has matched nothing."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        return pool.submit(function, *arguments).result()


def _trend(first: Held, after: list[Held]) -> dict[str, Any]:
    """Memory at first and after the warm-up, how it goes on from there, and what else is held at most."""
    steady = after[int(WARM_UP * len(after)) :]
    memory = [one.megabytes for one in steady]
    slope = float(np.polyfit(np.arange(len(memory)), memory, 1)[0]) if len(memory) > 1 else 0.0
    half = len(memory) // 2
    return {
        "warm_up": len(after) - len(steady),
        "megabytes_at_first": first.megabytes,
        "megabytes_first_half": statistics.median(memory[:half] or memory),
        "megabytes_second_half": statistics.median(memory[half:]),
        "megabytes_at_most": max(memory),
        "megabytes_per_1000": 1000 * slope,
        "files": [steady[0].files, steady[-1].files, max(one.files for one in steady)],
        "threads_after": [steady[0].threads, steady[-1].threads, max(one.threads for one in steady)],
        "processes": [steady[0].processes, steady[-1].processes, max(one.processes for one in steady)],
        "memory": [round(one.megabytes, 1) for one in after[:: max(1, len(after) // POINTS)]],
    }


def main() -> None:
    """Match many sounds in one process, and see whether it grows, and whether new processes say the same."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=main.__doc__)
    parser.add_argument("--matches", type=int, default=1000, help="with the Voice")
    parser.add_argument("--played", type=int, default=40, help=f"with {PLAYED}, after those")
    parser.add_argument("--renders", type=int, default=64, help="of each match")
    parser.add_argument("--repeated", type=int, default=10, help="of each synth, matched again in a new process")
    parser.add_argument("--minutes", type=float, default=600.0, help="for the matches of each synth at most")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file to write")
    options = parser.parse_args()
    torch.set_num_threads(1)  # what is forked has only the thread that forks
    counts = {"voice": options.matches, PLAYED: options.played}
    told: dict[str, Any] = {
        "command": " ".join(["python -m bench.soak", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine.facts(),
        "runs": [],
    }
    for synth, count in counts.items():
        if count:
            told["runs"].append(run(count, synth, options.renders, options.minutes, options.repeated))
            audio.write_text(options.out, json.dumps(told, indent=1) + "\n")
    sys.exit(any(one["other"] for one in told["runs"]))


if __name__ == "__main__":
    main()
