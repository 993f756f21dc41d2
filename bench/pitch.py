"""How well matches have the pitch of their targets: `python bench/pitch.py results/voice-held-out.jsonl ...`.

Plays the patches of results of `unsynth evaluate` and writes results/pitch.json; a second or two for each sound.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

from unsynth import audio, scores
from unsynth.benchmark.pitch import PitchError, errors
from unsynth.benchmark.replay import replay
from unsynth.evaluate import machine
from unsynth.synths import known

OUT = Path(__file__).parent.parent / "results" / "pitch.json"


def measured(path: Path, sounds: str = "") -> list[PitchError]:
    """The errors of a results file whose recordings are in ``sounds``; those of arms without patches are left out."""
    header, rows = scores.load(path)
    return errors(rows, replay(header, rows, known(str(header["synth"])), sounds))


def written(found: list[PitchError]) -> dict[str, list[float | None]]:
    """Cents of each arm, None where a match has no pitch."""
    arms = dict.fromkeys(error.arm for error in found)
    return {arm: [e.cents if math.isfinite(e.cents) else None for e in found if e.arm == arm] for arm in arms}


def read(path: Path = OUT) -> tuple[dict[str, str], dict[str, list[PitchError]]]:
    """What it was measured with, and the errors of each results file by its name."""
    told = json.loads(path.read_text())
    files = told.pop("files")
    return told, {
        name: [PitchError(arm, math.inf if x is None else x) for arm, own in arms.items() for x in own]
        for name, arms in files.items()
    }


def main() -> None:
    """Hear all targets and matches of some results."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--sounds", default="", help="folder of the targets that are recordings, if it was moved")
    parser.add_argument("--out", type=Path, default=OUT)
    told = parser.parse_args()
    files = {path.name: written(measured(path, told.sounds)) for path in told.results}
    command = " ".join(["python bench/pitch.py", *sys.argv[1:]])
    audio.write_text(told.out, json.dumps({**machine(), "command": command, "files": files}, indent=1) + "\n")


if __name__ == "__main__":
    main()
