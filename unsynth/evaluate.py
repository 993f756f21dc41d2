"""Compare search methods on held-out targets at equal budget: every arm on every target, as one table.

Results are JSON in ``results/``; README tables are generated from them. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import platform
import shlex
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch

from unsynth import __version__, audio, checkpoint, crew, distances, folders
from unsynth.base import Audio, Budget, EngineError, Params, Problem, Search, Solution, Synth, UsageError
from unsynth.contract import Losses, far_where_lost, forgiven
from unsynth.native import torch_on_one_thread
from unsynth.params import ParamSpec
from unsynth.scores import Row, load
from unsynth.search import library
from unsynth.search.baselines import Mean, Restarts
from unsynth.search.gradient import Gradient
from unsynth.search.methods import METHODS, Setting, made, require
from unsynth.search.objective import MatchDistance
from unsynth.targets import Presets, Target

SAME = (  # of all rows of a file of results
    "budget",
    "seed",
    "synth",
    "spec",
    "sounds",
    "split",
    "presets",
    "distance",
    "version",
)
ORACLE, MEAN = "oracle", "mean"  # arms that do not search
ALGORITHM = "voice.algorithm"  # which operator of a DX7 modulates which: the choice that gives the others their meaning
OTHER_NOISE = 1  # the oracle renders the true parameters with the next noise row
DIGITS = 9  # of parameters in a file: enough to tell any two float32 apart
ARMS: dict[str, Callable[[Setting], Search]] = {  # besides the oracle, which does not search
    MEAN: lambda setting: Mean(),
    "gradient-scratch": lambda setting: Restarts(Gradient(), seed=setting.seed, prior=setting.prior),
    **METHODS,
}


@dataclass(frozen=True)
class Trial:
    """One arm to run on one target."""

    target: Target
    arm: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from other trials: arm, family and name."""
        return self.arm, self.target.family, self.target.name

    def told(self) -> str:
        return f"{self.arm} on {self.target.name}"


def play(synth: Synth, target: Audio, params: Params, noise: int = 0) -> Audio:
    """One patch ``(1, param)`` at the target's level, ``(1, time)``."""
    return audio.match_level(synth.render(params, torch.tensor([noise])), target)[0]


def score(synth: Synth, target: Audio, params: Params, noise: int = 0) -> dict[str, float]:
    """The published metrics of one patch ``(1, param)``, played at the target's level."""
    found = distances.metrics(target, play(synth, target, params, noise))
    return {name: float(value[0]) for name, value in found.items()}


def solve(setting: Setting, target: Target, arm: str, budget: Budget) -> Row:
    """Run one arm on one target."""
    synth = setting.synth
    began = time.perf_counter()
    if arm == ORACLE:
        assert target.params is not None
        params, renders = target.params, 1
    else:
        problem = Problem(synth, target.sound, far_where_lost(MatchDistance(target.sound)), budget)
        search = made(arm, setting, ARMS)
        with torch_on_one_thread(), forgiven(Losses()):
            params = _found(problem, search).best(1).params
        renders = problem.renders
    seconds = time.perf_counter() - began
    noise = target.noise + OTHER_NOISE if arm == ORACLE else 0
    with torch_on_one_thread():
        metrics = score(synth, target.sound, params, noise)
    found = [float(f"{value:.{DIGITS}g}") for value in params[0].tolist()]
    known = _same_algorithm(synth.spec, params, target.params)
    return Row(arm, target.name, target.family, metrics, seconds, renders, found, noise, known)


def _found(problem: Problem, search: Search) -> Solution:
    """What a search finds, until the engine fails for good; EngineError where that is before it found anything."""
    try:
        return search(problem, problem.elite)
    except EngineError:
        if not problem.elite.distances.isfinite().any():
            raise
        return problem.elite


def _same_algorithm(spec: ParamSpec, found: Params, truth: Params | None) -> bool | None:
    """None where nobody knows, or the synth has none."""
    if truth is None or ALGORITHM not in spec.names:
        return None
    column = spec.index(ALGORITHM)
    return bool(spec.to_human(found)[0, column] == spec.to_human(truth)[0, column])


@dataclass(frozen=True)
class Conditions:
    """What all rows of a file of results have in common.

    Args:
        synth: what searches play.
        budget: of each arm on each target.
        seed: of the searches.
        sounds: the folder that the targets are from, where they are from one: a report finds them there.
        split: that the targets are of, test or validation, where it is known.
        presets: what the targets are of, where they are presets, and what searches may know.
        patches: whether to write what was found; not where somebody else's presets should stay private.
    """

    synth: Synth
    budget: Budget
    seed: int = 0
    sounds: str = ""
    split: str = ""
    presets: Presets | None = None
    patches: bool = True

    def setting(self) -> Setting:
        """Of every search: of presets it knows those alone that are no targets."""
        presets = self.presets
        if presets is None:
            return Setting(self.synth, self.seed)
        return Setting(self.synth, self.seed, presets.prior, lambda: presets.library)

    def header(self, arms: list[str]) -> dict[str, object]:
        """The first line of a file of results: what was run, and on what."""
        return {
            "budget": asdict(self.budget),
            "seed": self.seed,
            "synth": self.synth.name,
            "spec": self.synth.spec.hash,
            "sounds": self.sounds or str(self.presets.folder if self.presets else ""),
            "split": self.split,
            "presets": self.presets.facts if self.presets else None,
            "distance": MatchDistance.measures,
            "learned": _learned(self.synth, arms, self.presets is None),
            "version": __version__,
            **machine(),
            "command": shlex.join(["unsynth", *sys.argv[1:]]),
        }


def run(
    conditions: Conditions,
    targets: list[Target],
    arms: list[str],
    out: Path,
    on_row: Callable[[Row], None] = lambda row: None,
    who: crew.Crew | None = None,
) -> list[Row]:
    """Every arm on every target; rows are appended to ``out`` as they come, and those already there are kept.

    In the end they are in the order of ``targets``, and of ``arms`` for each, after those of other targets and arms.

    Args:
        conditions: of all of them.
        targets: what is searched for.
        arms: of ``ARMS``, and the oracle.
        out: file of results.
        on_row: is told of every row.
        who: solves; this process where None.

    Raises:
        UsageError: there is no such arm, or ``out`` has results that were made in another way.
        WorkerError: nobody can do the work.
    """
    arms = list(dict.fromkeys(arms))
    for arm in arms:
        require(arm, (ORACLE, *ARMS), "arm")
    rows = _resume(out, conditions.header(arms), arms)
    done = {(row.arm, *row.key) for row in rows}
    plan = [Trial(target, arm) for target in targets for arm in arms if arm != ORACLE or target.params is not None]
    todo = [trial for trial in plan if trial.key not in done]
    if conditions.presets and any(arm in ARMS for arm in arms):
        _ = conditions.presets.library  # heard once, before any clock runs and for all workers
    for _, row in crew.share(partial(_solved, conditions), todo, who or crew.Alone(), name=Trial.told):
        folders.append(out, _line_of(row))
        rows.append(row)
        on_row(row)
    return _in_order(rows, [trial.key for trial in plan], out)


def _learned(synth: Synth, arms: list[str], with_presets: bool) -> dict[str, str]:
    """The checksums of what searches know, by name: models and indexes, the user's own presets, and models as arms."""
    own = {"presets": library.own()} if with_presets else {}
    own |= {arm: Path(arm) for arm in arms if arm not in (ORACLE, *ARMS)}
    paths = {**checkpoint.installed_of(synth.name), **own}
    return {name: checkpoint.digest(path) for name, path in paths.items() if path.is_file()}


def _solved(conditions: Conditions, trial: Trial) -> Row:
    row = solve(conditions.setting(), trial.target, trial.arm, conditions.budget)
    return row if conditions.patches else replace(row, params=None)


def _in_order(rows: list[Row], plan: list[tuple[str, str, str]], out: Path) -> list[Row]:
    """``rows`` as they are planned, those that are not planned first; in the file too."""
    place = {key: number for number, key in enumerate(plan)}
    ordered = sorted(rows, key=lambda row: place.get((row.arm, *row.key), -1))
    if ordered != rows:
        header = out.read_text().partition("\n")[0]
        audio.write_text(out, "".join(f"{line}\n" for line in [header, *map(_line_of, ordered)]))
    return ordered


def _line_of(row: Row) -> str:
    return json.dumps(asdict(row))


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


def _relearned(before: object, now: object, arms: set[str]) -> list[str]:
    """What searches know now that is not what they knew before, by name; models that are arms may come and go.

    Results that do not tell what was known may go on with anything.
    """
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return []
    both = {name: (before.get(name), now.get(name)) for name in {**before, **now}}
    return [name for name, (old, new) in both.items() if old != new and (name not in arms or (old and new))]


def _resume(out: Path, header: dict[str, object], arms: list[str]) -> list[Row]:
    if out.is_file():
        found, rows = load(out)
        other = [key for key in SAME if found.get(key, header[key]) != header[key]]
        other += _relearned(found.get("learned"), header["learned"], {row.arm for row in rows} | set(arms))
        if other:
            raise UsageError(f"{out} has results of another {other[0]}; name another file as --out.")
        audio.write_text(out, "".join(f"{line}\n" for line in folders.lines(out)))
        return rows
    folders.make(out.parent)
    audio.write_text(out, json.dumps(header) + "\n")
    return []
