"""A process for each target: it is limited, watched, and replaced where it dies."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.fuzz import TARGETS, target
from bench.fuzz.guard import CANARY, Guard, limit_memory, peak_mb, resident_mb
from bench.fuzz.trial import Account, generator, trials

MOST_FAILURES = 50  # kinds, after which something is wrong with the target itself
STUCK = 300.0  # seconds without an input after which a process is killed
PART = 500  # inputs after which a process tells how it went
WARM = 20  # inputs before memory is limited, so that what is loaded on first use is loaded
SHARED = Path("/dev/shm")  # memory, where the system has it: files are written a million times


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for one process, with the module that nothing may import."""
    folder = tempfile.TemporaryDirectory(prefix="unsynth-fuzz-", dir=SHARED if SHARED.is_dir() else None)
    Path(folder.name, f"{CANARY}.py").write_text("class Canary: ...\n")
    return folder


def work(name: str, numbers: range, seed: int, folder: str, at: Any, answers: Connection) -> None:
    """Give inputs to a target in this process, and send an account of each part of them."""
    faulthandler.enable()
    os.environ |= {"HOME": folder, "TMPDIR": folder, "UNSYNTH_DATA": f"{folder}/data", "OMP_NUM_THREADS": "1"}
    tempfile.tempdir, sys.dont_write_bytecode = None, True
    os.chdir(folder)
    sys.path.append(folder)
    made = target(name, Path(folder))
    trials(made, seed, range(WARM))
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # decoders tell what they think of the sounds
    guard, began = Guard(Path(folder)), resident_mb()
    limit_memory()

    def note(number: int) -> None:
        at.value = number

    for first in range(numbers.start, numbers.stop, PART):
        account = trials(made, seed, range(first, min(first + PART, numbers.stop)), note)
        account.start_mb, account.peak_mb = began, peak_mb()
        while guard.seen:
            account.fail(guard.seen.pop(), first)
        answers.send(asdict(account))


def supervised(name: str, inputs: int, seed: int, total: Account, end: float, on_part: Callable[[], None]) -> None:
    """Give a target inputs until ``total`` has so many, or until ``end`` of the monotonic clock.

    Where its process dies, a new one gives those that came before the input that it died of, and goes on behind it.
    """
    last = inputs
    while total.inputs < inputs and len(total.failures) < MOST_FAILURES and time.monotonic() < end:
        if last == total.inputs:
            total.add(Account(inputs=1, failures={f"the process died of input {last}": [last, 1]}))
            last = inputs
        died = _process(name, range(total.inputs, last), seed, total, end, on_part)
        last = last if died is None else died


def _process(
    name: str, numbers: range, seed: int, total: Account, end: float, on_part: Callable[[], None]
) -> int | None:
    """One process for these inputs; the number of the one that it dies of."""
    os.environ["OMP_NUM_THREADS"] = "1"  # of the forkserver: what it forks has only the thread that forks
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([f"bench.fuzz.{module}" for module in set(TARGETS.values())])
    with scratch() as folder:
        at, (receiver, sender) = context.Value("q", numbers.start - 1), context.Pipe(duplex=False)
        process = context.Process(target=work, args=(name, numbers, seed, folder, at, sender))
        process.start()
        sender.close()
        try:
            while total.inputs < numbers.stop:
                if not _is_there(receiver, at, numbers.start, end):
                    return None if time.monotonic() > end else max(at.value, numbers.start)
                total.add(Account(**receiver.recv()))
                on_part()
            return None
        except EOFError:
            return max(at.value, numbers.start)
        finally:
            process.kill()
            process.join()


def _is_there(receiver: Connection, at: Any, start: int, end: float) -> bool:
    """Whether there is news of a process before ``end``, and before it is stuck with an input from ``start`` on."""
    before, since = at.value, time.monotonic()
    while not receiver.poll(1.0):
        now = time.monotonic()
        if before != at.value:
            before, since = at.value, now
        if now > end or (at.value >= start and now - since > STUCK):
            return False
    return True


def again(name: str, number: int, seed: int) -> None:
    """One input, with whatever it makes go wrong."""
    with scratch() as folder:
        sys.path.append(folder)
        made = target(name, Path(folder))
        one = made.make(generator(made, seed, number))
        print(str(one)[:3000])
        made.give(one)
