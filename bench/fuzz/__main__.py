"""``python -m bench.fuzz``: hostile input for all targets, each in a process of its own.

``--input N`` gives one input again, with its traceback.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Any

from bench.fuzz import TARGETS
from bench.fuzz.guard import ALLOWED
from bench.fuzz.supervision import again, supervised
from bench.fuzz.trial import LIMIT, ROOT, Account
from bench.machine import commit, facts
from unsynth import audio

Json = dict[str, Any]

OUT = ROOT / "results" / "reliability-fuzz.json"


def main() -> None:
    """Give hostile input to everything that reads. Run it again to go on where it stopped."""
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz", description=main.__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="for each target")
    parser.add_argument("--only", default=",".join(TARGETS), help="targets, separated by commas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="targets at once")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after so long")
    parser.add_argument("--input", type=int, help="give only the input of this number, and show the traceback")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    names = options.only.split(",")
    if options.input is not None:
        return again(names[0], options.input, options.seed)
    end = time.monotonic() + 60 * options.minutes
    command = " ".join(["python -m bench.fuzz", *sys.argv[1:]])
    results = Results(options.out, {"seed": options.seed, "command": command, "commit": commit()})
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lambda name: results.fill(name, options.inputs, end), names))


class Results:
    """A file of results, which several threads fill."""

    def __init__(self, path: Path, origin: Json) -> None:
        self.path, self.origin, self.lock = path, origin, Lock()
        self.told: Json = json.loads(path.read_text()) if path.is_file() else {"targets": {}}
        self.told |= {"machine": facts(), "date": time.strftime("%Y-%m-%d")}
        self.told |= {"allowed_mb": ALLOWED / 1e6, "limit_seconds": LIMIT}

    def fill(self, name: str, inputs: int, end: float) -> None:
        """Give a target what it lacks; inputs of another seed do not count."""
        known = self.told["targets"].get(name, {})
        same = known.get("seed") == self.origin["seed"]
        total = Account(**{k: v for k, v in known.items() if k not in self.origin}) if same else Account()
        supervised(name, inputs, self.origin["seed"], total, end, lambda: self.save(name, total))
        print(f"{name}: {json.dumps(asdict(total))}", flush=True)

    def save(self, name: str, total: Account) -> None:
        """Put what became of a target so far into the file."""
        with self.lock:
            self.told["targets"][name] = {**asdict(total), **self.origin}
            audio.write_text(self.path, json.dumps(self.told, indent=1) + "\n")


if __name__ == "__main__":
    main()
