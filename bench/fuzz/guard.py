"""What a process that reads hostile input may not: have more memory, write outside its folder, run other programs."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

ALLOWED = 1 << 30  # bytes of memory beyond what the process has when it begins
RUNS = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "pickle.find_class",
    "socket.connect",
    "ctypes.dlopen",
)
MOVES = (
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "shutil.rmtree",
)
CANARY = "canary"  # a module that nothing may import


class ForbiddenError(BaseException):
    """What was read made the process do something that it may not do."""


class Guard:
    """Notes what is forbidden in all threads of this process, until the process ends.

    Args:
        folder: the only one in which files may be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.seen = os.path.realpath(folder), list[str]()
        sys.addaudithook(self._audit)

    def _audit(self, event: str, told: tuple[object, ...]) -> None:
        if event in RUNS or (event == "import" and told[0] == CANARY):
            self.seen.append(f"{event} {str(told[:1])[:100]}")
        elif (
            event == "open" and isinstance(told[2], int) and told[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        ) or event in MOVES:
            self._written(event, told[0])

    def _written(self, event: str, path: object) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            name = os.path.realpath(os.fsdecode(path))
            if name not in (self.folder, os.devnull) and not name.startswith(self.folder + os.sep):
                self.seen.append(f"{event} {name[:100]}")


def limit_memory() -> None:
    """From now on only ``ALLOWED`` bytes more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + ALLOWED
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def resident_mb() -> float:
    """Memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak_mb() -> float:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
