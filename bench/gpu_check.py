"""Is the triton backend right, and how fast: ``python bench/gpu_check.py`` on a machine with an NVIDIA GPU prints JSON.

Correctness is the largest difference of each sound from the torch backend on the CPU. Throughput counts seconds of
sound per second (4 s a sound), the median of several runs, parameters already on the GPU. ``--tiny true`` runs the same
code on a few sounds, also in triton's interpreter (``TRITON_INTERPRET=1``).
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

import torch
import triton
from jsonargparse import auto_cli
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from unsynth.sounds.ids import params_of, uniforms
from unsynth.sounds.ids_triton import uniforms_triton
from unsynth.synths.voice import SPEC, Voice
from unsynth.synths.voice_torch import render_torch
from unsynth.synths.voice_triton import human_units, render_triton

REFERENCE_BATCH = 32  # torch rounds differently in the remainder of a batch that is no multiple of its vectors
TINY_CHUNK = 65536


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds(work: Callable[[], object], runs: int) -> float:
    """Median wall-clock time of ``work`` after one run that may compile."""
    times = []
    for _ in range(runs + 1):
        wait()
        began = time.perf_counter()
        work()
        wait()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def deviation(sounds: int, batch: int, device: str, exact: bool, chunk: int) -> dict[str, float]:
    """How far the sounds with the first ids are from the CPU's."""
    worst = []
    for ids in torch.arange(max(sounds, REFERENCE_BATCH)).split(batch):
        expected = torch.cat([render_torch(params_of(i, SPEC), i) for i in ids.split(REFERENCE_BATCH)])[:sounds]
        ours = render_triton(params_of(ids.to(device), SPEC)[:sounds], ids[:sounds], exact, chunk)
        worst.append((ours.cpu() - expected).abs().amax(-1))
    d = torch.cat(worst)
    shares = {f"below_{t:g}": (d < t).float().mean().item() for t in (1e-6, 1e-4, 1e-3, 1e-2)}
    return {"sounds": len(d), "median": d.median().item(), "worst": d.max().item(), **shares}


def seeding(ids: Tensor, runs: int) -> dict[str, float]:
    """Random numbers of ids on the GPU: bits against the CPU, and speed."""
    ours = uniforms_triton(ids, len(SPEC))
    few = ids[:1024].cpu()
    return {
        "equal_to_cpu": bool(torch.equal(ours[:1024].cpu(), uniforms(few, len(SPEC)))),
        "ids_per_second": len(ids) / seconds(lambda: uniforms_triton(ids, len(SPEC)), runs),
        "ids_per_second_cpu": len(few) / seconds(lambda: uniforms(few, len(SPEC)), runs),
    }


def throughput(batch: int, device: str, chunk: int, runs: int) -> dict[str, float]:
    """Times faster than real time: rendering alone, with seeding, with the host's cosines; curves alone in ms."""
    ids = torch.arange(batch, device=device)
    params = params_of(ids, SPEC)
    sound = batch * Voice.seconds
    return {
        "batch": batch,
        "render": sound / seconds(lambda: render_triton(params, ids, exact=False, chunk=chunk), runs),
        "seed_and_render": sound
        / seconds(lambda: render_triton(params_of(ids, SPEC), ids, exact=False, chunk=chunk), runs),
        "exact": sound / seconds(lambda: render_triton(params, ids, exact=True, chunk=chunk), runs),
        "curves_ms": 1e3 * seconds(lambda: human_units(params), runs),
    }


def kernels(batch: int, device: str, chunk: int) -> dict[str, float]:
    """Microseconds on the GPU of each kernel of one rendering, longest first."""
    ids = torch.arange(batch, device=device)
    params = params_of(ids, SPEC)
    activity = ProfilerActivity.CUDA if device == "cuda" else ProfilerActivity.CPU
    with profile(activities=[activity]) as trace:
        render_triton(params, ids, exact=False, chunk=chunk)
        wait()
    total = {e.key[:60]: float(getattr(e, "self_device_time_total", 0)) for e in trace.key_averages()}
    return dict(sorted(total.items(), key=lambda item: -item[1])[:12])


def main(
    sounds: int = 1024,
    batches: tuple[int, ...] = (128, 256, 512, 1024, 2048, 4096),
    chunks: tuple[int, ...] = (512, 1024, 2048, 4096),
    seeds: int = 1 << 20,
    runs: int = 10,
    tiny: bool = False,
) -> None:
    """Check and time the triton backend.

    Args:
        sounds: ids to compare with the CPU.
        batches: batch sizes to time.
        chunks: samples per program to compare at the largest batch but two.
        seeds: ids to seed at once.
        runs: timed runs of each measurement.
        tiny: two sounds, one run.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    chunk = 1024
    if tiny:
        sounds, batches, chunks, seeds, runs, chunk = 2, (1, 1, 2), (TINY_CHUNK,), 64, 1, TINY_CHUNK
    middle = batches[-3]
    result = {
        "device": torch.cuda.get_device_name() if device == "cuda" else "interpreter",
        "torch": torch.__version__,
        "triton": triton.__version__,
        "exact": deviation(sounds, 256, device, True, chunk),
        "fast": deviation(sounds, 256, device, False, chunk),
        "seeding": seeding(torch.arange(seeds, device=device), runs),
        "throughput": [throughput(b, device, chunk, runs) for b in batches],
        "chunks": {c: throughput(middle, device, c, runs)["render"] for c in chunks},
        "kernels_us": kernels(middle, device, chunk),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    auto_cli(main)
