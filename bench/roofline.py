"""How far the fused audio kernel is from what the arithmetic units of one core can do."""

from __future__ import annotations

import platform
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from bench.replay import Replay, disassemble, is_arithmetic
from bench.stepping import executed
from bench.timing import Plan, interleaved, measure, on_cores, ratios, spread, table
from unsynth import native
from unsynth.native import instruction_sets, kernels
from unsynth.synths import modules as m
from unsynth.synths.voice import Voice

REGISTERS = {"avx512": ("zmm", 16), "avx2": ("ymm", 8)}  # name and floats
# Tuning and depth, in semitones, phase, both oscillators, shape, hardness, three levels: in control()'s order.
SCALARS = (60.0, 3.0, 0.0, 62.0, 3.0, 0.0, 0.5, 10.0, 0.1, 0.1, 0.0)
MODULATION = 0.3
TRACED = 60_000  # instructions, some 20 blocks
FMAS = 960


@dataclass(frozen=True)
class Block:
    """What the kernel does for one block of samples."""

    samples: int
    instructions: list[str]  # vector arithmetic, in the order of execution

    def per_16_samples(self) -> float:
        return 16 * len(self.instructions) / self.samples


def full_length(isa: str) -> Callable[[], object]:
    """Renders a sound of which no part is silent and whose noise is inaudible, from control signals."""
    signals = torch.full((1, 5, kernels.voice_frames), MODULATION)
    carries = torch.empty(1, kernels.voice_blocks(isa), 2, dtype=torch.float64)
    inputs = (signals, torch.tensor([SCALARS]), torch.zeros(1, dtype=torch.int64), carries)
    arrays = [x.numpy() for x in (*inputs, torch.empty(1, m.SAMPLES), torch.empty(1))]
    return lambda: kernels.voice_audio(*arrays, 1, isa)


def trace(isa: str, library: Path) -> Block:
    """One block, averaged over some: what lies between two executions of an instruction that each block has once."""
    addresses = executed(full_length(isa), library, TRACED)
    counts = Counter(addresses[len(addresses) // 2 :])
    rare = min(count for count in counts.values() if count > 2)
    mark = next(address for address, count in counts.items() if count == rare)
    places = [i for i, address in enumerate(addresses) if address == mark]
    code = disassemble(library)
    one = [code[address] for address in addresses[places[-2] : places[-1]]]
    return Block(m.SAMPLES // kernels.voice_blocks(isa), [text for text in one if is_arithmetic(text)])


def row(isa: str, plan: Plan, folder: Path) -> list[str]:
    register, lanes = REGISTERS[isa]
    block, blocks = trace(isa, Path(native.kernels.__file__).resolve()), kernels.voice_blocks(isa)
    fused = [f"vfmadd213ps %{register}0,%{register}1,%{register}2"] * FMAS
    (folder / "block").mkdir()
    (folder / "fma").mkdir()
    limit, peak = Replay(block.instructions, register, folder / "block"), Replay(fused, register, folder / "fma")
    works = {"kernel": full_length(isa), "limit": lambda: limit(blocks), "fma": lambda: peak(blocks)}
    contestants = {name: measure(lambda turn, work=work: work(), plan.at_least) for name, work in works.items()}
    with on_cores(1):
        times = interleaved(contestants, plan.rounds)
    fmas = [blocks * FMAS / s for s in times["fma"]]
    rates = [blocks * len(block.instructions) / s for s in times["kernel"]]
    return [
        isa,
        f"{block.per_16_samples():.0f}",
        *(spread([Voice.seconds / s for s in times[name]]) for name in ("limit", "kernel")),
        spread([100 * r for r in ratios(times["limit"], times["kernel"])]),
        spread([2 * lanes * rate / 1e9 for rate in fmas]),
        spread([100 * r for r in ratios(rates, fmas)]),
    ]


def roofline(plan: Plan, references: object) -> str:
    """## Distance from the arithmetic limit

    The audio kernel for a sound without silence, on one core. Its vector instructions are counted by stepping through
    it. The limit is the same instructions without dependencies, loads, stores and branches (bench/replay.py). The last
    columns compare with the peak of one core: fused multiply-adds only.
    """
    isas = [isa for isa in instruction_sets() if isa in REGISTERS]
    if platform.machine() != "x86_64" or not isas:
        return "Not measured: this needs native kernels for AVX2 or AVX-512."
    header = ["", "instructions per 16 samples", "limit, times real time", "kernel, times real time", "% of limit"]
    header += ["peak, GFLOP/s", "instructions, % of peak FMAs"]
    rows = []
    for isa in isas:
        try:
            with TemporaryDirectory() as folder:
                rows.append(row(isa, plan, Path(folder)))
        except (OSError, subprocess.CalledProcessError) as error:
            detail = getattr(error, "stderr", None) or error
            return f"Not measured: this needs objdump, cc and the right to trace a child process ({detail})."
    return table(header, rows)
