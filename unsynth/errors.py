"""The mistakes a user can make, each with the exit code of the command line (docs/exit-codes.md)."""

from __future__ import annotations

from typing import ClassVar


def one_line(error: BaseException) -> str:
    """Any exception in one line, without a full stop."""
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".: ")


class UnsynthError(Exception):
    """A mistake the user can mend. The message is one sentence: what is wrong, and what to do."""

    exit_code: ClassVar[int] = 1


class UsageError(UnsynthError):
    """An option or argument that makes no sense (unknown synth, budget of zero)."""

    exit_code = 2


class NotFoundError(UnsynthError):
    """A file or folder that is not there, or a folder without sounds."""

    exit_code = 3


class UnreadableError(UnsynthError):
    """A file that is not audio, or is damaged."""

    exit_code = 4


class UnusableError(UnsynthError):
    """Audio that was read but cannot be matched: empty, silent, NaN, far too long."""

    exit_code = 5


class OutputError(UnsynthError):
    """Results that cannot be written: no permission, disk full."""

    exit_code = 6


class PatchError(UnsynthError):
    """A patch file that is malformed, or belongs to another synth or version."""

    exit_code = 7


class BatchError(UnsynthError):
    """Some sounds of several could not be matched; each has had its own sentence."""

    exit_code = 8


class EngineError(UnsynthError):
    """An engine in a worker process that cannot be started, or fails on a patch again and again."""

    exit_code = 9


class ContractError(EngineError):
    """A synth that does not do what every synth must (`unsynth synths check`)."""

    exit_code = 10


class WorkerError(UnsynthError):
    """Worker processes or a Ray cluster that cannot be used, or are gone again and again under one item."""

    exit_code = 11


class IncompleteError(UnsynthError):
    """An installation that lacks something that every one should have (`unsynth doctor`)."""

    exit_code = 12
