"""Compare search methods on held-out targets at equal budget: every arm on every target, as one table.

Results are JSON in ``results/``; README tables are generated from them. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import math
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

from unsynth import __version__, audio, distances, folders
from unsynth.base import Audio, Budget, Params, Problem, Search, Solution, Synth, UsageError
from unsynth.native import torch_on_one_thread
from unsynth.search import METHODS
from unsynth.search.baselines import Mean, Restarts
from unsynth.search.gradient import Gradient
from unsynth.search.objective import MatchDistance
from unsynth.sounds.ids import held_out_ids, params_of

SAME = ("budget", "seed", "synth", "distance")  # what all rows of a file of results share
ORACLE, HELD_OUT = "oracle", "held-out"
OTHER_NOISE = 1  # the oracle renders the true parameters with the next noise row
DIGITS = 9  # of parameters in a file: enough to tell any two float32 apart
ARMS: dict[str, Callable[[Synth, int], Search]] = {  # besides the oracle, which does not search
    "mean": lambda synth, seed: Mean(),
    "gradient-scratch": lambda synth, seed: Restarts(Gradient(), seed=seed),
    **METHODS,
}


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
    """One arm on one target.

    ``params`` (unit interval) and ``noise`` are of the patch that was found; older files have none.
    """

    arm: str
    target: str
    family: str
    metrics: dict[str, float]
    seconds: float
    renders: int
    params: list[float] | None = None
    noise: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """Which target it is: its family and its name."""
        return self.family, self.target

    def line(self) -> str:
        mss = self.metrics["MSS"]
        return f"{self.arm} on {self.target}: MSS {mss:.2f}, {self.seconds:.1f} s, {self.renders:,} renders"


def held_out(synth: Synth, count: int, start: int = 0) -> Iterator[Target]:
    """Held-out sounds of the synth, by id."""
    for sound_id in held_out_ids(start, count).tolist():
        yield by_id(synth, sound_id)


def by_id(synth: Synth, sound_id: int) -> Target:
    """One of the synth's own sounds."""
    ids = torch.tensor([sound_id])
    params = params_of(ids, synth.spec)
    return Target(f"id-{sound_id}", HELD_OUT, synth.render(params, ids), params, sound_id)


def recordings(synth: Synth, folder: Path, count: int) -> Iterator[Target]:
    """``count`` sounds spread evenly over those below ``folder``; the name of its own folder is a sound's family."""
    paths = audio.find([folder])
    for i in np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int):
        yield recording(synth, paths[i])


def recording(synth: Synth, path: Path) -> Target:
    """The sound in a file, as long as the synth's; the name of its folder is its family."""
    sound = audio.read(path, synth.rate, synth.seconds)
    fitted = audio.fit(sound, synth.rate, round(synth.rate * synth.seconds))
    return Target(path.stem, path.parent.name, fitted[None])


def play(synth: Synth, target: Audio, params: Params, noise: int = 0) -> Audio:
    """One patch ``(1, param)`` at the target's level, ``(1, time)``."""
    return audio.match_level(synth.render(params, torch.tensor([noise])), target)[0]


def score(synth: Synth, target: Audio, params: Params, noise: int = 0) -> dict[str, float]:
    """The published metrics of one patch ``(1, param)``, played at the target's level."""
    found = distances.metrics(target, play(synth, target, params, noise))
    return {name: float(value[0]) for name, value in found.items()}


def solve(synth: Synth, target: Target, arm: str, budget: Budget, seed: int) -> Row:
    """Run one arm on one target. UsageError where there is no such arm."""
    if arm not in (ORACLE, *ARMS):
        raise UsageError(f"There is no arm {arm!r}; choose one of: {', '.join((ORACLE, *ARMS))}.")
    began = time.perf_counter()
    if arm == ORACLE:
        assert target.params is not None
        params, renders = target.params, 1
    else:
        problem = Problem(synth, target.sound, MatchDistance(target.sound), budget)
        with torch_on_one_thread():
            params = ARMS[arm](synth, seed)(problem, Solution.nothing(len(synth.spec))).best(1).params
        renders = problem.renders
    seconds = time.perf_counter() - began
    noise = target.noise + OTHER_NOISE if arm == ORACLE else 0
    with torch_on_one_thread():
        metrics = score(synth, target.sound, params, noise)
    found = [float(f"{value:.{DIGITS}g}") for value in params[0].tolist()]
    return Row(arm, target.name, target.family, metrics, seconds, renders, found, noise)


def run(
    synth: Synth,
    targets: list[Target],
    arms: list[str],
    budget: Budget,
    seed: int,
    out: Path,
    on_row: Callable[[Row], None] = lambda row: None,
    sounds: str = "",
) -> list[Row]:
    """Every arm on every target; rows are appended to ``out`` as they come, and those already there are kept.

    ``sounds`` is the folder that the targets are from, where they are from one: a report finds them there.

    Raises:
        UsageError: ``out`` has results that were made in another way.
    """
    header: dict[str, object] = {
        "budget": asdict(budget),
        "seed": seed,
        "synth": synth.name,
        "spec": synth.spec.hash,
        "sounds": sounds,
        "distance": MatchDistance.measures,
        "version": __version__,
        **machine(),
    }
    header["command"] = " ".join(["unsynth", *sys.argv[1:]])
    rows = _resume(out, header)
    done = {(row.arm, *row.key) for row in rows}
    for target in targets:
        for arm in arms:
            if (arm, target.family, target.name) in done or (arm == ORACLE and target.params is None):
                continue
            row = solve(synth, target, arm, budget, seed)
            folders.append(out, json.dumps(asdict(row)))
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
    """Header and rows of a results file; UsageError where it is none."""
    try:
        header, *lines = [json.loads(line) for line in folders.lines(path)]
        return {"budget": header["budget"], **header}, [Row(**line) for line in lines]
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{path} is no file of results, or is damaged; name one of `unsynth evaluate`.") from error


def _resume(out: Path, header: dict[str, object]) -> list[Row]:
    if out.is_file():
        found, rows = load(out)
        other = [key for key in SAME if found.get(key) != header[key]]
        if other:
            raise UsageError(f"{out} has results of another {other[0]}; name another file as --out.")
        audio.write_text(out, "".join(f"{line}\n" for line in folders.lines(out)))
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
    return markdown(cells(rows))


def cells(rows: list[Row], of: Callable[[list[float]], tuple[float, float]] = interval) -> list[list[str]]:
    """The table of :func:`table` as the texts of its cells, the heading first; ``of`` gives the interval of a mean."""
    heading = ["arm", "targets", "MSS mean (95 %)", "median", "wMFCC", "SOT", "RMS", "seconds", "renders"]
    ordered = sorted(by_arm(rows).items(), key=lambda item: statistics.mean(r.metrics["MSS"] for r in item[1]))
    return [heading, *(_line(arm, own, of) for arm, own in ordered)]


def by_arm(rows: list[Row]) -> dict[str, list[Row]]:
    """The rows of each arm, in the order of the file."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.arm, []).append(row)
    return found


def markdown(cells: list[list[str]]) -> str:
    """A table, its heading first."""
    heading, *lines = [f"| {' | '.join(text.replace('|', '&#124;') for text in line)} |" for line in cells]
    return "\n".join([heading, "|" + "---|" * len(cells[0]), *lines])


def spread(low: float, high: float, places: int) -> str:
    """An interval in brackets; nothing where it is not known."""
    return "" if math.isnan(low) else f" ({low:.{places}f}-{high:.{places}f})"


def _line(arm: str, rows: list[Row], of: Callable[[list[float]], tuple[float, float]]) -> list[str]:
    def mean(metric: str) -> float:
        return statistics.mean(row.metrics[metric] for row in rows)

    mss = [row.metrics["MSS"] for row in rows]
    seconds, renders = (statistics.mean(getattr(row, field) for row in rows) for field in ("seconds", "renders"))
    scores = [f"{mean('MSS'):.2f}{spread(*of(mss), 2)}", f"{statistics.median(mss):.2f}", f"{mean('wMFCC'):.2f}"]
    scores += [f"{mean('SOT'):.3f}", f"{mean('RMS'):.3f}"]
    return [arm, str(len(rows)), *scores, f"{seconds:.1f}", f"{renders:.0f}"]
