"""``python -m bench.kill``: what is killed at random moments and run again ends up as if nothing had been.

Half of the kills come at a random time of a run, which is mostly between two files; the others right before a random
operation on a file, which is where half-made things would be. Writes results/reliability-kill.json, where kinds of work
that are not killed this time stay as they were.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from bench import artefacts, machine
from bench.mortal import count_operations
from unsynth import audio, cli
from unsynth.search import index

RESULTS = machine.ROOT / "results" / "reliability-kill.json"
FORK = multiprocessing.get_context("fork")
IMPORTED = (
    "batch",
    "evaluate",
    "train",
    "study.recall",
    "sounds.shard_building",
    "search.embedding",
    "commands.display",
)
FITTED_ON = 256  # sounds, instead of thousands: an index whose making takes seconds
MARK = "UNSYNTH_BENCH_KILL"  # in the environment of what a command starts
GRACE = 30.0  # seconds in which the processes of a killed one have to end
PATIENCE = 600.0  # seconds that one run may take
EDGE = 0.1  # share of the moments that come very early, and again at the very end
MOST = 4  # kills of one piece of work
TRAINED = "steps=4 batch=8 warmup=1"  # settings of the recipe
KINDS = {
    "training": f"pretrain recipes/tiny-vicreg.yaml --out {{out}} --set {TRAINED} --save-minutes 0 --validate-steps 0",
    "index building": "index build --count 256 --out {out}/own.safetensors",
    "shard rendering": "shards build --synth dexed --workers 1 --count 60 --out {out}",
    "batch matching": "match {sounds} --method genetic --renders 24 --candidates 2 --seed 1 --out {out}",
    "evaluation": "evaluate --arms oracle,genetic,mean --targets 2 --renders 24 --seed 1 --out {out}/rows.jsonl",
}


@dataclass
class Tally:
    """What became of the kills of one kind."""

    kills: dict[str, int] = field(default_factory=lambda: {"time": 0, "operation": 0})  # by what was drawn
    works: int = 0  # pieces of work that were killed, and ended
    operations: int = 0  # on files, of a run that nobody kills
    seconds: float = 0.0  # of a run that nobody kills
    leftovers: int = 0  # temporary files that were there after a kill
    failures: list[str] = field(default_factory=list)


class Work:
    """One command on a folder of its own, which is killed and run again.

    It runs in processes that are forked from this one, where everything is imported already: imports write nothing.

    Args:
        kind: one of KINDS.
        folder: for what it writes and what it says; always the same one for a kind, as results tell where they are.
        sounds: to match.
    """

    def __init__(self, kind: str, folder: Path, sounds: Path) -> None:
        self.out, self.log, self.count = folder / "out", folder / "log.txt", folder / "operations"
        self.words = [word.format(out=self.out, sounds=sounds) for word in KINDS[kind].split()]
        shutil.rmtree(folder, ignore_errors=True)
        self.out.mkdir(parents=True)

    def run(self, seconds: float = PATIENCE, operation: int = 0) -> int | None:
        """The command's exit status, negative if it was killed: after so long, or before an operation on a file."""
        process = FORK.Process(target=self._live, args=(operation,))
        process.start()
        process.join(seconds)
        if process.exitcode is None and process.pid:
            with suppress(ProcessLookupError):  # its group, once it has one
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.join()
        return process.exitcode

    def _live(self, operation: int) -> None:
        os.setsid()
        os.environ[MARK], sys.argv = str(self.out), ["unsynth", *self.words]
        log = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(log, stream.fileno())
        index.FITTED_ON = FITTED_ON
        told = count_operations(self.out, operation)
        code = cli.main(self.words)
        self.count.write_text(str(told()))
        sys.exit(code)

    def orphans(self) -> list[str]:
        """Processes that are still there long after what started them was killed."""
        end = time.monotonic() + GRACE
        while (found := [pid for pid in _pids() if _started_for(pid, self.out)]) and time.monotonic() < end:
            time.sleep(0.05)
        return found


def _pids() -> Iterator[str]:
    yield from (path.name for path in Path("/proc").iterdir() if path.name.isdigit())


def _started_for(pid: str, out: Path) -> bool:
    try:
        return f"{MARK}={out}".encode() in Path("/proc", pid, "environ").read_bytes().split(b"\0")
    except OSError:
        return False


@dataclass(frozen=True)
class Calm:
    """A run that nobody kills: what it makes, how long it takes, after how long it is no longer only starting."""

    contents: dict[str, Any]
    seconds: float
    operations: int

    def moment(self, draw: random.Random) -> float:
        """Seconds after which to kill: very early, at the very end, or anywhere."""
        where = draw.random()
        if where < EDGE:
            return draw.uniform(0, EDGE * self.seconds)
        low = 1 - EDGE / 2 if where > 1 - EDGE else EDGE
        return draw.uniform(low, 1) * self.seconds

    def operation(self, draw: random.Random) -> int:
        """Number of an operation on a file, before which to kill."""
        return draw.randint(1, self.operations)


def calm(kind: str, folder: Path, sounds: Path) -> Calm:
    """Run a kind of work twice (the first may have caches to fill), in peace."""
    for _ in range(2):
        work, began = Work(kind, folder, sounds), time.monotonic()
        status = work.run()
        if status:
            raise SystemExit(f"{kind} ended with status {status}: {work.log.read_text()}")
    seconds = time.monotonic() - began
    return Calm(artefacts.contents(work.out), seconds, int(work.count.read_text()))


def strike(work: Work, known: Calm, draw: random.Random, tally: Tally) -> bool:
    """One run that is to be killed; whether it was."""
    how = draw.choice(("time", "operation"))
    status = work.run(**({"seconds": known.moment(draw)} if how == "time" else {"operation": known.operation(draw)}))
    if status == 0:
        return False
    if status != -signal.SIGKILL:
        tally.failures.append(f"exit status {status}: {work.log.read_text()[-2000:]}")
    tally.kills[how] += 1
    tally.leftovers += len(artefacts.leftovers(work.out))
    tally.failures += artefacts.damage(work.out)
    tally.failures += [f"process {pid} is left" for pid in work.orphans()]
    return True


def finish(work: Work, known: Calm, tally: Tally) -> None:
    """Run to the end, and compare with what it makes in peace."""
    status = work.run()
    if status:
        tally.failures.append(f"exit status {status}: {work.log.read_text()[-2000:]}")
    found = artefacts.contents(work.out)
    names = sorted(found.keys() | known.contents.keys())
    tally.failures += [f"{name} is another" for name in names if found.get(name) != known.contents.get(name)]


def torment(kind: str, moments: int, parent: Path, sounds: Path, seed: int, minutes: float) -> Tally:
    """Kill work of one kind so many times in all, up to MOST times before it may end."""
    folder, draw = parent / kind.replace(" ", "-"), random.Random(f"{seed} {kind}")
    known = calm(kind, folder, sounds)
    tally = Tally(operations=known.operations, seconds=known.seconds)
    end = time.monotonic() + 60 * minutes
    while sum(tally.kills.values()) < moments and time.monotonic() < end:
        work = Work(kind, folder, sounds)
        before, killed = len(tally.failures), sum(tally.kills.values())
        for _ in range(min(draw.randint(1, MOST), moments - sum(tally.kills.values()))):
            if not strike(work, known, draw, tally):
                break
        finish(work, known, tally)
        tally.works += sum(tally.kills.values()) > killed
        if len(tally.failures) > before:
            folder.rename(folder.with_name(f"{folder.name}-failed-{tally.works}"))
        print(
            f"{kind}: {sum(tally.kills.values())} kills, {tally.works} works, {len(tally.failures)} failures",
            flush=True,
        )
    return tally


def shared(moments: int, kinds: list[str]) -> dict[str, int]:
    """So many moments, spread evenly over the kinds."""
    return {kind: moments // len(kinds) + (i < moments % len(kinds)) for i, kind in enumerate(kinds)}


def targets(folder: Path) -> Path:
    """A folder with two short sounds to match."""
    folder.mkdir(parents=True)
    for name in ("bd_boom", "drum_snare_hard"):
        shutil.copy(machine.ROOT / "examples" / f"{name}.flac", folder)
    return folder


def main() -> None:
    """Kill training, index building, shard rendering, batch matching and evaluation at random moments."""
    parser = argparse.ArgumentParser(prog="python -m bench.kill", description=main.__doc__)
    parser.add_argument("--moments", type=int, default=200, help="kills in all")
    parser.add_argument("--kinds", default=",".join(KINDS), help="of work, separated by commas")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--minutes", type=float, default=600.0, help="for each kind at most")
    parser.add_argument("--jobs", type=int, default=1, help="kinds at once")
    parser.add_argument("--keep", type=Path, help="folder for work that failed")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file to write")
    options = parser.parse_args()
    torch.set_num_threads(1)  # what is forked has only the thread that forks
    for module in IMPORTED:
        import_module(f"unsynth.{module}")
    with TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        sounds = targets(folder / "sounds")
        todo = shared(options.moments, options.kinds.split(","))
        with ProcessPoolExecutor(options.jobs, FORK) as pool:
            torments = [
                pool.submit(torment, *job, folder, sounds, options.seed, options.minutes) for job in todo.items()
            ]
        found = {kind: done.result() for kind, done in zip(todo, torments, strict=True)}
    ran = {
        "ran": " ".join(["python -m bench.kill", *sys.argv[1:]]),
        "seed": options.seed,
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine.facts(),
    }
    told = json.loads(options.out.read_text()) if options.out.is_file() else {}
    told |= {kind: {"command": f"unsynth {KINDS[kind]}", **asdict(tally), **ran} for kind, tally in found.items()}
    audio.write_text(options.out, json.dumps({kind: told[kind] for kind in KINDS if kind in told}, indent=1) + "\n")
    sys.exit(any(tally.failures for tally in found.values()))


if __name__ == "__main__":
    main()
