"""Where things are kept on this machine, and how a file gets there: whole or not at all, whatever is killed when."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from unsynth.errors import OutputError

OWN = "UNSYNTH_DATA"  # environment variable: the folder, instead of the usual one
LEFTOVERS = f".{'[0-9a-f]' * 32}.part"  # pattern of the names of files that are being written
ABANDONED = 3600.0  # seconds after which nobody is writing any more


def data_folder() -> Path:
    """Where this user keeps what searches use: $UNSYNTH_DATA, or ~/.local/share/unsynth."""
    return Path(os.environ.get(OWN) or Path.home() / ".local" / "share" / "unsynth")


def make(folder: Path) -> None:
    """A folder to write into, with those above it, where it is not there yet; OutputError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made ({error.strerror}); choose another one.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"The folder {folder} cannot be written to; choose another one.")


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A new file beside ``path`` to write into, which takes its place at the end.

    Whatever fails or is killed when, ``path`` is what it was before, or whole. What a killed process left half written
    is removed when somebody writes into the folder an hour later, or by :func:`sweep`.

    Raises:
        OutputError: no such folder, no permission, disk full, or ``path`` is there and is no regular file.
    """
    target = Path(os.path.realpath(path))  # a link keeps pointing where it did
    temporary = target.with_name(f".{uuid4().hex}.part")
    try:
        if target.exists() and not target.is_file():
            raise OutputError(f"{path} is no regular file and cannot be replaced; choose another name.")
        sweep(target.parent, ABANDONED)
        temporary.touch(exist_ok=False)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}); choose a folder with room.") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def visible(folder: Path) -> Iterator[Path]:
    """Everything in a folder and its folders, but for what is hidden there."""
    return (p for p in folder.rglob("*") if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def sweep(folder: Path, older: float = 0.0) -> None:
    """Remove what killed processes left half written in ``folder``: files that are ``older`` seconds and more."""
    for half in folder.glob(LEFTOVERS):
        with suppress(OSError):
            if time.time() - half.stat().st_mtime >= older:
                half.unlink()


def is_unused(folder: Path) -> bool:
    """Whether there is nothing in a folder, but for what a killed process left half written."""
    return folder.is_dir() and {*folder.iterdir()} <= {*folder.glob(LEFTOVERS)}


def append(path: Path, line: str) -> None:
    """Add a line of JSON to a file, for :func:`lines` to read; OutputError where it cannot be written."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}); make room.") from error


def lines(path: Path) -> list[str]:
    """The lines of a file of JSON lines, without the piece that a kill may have left of the last one."""
    text = path.read_text(encoding="utf-8")
    found = text.splitlines()
    return found if text.endswith("\n") or not found or _is_json(found[-1]) else found[:-1]


def _is_json(text: str) -> bool:
    with suppress(ValueError):
        json.loads(text)
        return True
    return False
