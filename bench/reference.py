"""torchsynth 1.0.2 (https://github.com/torchsynth/torchsynth) to compare with, in its own environment and process."""

from __future__ import annotations

import json
import os
import subprocess
import venv
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.timing import Measure, on_cores
from unsynth.base import NotFoundError

PACKAGES = ("torch==2.13.0", "setuptools<80", "torchsynth==1.0.2")
HOME = Path("~/.cache/unsynth-bench/torchsynth")
VARIABLE = "TORCHSYNTH_PYTHON"
# By default glibc maps and unmaps the memory of every large tensor; with these limits it keeps it.
ALLOCATORS = {
    "as shipped": {},
    "allocator tuned": {"MALLOC_MMAP_THRESHOLD_": "8000000000", "MALLOC_TRIM_THRESHOLD_": "16000000000"},
}


def interpreter(home: Path = HOME) -> Path:
    """The Python that has torchsynth: the one that TORCHSYNTH_PYTHON names, or else one that is made on first use."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    home, ready = home.expanduser(), home.expanduser() / ".ready"
    if not ready.exists():
        venv.create(home, clear=True, with_pip=True)
        subprocess.run([home / "bin" / "python", "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        ready.touch()
    return home / "bin" / "python"


class Reference:
    """torchsynth in a process of its own, on the cores that its maker runs on.

    Raises:
        NotFoundError: the process ended instead of answering.
    """

    def __init__(self, python: Path, variables: Mapping[str, str]) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | dict(variables)
        command = [python, Path(__file__).with_name("reference_worker.py")]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def measure(self, task: str, batch: int, at_least: float) -> Measure:
        return lambda turn: self._ask(task=task, batch=batch, index=turn, at_least=at_least)

    def _ask(self, **question: object) -> float:
        if not (self._process.stdin and self._process.stdout):
            raise NotFoundError("torchsynth's process has no pipes.")
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        if line := self._process.stdout.readline():
            return float(line)
        raise NotFoundError(f"torchsynth does not run: see above why, and set {VARIABLE} to a Python that has it.")

    def __enter__(self) -> Reference:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


@contextmanager
def references(wanted: bool = True) -> Iterator[dict[str, Reference]]:
    """torchsynth by allocator setting, each on one core until the context ends; none unless ``wanted``."""
    with ExitStack() as stack:
        python = interpreter() if wanted else Path()
        with on_cores(1):
            made = {
                f"torchsynth, {name}": stack.enter_context(Reference(python, variables))
                for name, variables in ALLOCATORS.items()
                if wanted
            }
        yield made
