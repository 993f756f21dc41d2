"""The process of an engine, seen from its parent: how it is started, and killed with all that it has started itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any

PIPE_BYTES = 1 << 20  # what an unprivileged process may ask Linux for: a whole sound, so that nobody waits for a reader
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


def start(engine: str) -> subprocess.Popen[bytes]:
    """A fresh interpreter that makes ``engine`` and plays what comes in (:mod:`unsynth.synths.process`)."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "unsynth.synths.process", engine],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)},
        start_new_session=True,  # Ctrl-C is for the parent alone
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )
    _widen(process.stdout)
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    """End the process, and what it has started: that may hold its pipes, for which somebody waits."""
    if not hasattr(os, "killpg"):
        return process.kill()
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # it leads a session of its own


def _widen(pipe: Any) -> None:
    with suppress(ImportError, AttributeError, OSError):  # only Linux can; elsewhere the reader is waited for
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
