"""Compare recipes at one equal budget: each is trained, and its joint space measured on validation sounds.

Every recipe and seed is one JSON line in ``results/``. A study that was stopped goes on where it was, in the middle of
a training too; docs/study.md is generated from the lines.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from unsynth import __version__, checkpoint
from unsynth.base import UsageError
from unsynth.evaluate import machine
from unsynth.objectives.joint import Joint
from unsynth.recipe import Recipe, load, parse
from unsynth.study.downstream import Measures, measure
from unsynth.study.rows import Json, Row, append, read
from unsynth.train import LOG, MODEL, STATE, Progress, fit

JOINT = f"{Joint.__module__}.{Joint.__qualname__}"
BEFORE = "before"  # folder of the training that comes before the joint one
NAME = re.compile(r"\w[^/\\:\x00-\x1f]*")  # of a recipe, which names a folder
Tell = Callable[[str, float, str], None]


@dataclass(frozen=True)
class Plan:
    """What every recipe gets, and how what it learned is measured.

    Args:
        minutes: wall clock of the training; no limit where None.
        sounds: that the training sees; no limit where None.
        before: share of both for an objective without a side for parameters; a joint training from its encoder,
            with the default encoder of parameters and contrastive loss, gets the rest.
        warmup: share of the steps that warm up, where the recipe says more.
        filled: share of the minutes that steps are planned for, by the speed of the first few.
        probed: how many those are.
        measures: of the joint space.

    Raises:
        UsageError: there is no limit at all, or one that is not above zero.
    """

    minutes: float | None = None
    sounds: int | None = None
    before: float = 0.5
    warmup: float = 0.1
    filled: float = 0.95
    probed: int = 8
    measures: Measures = field(default_factory=Measures)

    def __post_init__(self) -> None:
        limits = [limit for limit in (self.minutes, self.sounds) if limit is not None]
        if not limits or not all(0 < limit < math.inf for limit in limits):
            raise UsageError("A study needs one budget for every recipe; give --minutes or --sounds above zero.")

    def steps(self, recipe: Recipe, share: float, speed: Callable[[], float]) -> int:
        """How many steps a share of the budget is; ``speed`` in sounds/s is asked for only where it matters."""
        limits = [] if self.sounds is None else [share * self.sounds]
        limits += [] if self.minutes is None else [share * self.filled * 60 * self.minutes * speed()]
        return max(1, int(min(limits) / recipe.batch))


@dataclass(frozen=True)
class Variant:
    """A recipe of a study: the options of a file, and the settings that change some of them."""

    name: str
    options: Json
    settings: tuple[str, ...] = ()

    def digest(self, plan: Plan) -> str:
        """Changes with whatever changes the training."""
        told = [parse(self.options, self.settings)[1], plan.minutes, plan.sounds, plan.before, plan.warmup]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def variants(paths: Sequence[Path], only: Sequence[str] = (), settings: Sequence[str] = ()) -> list[Variant]:
    """The recipes in files, or of them those that ``only`` names; a file may be a list of changes to one recipe.

    All have the ``settings`` too.

    Raises:
        UsageError: a file is neither, a name is of none or of two, or no name of a folder.
    """
    each = [variant for path in paths for variant in _variants(path)]
    found = {variant.name: variant for variant in each}
    if twice := [name for name, count in Counter(variant.name for variant in each).items() if count > 1]:
        raise UsageError(f"Two recipes are called {twice[0]!r}; rename one of the files.")
    if strange := [name for name in found if not isinstance(name, str) or not NAME.fullmatch(name)]:
        raise UsageError(f"A recipe cannot be called {strange[0]!r}, as no folder can; use letters and digits.")
    unknown = [name for name in only if name not in found]
    if unknown:
        raise UsageError(f"There is no recipe {unknown[0]!r} in the study; choose from: {', '.join(found)}.")
    return [replace(found[name], settings=(*found[name].settings, *settings)) for name in only or found]


def _variants(path: Path) -> list[Variant]:
    options = load(path)
    if "variants" not in options:
        return [Variant(path.stem, options)]
    base, changes = options.get("base"), options["variants"]
    if (
        not isinstance(base, str)
        or not isinstance(changes, dict)
        or any(own and not isinstance(own, dict) for own in changes.values())
    ):
        raise UsageError(f"{path} is not a study; give it a `base` and `variants` as recipes/study.yaml has them.")
    shared = load(path.parent / base)
    return [
        Variant(name, shared, tuple(_setting(*change) for change in (own or {}).items()))
        for name, own in changes.items()
    ]


def _setting(option: str, value: Any) -> str:
    return f"{option}={value if isinstance(value, str) else json.dumps(value)}"


def run(
    recipes: Sequence[Variant],
    seeds: Sequence[int],
    plan: Plan,
    out: Path,
    runs: Path,
    device: str = "auto",
    on_row: Callable[[Row], None] = lambda row: None,
    tell: Tell = lambda what, share, note: None,
) -> list[Row]:
    """Every recipe with every seed; rows are appended to ``out`` as they come, and those already there are kept.

    Args:
        recipes: what to compare.
        seeds: all recipes are trained with the first before any is with the second.
        plan: the budget.
        out: the file of rows.
        runs: where the trainings are kept.
        device: as of ``fit``.
        on_row: called with each row when it is done.
        tell: called with what is going on, how much of it is done, and a note.

    Returns:
        All rows of ``out``.
    """
    rows = read(out)
    done = {(row.recipe, row.seed, row.digest, json.dumps(row.plan)) for row in rows}
    asked, digests = json.dumps(asdict(plan)), [variant.digest(plan) for variant in recipes]
    for seed in dict.fromkeys(seeds):
        for variant, digest in zip(recipes, digests, strict=True):
            if (variant.name, seed, digest, asked) not in done:
                folder = runs / f"{variant.name}-{digest}" / f"seed-{seed}"
                rows.append(_row(variant, seed, digest, plan, folder, device, tell))
                append(out, rows[-1])
                on_row(rows[-1])
    return rows


def _row(variant: Variant, seed: int, digest: str, plan: Plan, folder: Path, device: str, tell: Tell) -> Row:
    began, what = time.monotonic(), f"{variant.name}, seed {seed}"
    trained = train(variant, seed, plan, folder, device, lambda *at: tell(f"{what}, training", *at))
    measured = measure(folder, seed, plan.measures, device, lambda part, *at: tell(f"{what}, {part}", *at))
    origin = {"version": __version__, **machine(), "command": shlex.join(["unsynth", *sys.argv[1:]])}
    plain = json.loads(json.dumps(asdict(plan)))
    return Row(variant.name, seed, digest, plain, trained, measured, time.monotonic() - began, origin)


def train(
    variant: Variant, seed: int, plan: Plan, folder: Path, device: str, tell: Callable[[float, str], None]
) -> list[Json]:
    """Train a joint space in ``folder``, after whatever else the recipe's objective is; what each training was."""
    settings = [*variant.settings, f"seed={seed}"]
    _, facts = parse(variant.options, settings)
    if facts["recipe"]["objective"]["class_path"] == JOINT:
        return [_train(variant.options, settings, 1.0, plan, folder, device, tell)]
    before = _train(variant.options, settings, plan.before, plan, folder / BEFORE, device, tell)
    joint = joined(facts["recipe"], folder / BEFORE / MODEL, before["sounds"])
    return [before, _train(joint, [], 1 - plan.before, plan, folder, device, tell)]


def joined(options: Mapping[str, Any], model: Path, seen: int) -> Json:
    """A recipe whose objective has no side for parameters, with a joint one that starts from its encoder instead.

    It goes on after the sounds that were seen.
    """
    arguments = {
        "audio": options["objective"]["init_args"]["encoder"],
        "params": "unsynth.encoders.params.ParamsMlp",
        "criterion": "unsynth.objectives.joint.Contrastive",
        "start": str(model),
    }
    changed = {"first": options["first"] + seen, "start": "", "replay": 0}  # nothing is frozen that could be replayed
    return {**options, **changed, "objective": {"class_path": JOINT, "init_args": arguments}}


def _train(
    options: Json, settings: list[str], share: float, plan: Plan, folder: Path, device: str, tell: Callable[..., None]
) -> Json:
    recipe, facts = parse(options, settings)
    state = checkpoint.load(folder / STATE)[1] if (folder / STATE).is_file() else None
    if state:
        steps = state["recipe"]["steps"]
    else:
        steps = plan.steps(recipe, share, lambda: speed(recipe, facts, plan.probed, device))
    warmup = min(recipe.warmup, int(plan.warmup * steps))
    recipe, facts = parse(options, [*settings, f"steps={steps}", f"warmup={warmup}"])
    left = None if plan.minutes is None else share * plan.minutes - (state["seconds"] / 60 if state else 0)

    def show(at: Progress) -> None:
        tell(at.step / at.steps, at.line())

    fit(recipe, facts, folder, device=device, minutes=left, on_progress=show)
    end = checkpoint.load(folder / MODEL)[1]
    sounds, seconds = end["step"] * recipe.batch, end["seconds"]
    name = facts["recipe"]["objective"]["class_path"].rpartition(".")[2]
    told = {"objective": name, "sounds": sounds, "seconds": seconds, "sounds_per_second": sounds / seconds}
    return {**told, "steps": end["step"], "planned": steps}


def speed(recipe: Recipe, facts: Json, steps: int, device: str) -> float:
    """Sounds/s of a training: the median of its first steps but the very first."""
    with TemporaryDirectory() as folder:
        fit(replace(recipe, steps=steps + 1), facts, Path(folder), device=device, log_steps=1)
        rows = [json.loads(line) for line in (Path(folder) / LOG).read_text().splitlines()]
    return median(row["sounds_per_second"] for row in rows[1:])
