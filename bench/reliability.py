"""The tables of docs/reliability.md, each from one file of results/."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unsynth.scores import markdown

Json = dict[str, Any]
LEAST = 200  # matches; of fewer no slope can be told


def kill(told: Json) -> str:
    """What was killed, how often, and what differed afterwards."""
    head = ["", "kills", "at any time", "at a file", "pieces of work", "failures"]
    rows = [[kind, *(f"{count:,}" for count in _counts(one))] for kind, one in told.items()]
    total = [f"**{sum(each):,}**" for each in zip(*map(_counts, told.values()), strict=True)]
    commands = [
        f"- {kind}: `{one['command']}`, with {one['operations']} operations on files" for kind, one in told.items()
    ]
    origins = sorted({_origin(one["ran"], one) for one in told.values()})
    return "\n\n".join([*origins, markdown([head, *rows, ["**all**", *total]]), "\n".join(commands)])


def _counts(one: Json) -> list[int]:
    kills = one["kills"]
    return [sum(kills.values()), kills["time"], kills["operation"], one["works"], len(one["failures"])]


def soak(told: Json) -> str:
    """What a process holds on to over many matches."""
    head = ["", *(run["synth"] for run in told["runs"])]
    lines: dict[str, Callable[[Json], str]] = {
        "matches": lambda run: f"{run['matches']:,}",
        "renders of each": lambda run: f"{run['renders']}",
        "matches to warm up": lambda run: f"{run['warm_up']:,}",
        "MB at first": lambda run: f"{run['megabytes_at_first']:.0f}",
        "MB, median of the first half after the warm-up": lambda run: f"{run['megabytes_first_half']:.0f}",
        "MB, median of the second half": lambda run: f"{run['megabytes_second_half']:.0f}",
        "MB at most": lambda run: f"{run['megabytes_at_most']:.0f}",
        "slope after the warm-up, MB in 1,000 matches": lambda run: (
            f"{run['megabytes_per_1000']:+.1f}" if run["matches"] >= LEAST else "too few matches"
        ),
        "open files after the warm-up, at the end": lambda run: "{}, {}".format(*run["files"]),
        "threads of Python": lambda run: "{}, {}".format(*run["threads_after"]),
        "processes of the engine": lambda run: "{}, {}".format(*run["processes"]),
        "matched again in a new process, other patches": lambda run: f"{run['repeated']}, {len(run['other'])}",
    }
    rows = [[name, *(of(run) for run in told["runs"])] for name, of in lines.items()]
    return f"{_origin(told['command'], told)}\n\n{markdown([head, *rows])}"


def fuzz(told: Json) -> str:
    """What hostile input did to each target."""
    head = ["what reads it", "inputs", "accepted", "refused", "failures", "most CPU, s", "memory, MB: at first, most"]
    lines = [_target(name, found) for name, found in told["targets"].items()]
    totals = [f"**{sum(each):,}**" for each in zip(*map(_met, told["targets"].values()), strict=True)]
    return f"{_origin(_commands(told), told)}\n\n{markdown([head, *lines, ['**all**', *totals, '', '']])}"


def _target(name: str, found: Json) -> list[str]:
    counts = [f"{count:,}" for count in _met(found)]
    return [name, *counts, f"{found['worst_cpu_seconds']:.2f}", f"{found['start_mb']:.0f}, {found['peak_mb']:.0f}"]


def _met(found: Json) -> list[int]:
    failed = sum(count for _, count in found["failures"].values())
    return [found["inputs"], found["accepted"], found["refused"], failed]


def load(told: Json) -> str:
    """How long people waited for the web page, and what it took."""
    crowd = next(phase for phase in told["phases"] if phase["name"] == "crowd")
    phases = [phase for phase in told["phases"] if phase is not crowd]
    kinds = list(phases[0]["parts"][0]["seconds"])
    head = ["people", "from, s", *(f"{kind}, s" for kind in kinds), "MB at most"]
    rows = [
        [
            f"{phase['sessions']}",
            f"{part['from']:.0f}",
            *(_seconds(part["seconds"][kind]) for kind in kinds),
            f"{part['mb']:.0f}",
        ]
        for phase in phases
        for part in phase["parts"]
    ]
    counts = [f"- {phase['sessions']} ({phase['name']}): {_listed(phase['counts'])}" for phase in told["phases"]]
    said = f"Who was one too many heard: *{' '.join(crowd['told'])}* Answers took {_seconds(crowd['seconds'])} s."
    busy = f"Load averages of the machine: {', '.join(phase['load'] for phase in phases)}."
    parts = [_origin(told["command"], told), busy, markdown([head, *rows]), "Median / 95 % / most.", "\n".join(counts)]
    return "\n\n".join([*parts, said])


def _seconds(three: list[float]) -> str:
    return " / ".join(f"{one:.2f}" for one in three) or "–"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{what} {count:,}" for what, count in counts.items())


def _commands(told: Json) -> str:
    return "`, `".join(sorted({run["command"] for run in told["targets"].values()}))


def _origin(command: str, told: Json) -> str:
    on = told["machine"]
    what = f"{on['processor']}, {on['cores usable']} cores, Python {on['Python']}, torch {on['torch']}"
    return f"`{command}`; {what}; unsynth {on['unsynth']}; {told['date']}."


TABLES: dict[str, Callable[[Json], str]] = {f"reliability-{what.__name__}": what for what in (kill, soak, fuzz, load)}
"""Names of files of results, and what makes a table of each; its place in the page has that name."""


def tables(results: Path) -> dict[str, str]:
    """The tables whose results exist, by name."""
    found = {name: results / f"{name}.json" for name in TABLES}
    return {name: TABLES[name](json.loads(path.read_text())) for name, path in found.items() if path.is_file()}
