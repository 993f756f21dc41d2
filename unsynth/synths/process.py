"""What runs in a worker of :mod:`unsynth.synths.worker`: an engine between two pipes, and the language they speak.

Rows of float32 come in through stdin, samples go out through stdout:

    parent -> worker    uint32 bytes, float32 row
    worker -> parent    uint32 status (0: audio, 1: a sentence), uint32 bytes, audio as float32 or the sentence as UTF-8

The first answer is an empty one that says that the engine is there. Nothing here loads torch.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import struct
import sys
import threading
from contextlib import suppress
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from unsynth.errors import one_line

Row = npt.NDArray[np.float32]

HEAD = struct.Struct("<I")
REPLY = struct.Struct("<II")
AUDIO, SENTENCE = 0, 1
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def exactly(pipe: Any, buffer: Any) -> Any:
    """Fill ``buffer``; EOFError where the pipe ends before."""
    view, done = memoryview(buffer), 0
    while done < len(view):
        got = pipe.readinto(view[done:])
        if not got:
            raise EOFError
        done += got
    return buffer


def _work(engine: str) -> None:
    """What a worker does until its stdin ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what an engine prints is no audio
    rows: queue.SimpleQueue[Row] = queue.SimpleQueue()
    threading.Thread(
        target=_listen, args=(os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0), rows), daemon=True
    ).start()
    try:
        module, name, *argument = engine.split(":", 2)
        play = getattr(import_module(module), name)(*argument)
    except Exception as error:
        return _answer(answers, SENTENCE, _sentence(error))
    _answer(answers, AUDIO, b"")
    while True:
        row = rows.get()
        try:
            status, data = AUDIO, _bytes(play(row))
        except Exception as error:
            status, data = SENTENCE, _sentence(error)
        _answer(answers, status, data)


def _bytes(sound: Any) -> bytes:
    samples = np.ascontiguousarray(sound, np.float32)
    if samples.ndim != 1:
        raise ValueError(f"a sound of shape {samples.shape} is not mono")
    return samples.tobytes()


def _listen(pipe: Any, rows: queue.SimpleQueue[Row]) -> None:
    """Reads while the engine is made and plays, so that a worker whose parent is gone ends even if its engine hangs."""
    with suppress(EOFError):
        while True:
            (size,) = HEAD.unpack(exactly(pipe, bytearray(HEAD.size)))
            rows.put(np.frombuffer(exactly(pipe, bytearray(size)), np.float32))
    os._exit(0)


def _answer(pipe: Any, status: int, data: bytes) -> None:
    rest = memoryview(REPLY.pack(status, len(data)) + data)
    while rest:
        rest = rest[pipe.write(rest) :]


def _sentence(error: Exception) -> bytes:
    return one_line(error).encode(errors="replace")


def _end_with_parent() -> None:
    """Have Linux kill this process when the thread that started it ends, even in a call that lets no other run."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent()
    _work(sys.argv[1])
