"""Compare search methods on held-out targets at equal budget: every arm on every target, as one table.

Results are JSON in ``results/``; README tables are generated from them. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from unsynth import __version__, audio, distances
from unsynth.base import Audio, Budget, Params, Problem, Solution, Synth, UsageError
from unsynth.native import torch_on_one_thread
from unsynth.search import method
from unsynth.search.objective import MatchDistance
from unsynth.sounds.ids import held_out_ids, params_of

SAME = ("budget", "seed", "synth", "distance")  # what all rows of a file of results share
OTHER_NOISE = 1  # the oracle renders the true parameters with the next noise row


@dataclass(frozen=True)
class Target:
    """One sound to match; ``params`` are known for the synth's own sounds."""

    name: str
    family: str
    sound: Audio
    params: Params | None = None
    noise: int = 0


@dataclass(frozen=True)
class Row:
    """One arm on one target."""

    arm: str
    target: str
    family: str
    metrics: dict[str, float]
    seconds: float
    renders: int

    def line(self) -> str:
        mss = self.metrics["MSS"]
        return f"{self.arm} on {self.target}: MSS {mss:.2f}, {self.seconds:.1f} s, {self.renders:,} renders"


def held_out(synth: Synth, count: int, start: int = 0) -> Iterator[Target]:
    """Held-out sounds of the synth, by id."""
    for sound_id in held_out_ids(start, count).tolist():
        ids = torch.tensor([sound_id])
        params = params_of(ids, synth.spec)
        yield Target(f"id-{sound_id}", "held-out", synth.render(params, ids), params, sound_id)


def recordings(synth: Synth, folder: Path, count: int) -> Iterator[Target]:
    """``count`` sounds spread evenly over those below ``folder``; the name of its own folder is a sound's family."""
    paths = audio.find([folder])
    for i in np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int):
        sound = audio.read(paths[i], synth.rate, synth.seconds)
        fitted = audio.fit(sound, synth.rate, round(synth.rate * synth.seconds))
        yield Target(paths[i].stem, paths[i].parent.name, fitted[None])


def score(synth: Synth, target: Audio, params: Params, noise: int = 0) -> dict[str, float]:
    """The published metrics of one patch ``(1, param)``, played at the target's level."""
    played, _ = audio.match_level(synth.render(params, torch.tensor([noise])), target)
    return {name: float(value[0]) for name, value in distances.metrics(target, played).items()}


def solve(synth: Synth, target: Target, arm: str, budget: Budget, seed: int) -> Row:
    """Run one arm on one target."""
    began = time.perf_counter()
    if arm == "oracle":
        assert target.params is not None
        params, renders = target.params, 1
    else:
        problem = Problem(synth, target.sound, MatchDistance(target.sound), budget)
        with torch_on_one_thread():
            params = method(arm, synth, seed)(problem, Solution.nothing(len(synth.spec))).best(1).params
        renders = problem.renders
    seconds = time.perf_counter() - began
    noise = target.noise + OTHER_NOISE if arm == "oracle" else 0
    return Row(arm, target.name, target.family, score(synth, target.sound, params, noise), seconds, renders)


def run(
    synth: Synth,
    targets: list[Target],
    arms: list[str],
    budget: Budget,
    seed: int,
    out: Path,
    on_row: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Every arm on every target; rows are appended to ``out`` as they come, and those already there are kept.

    Raises:
        UsageError: ``out`` has results that were made in another way.
    """
    header: dict[str, object] = {
        "budget": asdict(budget),
        "seed": seed,
        "synth": synth.name,
        "distance": MatchDistance.measures,
        "version": __version__,
        **machine(),
    }
    header["command"] = " ".join(["unsynth", *sys.argv[1:]])
    rows = _resume(out, header)
    done = {(row.arm, row.target) for row in rows}
    with out.open("a") as file:
        for target in targets:
            for arm in arms:
                if (arm, target.name) in done or (arm == "oracle" and target.params is None):
                    continue
                row = solve(synth, target, arm, budget, seed)
                file.write(json.dumps(asdict(row)) + "\n")
                file.flush()
                rows.append(row)
                on_row(row)
    return rows


def machine() -> dict[str, str | int]:
    """What the figures were measured on."""
    return {
        "processor": _processor(),
        "cores": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    """The processor's own name where the system tells it (Linux), or else its architecture."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def load(path: Path) -> tuple[dict[str, object], list[Row]]:
    """Header and rows of a results file."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return lines[0], [Row(**line) for line in lines[1:]]


def _resume(out: Path, header: dict[str, object]) -> list[Row]:
    if out.is_file():
        found, rows = load(out)
        other = [key for key in SAME if found.get(key) != header[key]]
        if other:
            raise UsageError(f"{out} has results of another {other[0]}; name another file as --out.")
        return rows
    out.parent.mkdir(parents=True, exist_ok=True)
    audio.write_text(out, json.dumps(header) + "\n")
    return []


def interval(values: list[float], draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean."""
    samples = np.random.default_rng(seed).choice(values, size=(draws, len(values)))
    low, high = np.percentile(samples.mean(1), [2.5, 97.5])
    return float(low), float(high)


def table(rows: list[Row]) -> str:
    """Markdown: one line for each arm, in order of mean MSS."""
    by_arm: dict[str, list[Row]] = {}
    for row in rows:
        by_arm.setdefault(row.arm, []).append(row)
    lines = [
        "| arm | targets | MSS mean (95 %) | median | wMFCC | SOT | RMS | seconds | renders |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    ordered = sorted(by_arm.items(), key=lambda item: statistics.mean(r.metrics["MSS"] for r in item[1]))
    return "\n".join([*lines, *(_line(arm, own) for arm, own in ordered)])


def _line(arm: str, rows: list[Row]) -> str:
    def mean(metric: str) -> float:
        return statistics.mean(row.metrics[metric] for row in rows)

    mss = [row.metrics["MSS"] for row in rows]
    low, high = interval(mss)
    seconds, renders = (statistics.mean(getattr(row, field) for row in rows) for field in ("seconds", "renders"))
    return (
        f"| {arm} | {len(rows)} | {mean('MSS'):.2f} ({low:.2f}-{high:.2f}) | {statistics.median(mss):.2f} "
        f"| {mean('wMFCC'):.2f} | {mean('SOT'):.3f} | {mean('RMS'):.3f} | {seconds:.1f} | {renders:.0f} |"
    )
