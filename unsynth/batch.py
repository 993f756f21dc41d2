"""Matching many sounds: a folder of results for each, and a run that goes on where an earlier one stopped."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

from unsynth import __version__, audio
from unsynth.base import Budget, OutputError, Problem, UnsynthError, UsageError
from unsynth.match import Match, match
from unsynth.report import index
from unsynth.synths import synth as synth_of

RECORD = "result.json"
TEXTS = ("folder", "synth")  # of a result
NUMBERS = ("distance", "gain_db", "candidates", "seconds", "renders", "seed", "interrupted")
PROMISED = ("match.wav", "patch.json", "report.html")
OVERVIEWS = {
    "index.html": ("<!doctype html><!-- unsynth match -->", index.page),
    "summary.csv": ("target,folder,", index.table),
}
"""Files about all results: how those of ours begin, and what makes them."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """How every sound is matched: arguments of :func:`unsynth.match.match`."""

    synth: str
    method: str
    budget: Budget
    candidates: int
    seed: int
    device: str


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
        scores = ", ".join(f"{name} {v:.3g}" for name, v in self.result["metrics"].items() if v is not None)
        spent = f"{self.result['seconds']:.1f} s, {self.result['renders']:,} renders"
        report = Path(self.result["folder"], "report.html")
        return f"{self.target}: {scores}; {'done before' if self.resumed else spent}; {report}"


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
    sounds: dict[str, UnsynthError | None], out: Path, task: Task, on_progress: Callable[[str, Problem], None]
) -> Iterator[Outcome]:
    """Match each of ``sounds`` into its own folder below ``out``; after Ctrl-C the best so far comes as the last.

    An index page and a table of all results below ``out`` are written before the last comes, where there are several.

    A sound is done when its folder says that the same file (path, size, time of change) was matched by this version
    with the same task, the device apart. Sounds of one name get folders of their own: ``kick``, ``kick-2``, ...

    Raises:
        UsageError: ``task`` makes no sense.
        OutputError: ``out`` cannot be made, or an overview cannot be written.
    """
    _make(out)
    failed: list[Outcome] = []
    for number, (sound, error) in enumerate(sounds.items(), start=1):
        outcome = Outcome(sound, {}, error) if error else _outcome(Path(sound), out, task, on_progress)
        failed += [outcome] if outcome.error else []
        stopped = outcome.result.get("interrupted", False)
        if stopped or number == len(sounds):
            _overview(out, failed)
        yield outcome
        if stopped:
            return


def _outcome(sound: Path, out: Path, task: Task, on_progress: Callable[[str, Problem], None]) -> Outcome:
    try:
        folder, job = _folder(out, sound), _job(sound, task)
        done = _record(folder)
        if done.get("job") == job and done.get("result") and all((folder / name).is_file() for name in PROMISED):
            return Outcome(str(sound), done["result"], resumed=True)
        found = match(sound, **vars(task), on_progress=lambda problem: on_progress(str(sound), problem))
        return Outcome(str(sound), _save(found, folder, job))
    except UsageError:
        raise
    except UnsynthError as error:
        return Outcome(str(sound), {}, error)


def _overview(out: Path, failed: list[Outcome]) -> None:
    """Write the index page and the table, but over no file that is not ours."""
    records = [(file.parent, _record(file.parent)) for file in sorted(out.glob(f"*/{RECORD}"))]
    done = [
        {**r["result"], "target": r["job"]["sound"], "folder": str(f)}
        for f, r in records
        if isinstance(r.get("result"), dict)
    ]
    results = done + [outcome.json() for outcome in failed]
    for name, (beginning, made) in OVERVIEWS.items():
        if len(results) > 1 and _begins(out / name, beginning):
            audio.write_text(out / name, made(results))


def _begins(path: Path, beginning: str) -> bool:
    """Whether a file begins so, or there is none."""
    try:
        return path.read_bytes().startswith(beginning.encode())
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _job(sound: Path, task: Task) -> Json:
    """Everything that decides a result; as JSON, so that it can be compared with what a file says."""
    facts = sound.stat()
    asked = {name: value for name, value in asdict(task).items() if name != "device"}
    source = {"sound": str(sound.resolve()), "bytes": facts.st_size, "changed_ns": facts.st_mtime_ns}
    return {**source, **asked, "spec": synth_of(task.synth).spec.hash, "version": __version__}


def _folder(out: Path, sound: Path) -> Path:
    """``out/stem``, or ``out/stem-2``, ... where that holds anything that is not from ``sound``."""
    stem = sound.stem.strip(". ") or "sound"
    names = (stem if n == 1 else f"{stem}-{n}" for n in count(1))
    return next(out / name for name in names if _is_free(out / name, str(sound.resolve())))


def _is_free(folder: Path, sound: str) -> bool:
    if not os.path.lexists(folder):
        return True
    owner = _record(folder).get("job", {}).get("sound")
    return owner == sound if owner else folder.is_dir() and not any(folder.iterdir())


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
    if (
        not isinstance(told, dict)
        or told.keys() != {*TEXTS, *NUMBERS, "metrics"}
        or not isinstance(told["metrics"], dict)
    ):
        return False
    numbers = [told[name] for name in NUMBERS] + [value for value in told["metrics"].values() if value is not None]
    return all(isinstance(told[name], str) for name in TEXTS) and all(
        isinstance(number, int | float) and abs(number) <= sys.float_info.max for number in numbers
    )


def _save(found: Match, folder: Path, job: Json) -> Json:
    """Write everything, the record first without and at last with the result, which is returned."""
    result = _result(found, folder)
    _make(folder)
    audio.write_text(folder / RECORD, json.dumps({"job": job, "result": None}))
    with suppress(OSError):
        for old in (*folder.glob("candidate-*"), *folder.glob("match.*")):
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
        "distance": best.distance,
        "metrics": {name: value if math.isfinite(value) else None for name, value in best.metrics.items()},
        "gain_db": best.gain_db,
        "candidates": len(found.candidates),
        "seconds": found.seconds,
        "renders": found.renders,
        "seed": found.seed,
        "interrupted": found.interrupted,
    }


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made ({error.strerror}); choose another --out.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"The folder {folder} cannot be written to; choose another --out.")
