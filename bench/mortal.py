"""Processes that are killed right before an operation on a file."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def count_operations(folder: Path, last: int = 0) -> Callable[[], int]:
    """Kill this process before the ``last`` operation in ``folder``; what is given back tells how many there were.

    Operations are opening a file to write, renaming, removing, making a folder. With 0 nothing is killed.
    """
    count = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if _changes(event, arguments) and str(arguments[0]).startswith(f"{folder}"):
            count += 1
            if count == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return lambda: count


def _changes(event: str, arguments: tuple[object, ...]) -> bool:
    if event == "open":
        return isinstance(arguments[0], str | Path) and bool(int(str(arguments[2] or 0)) & WRITES)
    return event in CHANGES
