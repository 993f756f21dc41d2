"""The compiled kernels, where they were built; everything they do is also done in torch."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

try:
    from unsynth import _native
except ImportError:  # installed without a C++ compiler
    _native = None

kernels: Any = _native


def instruction_sets() -> list[str]:
    """Instruction sets of this machine that the kernels were compiled for, best first; empty if they were not built."""
    return kernels.instruction_sets() if kernels else []


class _Calm:
    """How many users want torch on one thread, and the setting to go back to."""

    lock = threading.Lock()
    users = 0
    before = 1


def threads() -> int:
    """Threads that the kernels use: torch's setting, at most the cores this process may run on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(_Calm.before if _Calm.users else torch.get_num_threads(), cores)


@contextmanager
def torch_on_one_thread() -> Iterator[None]:
    """Keeps torch and MKL from waking threads of their own, which spin for milliseconds on cores that the kernels need
    next; the kernels keep all of theirs. May be nested, and used from several Python threads."""
    with _Calm.lock:
        if _Calm.users == 0:
            _Calm.before = torch.get_num_threads()
            torch.set_num_threads(1)
        _Calm.users += 1
    try:
        yield
    finally:
        with _Calm.lock:
            _Calm.users -= 1
            if _Calm.users == 0:
                torch.set_num_threads(_Calm.before)
