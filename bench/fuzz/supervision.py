"""A process for each target: it is limited, watched, and replaced where it dies."""

from __future__ import annotations

import faulthandler
import json
import multiprocessing
import os
import sys
import tempfile
import time
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.fuzz import target
from bench.fuzz.guard import CANARY, Guard, limit_memory, peak_mb, resident_mb
from bench.fuzz.trial import LIMIT, Account, generator, trials

MOST_FAILURES = 50  # kinds, after which something is wrong with the target itself
STUCK = 6 * LIMIT  # seconds without an input after which a process is killed
WARM = 20  # inputs before memory is limited, so that what is loaded on first use is loaded
SHARED = Path("/dev/shm")  # memory, where the system has it: files are written a million times


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for one process, with the module that nothing may import."""
    folder = tempfile.TemporaryDirectory(prefix="unsynth-fuzz-", dir=SHARED if SHARED.is_dir() else None)
    Path(folder.name, f"{CANARY}.py").write_text("class Canary: ...\n")
    return folder


def work(name: str, numbers: range, seed: int, folder: str, at: Any, answers: Connection) -> None:
    """Give inputs to a target in this process, and send the account."""
    faulthandler.enable()
    os.environ |= {"HOME": folder, "TMPDIR": folder, "UNSYNTH_DATA": f"{folder}/data", "OMP_NUM_THREADS": "1"}
    tempfile.tempdir = None
    os.chdir(folder)
    sys.dont_write_bytecode = True
    sys.path.append(folder)
    made = target(name, Path(folder))
    trials(made, seed, range(WARM))
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # decoders tell what they think of the sounds
    guard, began = Guard(Path(folder)), resident_mb()
    limit_memory()

    def note(number: int) -> None:
        at.value = number

    account = trials(made, seed, numbers, note)
    for what in guard.seen:
        account.fail(what, -1)
    answers.send((asdict(account), began, peak_mb()))


def supervised(name: str, inputs: int, seed: int) -> dict[str, Any]:
    """All inputs of a target: where its process dies, a new one goes on behind the input that it died of."""
    spawn = multiprocessing.get_context("spawn")
    total, peak, began, cpu = Account(), 0.0, 0.0, time.monotonic()
    first = 0
    while first < inputs and len(total.failures) < MOST_FAILURES:
        with scratch() as folder:
            at, (receiver, sender) = spawn.Value("q", first), spawn.Pipe(duplex=False)
            process = spawn.Process(target=work, args=(name, range(first, inputs), seed, folder, at, sender))
            process.start()
            sender.close()
            if told := awaited(process, at, receiver):
                account, began, last = told
                total.add(Account(**account))
                peak, first = max(peak, last), inputs
            else:
                total.add(Account(inputs=at.value + 1 - first))
                total.fail(f"the process died ({process.exitcode}) of input {at.value}", at.value)
                first = at.value + 1
    found = {**asdict(total), "seconds": round(time.monotonic() - cpu), "peak_mb": round(peak), "start_mb": round(began)}
    print(f"{name}: {json.dumps(found)}", flush=True)
    return found


def awaited(process: Any, at: Any, receiver: Connection) -> Any:
    """What a process sends in the end; None where it dies, or is stuck and killed."""
    before = None
    while not receiver.poll(STUCK):
        if before == at.value or not process.is_alive():
            process.kill()
            process.join()
            return None
        before = at.value
    try:
        return receiver.recv()
    except EOFError:
        return None
    finally:
        process.join()


def again(name: str, number: int, seed: int) -> None:
    """One input, with whatever it makes go wrong."""
    with scratch() as folder:
        sys.path.append(folder)
        made = target(name, Path(folder))
        one = made.make(generator(made, seed, number))
        print(str(one)[:3000])
        made.give(one)
