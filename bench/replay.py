"""The arithmetic limit of traced code: its vector instructions alone, made independent of one another and timed.

Instructions keep their order, width and operation. Registers are renamed so that nothing waits for a result, memory
operands are all one line of the first cache, and moves, loads, stores, address arithmetic and branches are left out.
"""

from __future__ import annotations

import ctypes
import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

RESULTS, SOURCES, MASKS = 12, range(12, 16), range(1, 7)  # registers that are written in turn, and that are only read
SOURCE_MASK = 7
LEFT_OUT = re.compile(r"vmov|vzero|vlddqu")
REGISTER = re.compile(r"%([xyz]mm)(\d+)")
MEMORY = re.compile(r"(?:-?0x[0-9a-f]+)?\(%[^)]*\)")

FUNCTION = """
.text
.globl replay
replay:
 sub $8, %rsp
 stmxcsr (%rsp)
 mov (%rsp), %eax
 or $0x8040, %eax
 mov %eax, 4(%rsp)
 ldmxcsr 4(%rsp)
{fill}
 .p2align 5
1:
{body}
 dec %rdi
 jnz 1b
 ldmxcsr (%rsp)
 add $8, %rsp
 vzeroupper
 ret
.data
.p2align 6
ones: .rept 16
 .float 1
 .endr
.section .note.GNU-stack,"",@progbits
"""


def disassemble(library: Path) -> dict[int, str]:
    """Instructions of a library (AT&T syntax, without comments) by address."""
    command = ["objdump", "-d", "--no-show-raw-insn", str(library)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = re.findall(r"^\s*([0-9a-f]+):\t([^#<\n]+)", listing, re.MULTILINE)
    return {int(address, 16): text.strip() for address, text in lines}


def is_arithmetic(instruction: str) -> bool:
    """Whether it computes or shuffles vectors (or scalars in vector registers) rather than moving them."""
    broadcast_of_memory = instruction.startswith("vbroadcast") and "(" in instruction
    return instruction.startswith("v") and not LEFT_OUT.match(instruction) and not broadcast_of_memory


def independent(instructions: Iterable[str]) -> list[str]:
    """The same operations on registers that no other instruction has just written."""
    return [_renamed(text, number) for number, text in enumerate(instructions)]


def _renamed(text: str, number: int) -> str:
    name, _, operands = text.partition(" ")
    operands = MEMORY.sub("ones(%rip)", operands.strip())
    operands = REGISTER.sub(lambda m: f"%{m[1]}{SOURCES[int(m[2]) % len(SOURCES)]}", operands)
    operands = re.sub(r"%k\d", f"%k{SOURCE_MASK}", operands)
    operands = re.sub(r"%(e\w\w|r\d+d)\b", "%eax", operands)
    operands = re.sub(r"%r(?!ip\b)\w+", "%rax", operands)
    head, comma, last = operands.rpartition(",")
    last = re.sub(r"^%([xyz]mm)\d+", lambda m: f"%{m[1]}{number % RESULTS}", last)
    last = re.sub(r"^%k\d", f"%k{MASKS[number % len(MASKS)]}", last)
    return f" {name} {head}{comma}{last}"


class Replay:
    """Instructions, compiled to a loop; ``replay(n)`` runs them ``n`` times.

    Raises:
        OSError, subprocess.CalledProcessError: there is no compiler, or it does not know the instructions.
    """

    def __init__(self, instructions: Sequence[str], register: str, folder: Path) -> None:
        fill = [f" vbroadcastss ones(%rip), %{register}{i}" for i in range(RESULTS + len(SOURCES))]
        if register == "zmm":
            fill += [" mov $0x5555, %eax", f" kmovw %eax, %k{SOURCE_MASK}"]
        source, library = folder / "replay.s", folder / "replay.so"
        source.write_text(FUNCTION.format(fill="\n".join(fill), body="\n".join(independent(instructions))))
        subprocess.run(["cc", "-shared", "-o", library, source], check=True, capture_output=True, text=True)
        self._function = ctypes.CDLL(str(library)).replay
        self._function.argtypes, self._function.restype = [ctypes.c_long], None

    def __call__(self, times: int) -> None:
        self._function(times)
