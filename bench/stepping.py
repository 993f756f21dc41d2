"""Which instructions of a library a call executes: a child process single-stepped with ptrace(2) (Linux, x86-64)."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from pathlib import Path

TRACE_ME, PEEK_USER, SINGLE_STEP = 0, 3, 9  # of ptrace(2)
RIP = 16 * 8  # where struct user has the instruction pointer


def executed(work: Callable[[], object], library: Path, most: int) -> list[int]:
    """The first ``most`` instructions of ``library`` that ``work`` executes, as addresses in its file, in order.

    Raises:
        PermissionError: this system does not let a process trace its child.
    """
    ptrace = ctypes.CDLL(None).ptrace
    ptrace.argtypes, ptrace.restype = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p], ctypes.c_long
    work()
    child = os.fork()
    if child == 0:
        if ptrace(TRACE_ME, 0, None, None) == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
            work()
        os._exit(0)
    if not os.WIFSTOPPED(os.waitpid(child, 0)[1]):
        raise PermissionError("This system lets no process trace its child.")
    first, last, base = _code(library, child)
    addresses: list[int] = []
    while len(addresses) < most:
        ptrace(SINGLE_STEP, child, None, None)
        if not os.WIFSTOPPED(os.waitpid(child, 0)[1]):
            return addresses
        address = ptrace(PEEK_USER, child, RIP, None)
        if first <= address < last:
            addresses.append(address - base)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return addresses


def _code(library: Path, pid: int) -> tuple[int, int, int]:
    """First and last address of the library's code in a process, and what to subtract for addresses in its file.

    The linkers in use give code the same address and offset up to whole pages, which ``objdump`` counts from.
    """
    start = None
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        addresses, rights, offset, _, _, *name = line.split()
        if name != [str(library)]:
            continue
        first, last = (int(x, 16) for x in addresses.split("-"))
        start = first - int(offset, 16) if start is None else start
        if "x" in rights:
            return first, last, start
    raise ProcessLookupError(f"{library} is not mapped.")
