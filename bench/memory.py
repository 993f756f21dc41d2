"""How much memory a match takes: `python bench/memory.py` writes results/memory.json, a few seconds for each method.

Each method is a process of its own, measured as the system counts it: the largest resident set, with Python and torch.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from unsynth import audio
from unsynth.evaluate import machine
from unsynth.scores import markdown

ROOT = Path(__file__).parent.parent
OUT = ROOT / "results" / "memory.json"
SOUND, RENDERS = "examples/bd_boom.flac", 500
METHODS = ("chain", "embedding", "flow", "regression", "retrieve", "genetic", "evolve", "gradient", "random")
ASK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""  # in a small process: the system counts what the one that forks has as its child's
MIB = 1024 if sys.platform == "linux" else 1024**2  # of ru_maxrss, which is in kB on Linux and in bytes on macOS


def peak(*command: str) -> float:
    """The largest resident set of a command of Python, in MiB; RuntimeError where it fails."""
    whole = [sys.executable, "-c", ASK, sys.executable, *command]
    ended = subprocess.run(whole, capture_output=True, text=True, cwd=ROOT, check=False)
    if ended.returncode:
        raise RuntimeError(f"{command} failed: {ended.stderr}")
    return int(ended.stdout) / MIB


def measured() -> dict[str, float]:
    """The peak of torch alone, then of a match by each method."""
    found = {"import torch": peak("-c", "import torch")}
    with tempfile.TemporaryDirectory() as out:
        for method in METHODS:
            options = ["--method", method, "--renders", str(RENDERS), "--out", f"{out}/{method}"]
            found[method] = peak("-m", "unsynth", "match", SOUND, *options)
    return found


def cells(found: dict[str, float]) -> list[list[str]]:
    """A table."""
    return [["method", "MiB at most"], *([name, f"{size:.0f}"] for name, size in found.items())]


if __name__ == "__main__":
    peaks = measured()
    told = {**machine(), "command": "python bench/memory.py", "sound": SOUND, "renders": RENDERS}
    audio.write_text(OUT, json.dumps({**told, "peaks": peaks}, indent=1) + "\n")
    print(markdown(cells(peaks)))
