"""The tables of docs/reliability.md, each from one file of results/."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unsynth.evaluate import markdown

Json = dict[str, Any]


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
        "slope after the warm-up, MB in 1,000 matches": lambda run: f"{run['megabytes_per_1000']:+.1f}",
        "open files after the warm-up, at the end": lambda run: "{}, {}".format(*run["files"]),
        "threads of Python": lambda run: "{}, {}".format(*run["threads_after"]),
        "processes of the engine": lambda run: "{}, {}".format(*run["processes"]),
        "matched again in a new process, other patches": lambda run: f"{run['repeated']}, {len(run['other'])}",
    }
    rows = [[name, *(of(run) for run in told["runs"])] for name, of in lines.items()]
    return f"{_origin(told['command'], told)}\n\n{markdown([head, *rows])}"


def _origin(command: str, told: Json) -> str:
    on = told["machine"]
    what = f"{on['processor']}, {on['cores usable']} cores, Python {on['Python']}, torch {on['torch']}"
    return f"`{command}`; {what}; unsynth {on['unsynth']}; {told['date']}."


TABLES: dict[str, Callable[[Json], str]] = {"reliability-kill": kill, "reliability-soak": soak}
"""Names of files of results, and what makes a table of each; its place in the page has that name."""


def tables(results: Path) -> dict[str, str]:
    """The tables whose results exist, by name."""
    found = {name: results / f"{name}.json" for name in TABLES}
    return {name: TABLES[name](json.loads(path.read_text())) for name, path in found.items() if path.is_file()}
