"""How long one sound takes, and how long until there is a first one."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import torch

from bench.machine import ROOT
from bench.rendering import References, ours
from bench.timing import Plan, interleaved, measure, on_cores, spread, table
from unsynth.sounds.ids import params_of
from unsynth.synths.voice_torch import SPEC

FIRST_SOUND = "import torch, unsynth; synth = unsynth.synth('voice'); synth.render(torch.rand(1, len(synth.spec)))"
FIRST_CANDIDATE = "import os, unsynth; unsynth.match('examples/bd_boom.flac', on_progress=lambda _: os._exit(0))"
STARTS = {
    "`python -c pass`": ["-c", "pass"],
    "`import torch`": ["-c", "import torch"],
    "`import unsynth`": ["-c", "import unsynth"],
    "`import unsynth` and a first sound": ["-c", FIRST_SOUND],
    "`unsynth.match` until its first candidates": ["-c", FIRST_CANDIDATE],
    "`unsynth --help`": ["-m", "unsynth", "--help"],
}


def single_sound(plan: Plan, references: References) -> str:
    """## One sound at a time

    Parameters to audio, batch 1, one core, a different sound each time.
    """
    ids = torch.arange(plan.sounds)
    params, rows = params_of(ids, SPEC), []
    with on_cores(1):
        for name, render in ours().items():
            render(params[:1], ids[:1])
            times = []
            for i in range(plan.sounds):
                began = time.perf_counter()
                render(params[i : i + 1], ids[i : i + 1])
                times.append(1e3 * (time.perf_counter() - began))
            p95 = statistics.quantiles(times, n=20)[-1]
            rows.append([name, *(f"{t:.2f}" for t in (statistics.median(times), p95, min(times), max(times)))])
    return table(["ms", "median", "95th percentile", "least", "most"], rows)


def cold_start(plan: Plan, references: References) -> str:
    """## Cold start

    Seconds from starting the interpreter to its end, files in the system's cache.
    """
    contestants = {name: measure(lambda turn, rest=rest: _python(rest), 0.0) for name, rest in STARTS.items()}
    times = interleaved(contestants, plan.starts)
    return table(["", "seconds"], [[name, spread(seconds)] for name, seconds in times.items()])


def _python(rest: list[str]) -> None:
    subprocess.run([sys.executable, *rest], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
