"""Preset files as they are opened: whatever is wrong with one is told in a sentence that begins with its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from unsynth.base import NotFoundError, PatchError, UsageError
from unsynth.params import ParamSpec

T = TypeVar("T")


def parsed(path: Path, parse: Callable[[bytes], T], largest: int, kind: str) -> T:
    """What ``parse`` makes of a file; of a larger one than it takes it gets one byte too many, and no more.

    Raises:
        NotFoundError: no such file, or it may not be read.
        PatchError: as ``parse``, with the name of the file.
    """
    try:
        with path.open("rb") as file:
            return parse(file.read(largest + 1))
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read ({error.strerror}); name {kind}.") from error
    except PatchError as error:
        raise PatchError(f"{path}: {error}") from error


def require_within(spec: ParamSpec, name: str, value: float) -> None:
    """UsageError where a parameter of a note cannot have a value, in human units."""
    param = spec.params[spec.index(name)]
    if not param.low <= value <= param.high:
        raise UsageError(f"There is no {name} of {value}; choose one from {param.low:g} to {param.high:g}.")
