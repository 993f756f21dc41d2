"""What the numbers depend on: the machine, the versions, and how busy the machine was."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import numpy as np
import torch

from unsynth import __version__
from unsynth.native import instruction_sets

ROOT = Path(__file__).parent.parent


def cpu(info: Path = Path("/proc/cpuinfo")) -> str:
    """Name, family and model of the processor, as far as the system tells."""
    if not info.exists():
        return platform.processor() or platform.machine()
    first = info.read_text().split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    facts = {name.strip(): value.strip() for name, _, value in pairs}
    name = facts.get("model name", platform.machine())
    return f"{name} (family {facts.get('cpu family', '?')}, model {facts.get('model', '?')})"


def commit() -> str:
    """The revision of the source, with a + where files differ from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def load() -> str:
    """Processes that ran or wanted to, on average over the last minute; above the cores, times are too long."""
    return f"{os.getloadavg()[0]:.1f}"


def facts() -> dict[str, str]:
    """Facts about machine and software, by name."""
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": cpu(),
        "cores usable": str(len(os.sched_getaffinity(0))),
        "memory": f"{gib:.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "instruction sets": ", ".join(instruction_sets()) or "native kernels not built",
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "unsynth": f"{__version__}, commit {commit()}",
    }
