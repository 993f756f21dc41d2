"""``python -m bench.scaling``: sounds per second of a training on 1, 2, 4 ... devices, with as many sounds for each."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from bench.timing import table

ALONE = ["objective.decoys=0", "objective.near=0"]  # decoys are shared by the processes, sounds are not
RECIPE = Path(__file__).parent.parent / "recipes" / "voice-small.yaml"


def worlds(most: int) -> list[int]:
    """1, 2, 4 ... and ``most``."""
    return sorted({*(2**k for k in range(most.bit_length()) if 2**k <= most), most})


def throughput(recipe: Path, device: str, processes: int, each: int, steps: int, warm: int) -> float:
    """Median sounds per second over the steps after ``warm``, by the log of a training under torchrun."""
    with tempfile.TemporaryDirectory() as out:
        settings = [f"batch={each * processes}", f"steps={steps}", *(ALONE if recipe == RECIPE else [])]
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        command = [*launch, "-m", "bench.scaling", "--worker", out, "--recipe", str(recipe), "--device", device]
        environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        subprocess.run([*command, "--set", *settings], check=True, env=environment, stdout=subprocess.DEVNULL)
        lines = (Path(out) / "log.jsonl").read_text().splitlines()
    return statistics.median(json.loads(line)["sounds_per_second"] for line in lines[warm:])


def train(recipe: Path, settings: list[str], out: Path, device: str) -> None:
    """One process of a training that logs every step."""
    from unsynth.distributed import leave
    from unsynth.recipe import read
    from unsynth.train import fit

    fit(*read(recipe, settings), out, device=device, log_steps=1)
    leave()


def report(recipe: Path, device: str, most: int, each: int, steps: int, warm: int) -> str:
    """A table of throughput and of its share of perfect scaling."""
    speeds = {n: throughput(recipe, device, n, each, steps, warm) for n in worlds(most)}
    rows = [[str(n), f"{speed:,.0f}", f"{speed / speeds[1] / n:.0%}"] for n, speed in speeds.items()]
    return table([f"{device} processes", "sounds/s", "of perfect scaling"], rows)


def main() -> None:
    """Measure how the throughput of a training grows with the devices."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=main.__doc__)
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--device", default="cuda" if torch.cuda.device_count() > 1 else "cpu")
    parser.add_argument("--most", type=int, help="processes at most; the devices, or cores, that there are")
    parser.add_argument("--each", type=int, default=64, help="sounds of a step on each process")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--warm", type=int, default=5, help="steps that are not counted")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--set", nargs="+", default=[], help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.worker:
        return train(told.recipe, told.set, told.worker, told.device)
    most = told.most or (torch.cuda.device_count() if told.device == "cuda" else os.cpu_count() or 1)
    print(report(told.recipe, told.device, most, told.each, told.steps, told.warm))


if __name__ == "__main__":
    main()
