"""Matching many sounds: a folder of results for each, and a run that goes on where an earlier one stopped."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from operator import attrgetter
from pathlib import Path
from typing import Any

from unsynth import __version__, audio, crew, folders
from unsynth.base import Budget, NotFoundError, OutputError, Problem, UnsynthError, UsageError
from unsynth.match import Match, match
from unsynth.report import index
from unsynth.synths import synth as synth_of

RECORD = "result.json"
TEXTS = ("folder", "synth", "unheard")  # of a result
NUMBERS = ("distance", "gain_db", "candidates", "seconds", "renders", "seed", "interrupted")
PROMISED = ("patch.json", "report.html")
TROUBLE = "trouble"  # a text that a result has where an engine failed on some patches
HEARD = "match.wav"  # promised where something plays the synth
OVERVIEWS = {
    "index.html": ("<!doctype html><!-- unsynth match -->", index.page),
    "summary.csv": ("target,folder,", index.table),
}
"""Files about all results: how those of ours begin, and what makes them."""

Json = dict[str, Any]
OnProgress = Callable[[str, Problem], None]


@dataclass(frozen=True)
class Task:
    """How every sound is matched: arguments of :func:`unsynth.match.match`."""

    synth: str
    method: str
    budget: Budget
    candidates: int
    seed: int
    device: str
    start: list[list[float]] | None = None
    held: list[str] | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one target: a result that JSON can hold, or the error."""

    target: str
    result: Json
    error: UnsynthError | None = None
    resumed: bool = False

    def json(self) -> Json:
        if self.error:
            return {"target": self.target, "error": str(self.error), "exit_code": self.error.exit_code}
        return {"target": self.target, **self.result, "resumed": self.resumed}

    def line(self) -> str:
        """The outcome for people."""
        if self.error:
            return f"unsynth: {self.error}"
        report = Path(self.result["folder"], "report.html")
        if why := self.result["unheard"]:
            guessed = f"{self.result['candidates']} patches guessed, none of them rendered or scored"
            return f"{self.target}: {guessed}; {report}. {why}"
        scores = ", ".join(f"{name} {v:.3g}" for name, v in self.result["metrics"].items() if v is not None)
        spent = f"{self.result['seconds']:.1f} s, {self.result['renders']:,} renders"
        told = f"{self.target}: {scores}; {'done before' if self.resumed else spent}; {report}"
        return ". ".join(filter(None, [told, self.result.get(TROUBLE)]))


@dataclass(frozen=True)
class Errand:
    """One sound to match and the folder for what is found; or what is wrong with it."""

    sound: str
    folder: Path
    error: UnsynthError | None = None


def targets(paths: Iterable[str]) -> dict[str, UnsynthError | None]:
    """The sounds that ``paths`` name, each once, with the error of those that name none."""
    found: dict[str, UnsynthError | None] = {}
    for path in paths:
        try:
            found |= {str(sound): None for sound in audio.find([path])}
        except UnsynthError as error:
            found[path] = error
    return found


def run(
    sounds: dict[str, UnsynthError | None],
    out: Path,
    task: Task,
    on_progress: OnProgress = lambda sound, problem: None,
    who: crew.Crew | None = None,
) -> Iterator[Outcome]:
    """Match each of ``sounds`` into its own folder below ``out``; after Ctrl-C the best so far comes as the last.

    An index page and a table of all results below ``out`` are written before the last comes, where there are several.

    A sound is done when its folder says that the same file (path, size, time of change) was matched by this version
    with the same task, the device apart. Sounds of one name get folders of their own: ``kick``, ``kick-2``, ...

    Args:
        sounds: paths, or errors in place of those that name nothing.
        out: folder of the results.
        task: how to match.
        on_progress: called after every step of a search, where this process does it.
        who: does the work; this process, in the order of ``sounds``, where None. With others, outcomes come in any
            order, and after Ctrl-C (KeyboardInterrupt) only what is done is kept.

    Raises:
        UsageError: ``task`` makes no sense.
        OutputError: ``out`` cannot be made, or an overview cannot be written.
        WorkerError: nobody can do the work.
    """
    folders.make(out)
    who = who or crew.Alone()
    each = partial(_outcome, task=task, on_progress=on_progress if who.alone else None)
    failed, order = list[Outcome](), list(sounds)
    try:
        errands, given_up = _errands(sounds, out), lambda errand, error: Outcome(errand.sound, {}, error)
        outcomes = crew.share(each, errands, who, name=attrgetter("sound"), given_up=given_up)
        for number, (_, outcome) in enumerate(outcomes, start=1):
            if outcome.error:
                failed = sorted([*failed, outcome], key=lambda one: order.index(one.target))
            stopped = outcome.result.get("interrupted", False)
            if stopped or number == len(sounds):
                _overview(out, failed)
            yield outcome
            if stopped:
                return
    except KeyboardInterrupt:
        _overview(out, failed)
        raise


def _errands(sounds: dict[str, UnsynthError | None], out: Path) -> Iterator[Errand]:
    """A folder for each sound: ``out/stem``, or ``out/stem-2``, ... where that is another's."""
    taken: set[Path] = set()
    for sound, error in sounds.items():
        errand = Errand(sound, out if error else _folder(out, Path(sound), taken), error)
        taken.add(errand.folder)
        yield errand


def _outcome(errand: Errand, task: Task, on_progress: OnProgress | None) -> Outcome:
    if errand.error:
        return Outcome(errand.sound, {}, errand.error)
    sound, folder = Path(errand.sound), errand.folder
    try:
        job, done = _job(sound, task), _record(folder)
        promised = [*PROMISED, *[HEARD] * job["heard"]]
        if done.get("job") == job and done.get("result") and all((folder / name).is_file() for name in promised):
            return Outcome(str(sound), done["result"], resumed=True)
        _require_seen(folder.parent)
        found = match(sound, **vars(task), on_progress=on_progress and partial(on_progress, str(sound)))
        return Outcome(str(sound), _save(found, folder, job))
    except UsageError:
        raise
    except UnsynthError as error:
        return Outcome(str(sound), {}, error)


def _require_seen(out: Path) -> None:
    """OutputError where this machine does not see what another has made."""
    if not out.is_dir():
        raise OutputError(f"{platform.node()} does not see {out}; name a folder that all machines see as --out.")


def _overview(out: Path, failed: list[Outcome]) -> None:
    """Write the index page and the table, but over no file that is not ours."""
    records = [(file.parent, _record(file.parent)) for file in sorted(out.glob(f"*/{RECORD}"))]
    done = [(folder, record) for folder, record in records if isinstance(record.get("result"), dict)]
    results = [{**r["result"], "target": r["job"]["sound"], "folder": str(f)} for f, r in done]
    results += [outcome.json() for outcome in failed]
    for name, (beginning, made) in OVERVIEWS.items():
        if len(results) > 1 and _begins(out / name, beginning):
            audio.write_text(out / name, made(results))


def _begins(path: Path, beginning: str) -> bool:
    """Whether a file begins so, or there is none."""
    try:
        return path.read_bytes().startswith(beginning.encode())
    except OSError as error:
        return isinstance(error, FileNotFoundError)


def _job(sound: Path, task: Task) -> Json:
    """Everything that decides a result; as JSON, so that it can be compared with what a file says."""
    try:
        facts = sound.stat()
    except OSError as error:
        raise NotFoundError(f"{sound} cannot be read any more ({error.strerror}).") from error
    asked = {name: value for name, value in asdict(task).items() if name != "device" and value is not None}
    source = {"sound": str(sound.resolve()), "bytes": facts.st_size, "changed_ns": facts.st_mtime_ns}
    synth = synth_of(task.synth)
    return {**source, **asked, "spec": synth.spec.hash, "heard": not synth.lacks(), "version": __version__}


def _folder(out: Path, sound: Path, taken: set[Path]) -> Path:
    """``out/stem``, or ``out/stem-2``, ... where that is taken or holds anything that is not from ``sound``."""
    stem = sound.stem.strip(". ") or "sound"
    names = (out / (stem if n == 1 else f"{stem}-{n}") for n in count(1))
    return next(name for name in names if name not in taken and _is_free(name, str(sound.resolve())))


def _is_free(folder: Path, sound: str) -> bool:
    if not os.path.lexists(folder):
        return True
    owner = _record(folder).get("job", {}).get("sound")
    return owner == sound if owner else folders.is_unused(folder)


def _record(folder: Path) -> Json:
    """What the record of ``folder`` says; nothing where there is none that can be read."""
    try:
        fields = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(fields, dict) or not isinstance(fields.get("job"), dict):
        return {}
    whole = isinstance(fields["job"].get("sound"), str) and _is_result(fields.get("result"))
    return fields if whole else {**fields, "result": None}


def _is_result(told: Any) -> bool:
    """Whether ``told`` is what :func:`_result` gave."""
    if not isinstance(told, dict) or told.keys() - {TROUBLE} != {*TEXTS, *NUMBERS, "metrics"}:
        return False
    if not isinstance(told["metrics"], dict) or not isinstance(told.get(TROUBLE, ""), str):
        return False
    given = [told[name] for name in NUMBERS if name != "distance" or not told["unheard"] or told[name] is not None]
    numbers = given + [value for value in told["metrics"].values() if value is not None]
    return all(isinstance(told[name], str) for name in TEXTS) and all(
        isinstance(number, int | float) and abs(number) <= sys.float_info.max for number in numbers
    )


def _save(found: Match, folder: Path, job: Json) -> Json:
    """Write everything, the record first without and at last with the result, which is returned."""
    result = _result(found, folder)
    folders.make(folder)
    folders.sweep(folder)
    audio.write_text(folder / RECORD, json.dumps({"job": job, "result": None}))
    with suppress(OSError):
        for old in (*folder.glob("candidate-*"), *folder.glob("match.*"), *folder.glob(".*.part")):
            old.unlink()
    try:
        found.save(folder)
    except KeyboardInterrupt:
        found.save(folder)
        found.interrupted = result["interrupted"] = True
    best = found.candidates[0].audio
    audio.write_bytes(folder / index.PREVIEW, index.preview(found.target, best, found.rate))
    if not found.interrupted:
        audio.write_text(folder / RECORD, json.dumps({"job": job, "result": result}))
    return result


def _result(found: Match, folder: Path) -> Json:
    best = found.candidates[0]
    return {
        "folder": str(folder),
        "synth": found.synth,
        "distance": None if found.unheard else best.distance,
        "metrics": {name: value if math.isfinite(value) else None for name, value in best.metrics.items()},
        "gain_db": best.gain_db,
        "candidates": len(found.candidates),
        "seconds": found.seconds,
        "renders": found.renders,
        "seed": found.seed,
        "interrupted": found.interrupted,
        "unheard": found.unheard,
        **({TROUBLE: found.trouble} if found.trouble else {}),
    }
