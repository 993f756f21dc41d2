"""``python -m bench.fuzz``: hostile input for all targets, each in a process of its own.

``--input N`` gives one input again, with its traceback.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.fuzz import TARGETS
from bench.fuzz.guard import ALLOWED
from bench.fuzz.supervision import again, supervised
from bench.fuzz.trial import LIMIT, ROOT
from bench.machine import facts
from unsynth import audio

OUT = ROOT / "results" / "reliability-fuzz.json"


def main() -> None:
    """Give hostile input to everything that reads."""
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz", description=main.__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="for each target")
    parser.add_argument("--only", default=",".join(TARGETS), help="targets, separated by commas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="targets at once")
    parser.add_argument("--input", type=int, help="give only the input of this number, and show the traceback")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    names = options.only.split(",")
    if options.input is not None:
        return again(names[0], options.input, options.seed)
    with ThreadPoolExecutor(options.jobs) as pool:
        for name, found in zip(names, pool.map(lambda name: supervised(name, options.inputs, options.seed), names), strict=True):
            save(options.out, name, {**found, "seed": options.seed, "command": " ".join(["python -m bench.fuzz", *sys.argv[1:]])})


def save(path: Path, name: str, found: dict[str, Any]) -> None:
    """Put what became of a target into the file of results."""
    told = json.loads(path.read_text()) if path.is_file() else {"targets": {}}
    told |= {"machine": facts(), "allowed_mb": ALLOWED >> 20, "limit_seconds": LIMIT, "date": time.strftime("%Y-%m-%d")}
    told["targets"][name] = found
    audio.write_text(path, json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
