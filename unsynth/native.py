"""The compiled kernels, where they were built; everything they do is also done in torch."""

from __future__ import annotations

import os
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


def threads() -> int:
    """Threads that the kernels use: torch's setting, at most the cores this process may run on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(torch.get_num_threads(), cores)
