"""``python -m bench``: measure everything and write RESULTS.md."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.features import features
from bench.latency import cold_start, single_sound
from bench.machine import facts, load
from bench.reference import VARIABLE, references
from bench.rendering import References, forward_backward, one_core, two_cores
from bench.roofline import roofline
from bench.seeding import seeding
from bench.timing import QUICK, Plan, table
from unsynth import audio
from unsynth.base import UnsynthError

RESULTS = Path(__file__).with_name("RESULTS.md")
SECTIONS = (one_core, two_cores, forward_backward, single_sound, cold_start, seeding, features, roofline)
INTRODUCTION = """# Benchmarks

Written by `{command}`. What is compared takes turns within one run, in alternating order; ratios are of times in the
same round. Numbers are medians over {rounds} rounds, each of at least {at_least:g} s, with least and most in
parentheses. One core means that the process may run on one only. torchsynth is version 1.0.2 with the same torch, in a
process of its own; "allocator tuned" sets `MALLOC_MMAP_THRESHOLD_` and `MALLOC_TRIM_THRESHOLD_` so that glibc keeps
large tensors' memory."""


def report(plan: Plan, found: References, command: str, sections: Sequence = SECTIONS) -> str:
    """RESULTS.md: what was measured on what, then a section for each function of ``sections``."""
    known, before = facts(), load()
    parts = []
    for section in sections:
        print(section.__name__, file=sys.stderr)
        parts.append(f"{inspect.getdoc(section)}\n\n{section(plan, found)}")
    known["load average before and after"] = f"{before}, {load()}"
    introduction = INTRODUCTION.format(command=command, rounds=plan.rounds, at_least=plan.at_least)
    machine = table(["", ""], [[name, fact] for name, fact in known.items()])
    return "\n\n".join([introduction, machine, *parts]) + "\n"


def main() -> None:
    """Measure how fast unsynth is here, also against torchsynth, and write that down."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="few and short rounds: rough numbers")
    parser.add_argument("--no-torchsynth", action="store_true", help=f"without torchsynth ({VARIABLE} names a Python)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file to write")
    options = parser.parse_args()
    command = " ".join(["python -m bench", *sys.argv[1:]])
    with references(not options.no_torchsynth) as found:
        text = report(QUICK if options.quick else Plan(), found, command)
    audio.write_text(options.out, text)
    print(text)


if __name__ == "__main__":
    try:
        main()
    except UnsynthError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
