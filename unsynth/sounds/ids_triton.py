"""Random numbers of sound ids on the GPU: seeding there is free, on the host it would take longer than rendering.

Each lane seeds one Mersenne Twister MT19937 (Matsumoto & Nishimura, 1998, https://doi.org/10.1145/272991.272995) and
twists only the words that are read. The state is never stored: output k needs words k, k + 1 and k + 397 of the initial
state, which two copies of its recurrence, one of them 397 words ahead, produce on the way.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from unsynth.base import Params, SoundIds
from unsynth.synths.triton_math import launch

MIDDLE = tl.constexpr(397)
MOST = 227  # outputs that follow from the initial state alone


@triton.jit
def _next(word, i):  # word i of the initial state from word i - 1
    return (word ^ (word >> 30)) * 1812433253 + i


@triton.jit
def _temper(y):
    y = y ^ (y >> 11)
    y = y ^ ((y << 7) & 0x9D2C5680)
    y = y ^ ((y << 15) & 0xEFC60000)
    return y ^ (y >> 18)


@triton.jit
def uniforms_kernel(ids, out, batch, count, BLOCK: tl.constexpr):
    """The first ``count`` floats of each id's generator: the low 24 bits of each output."""
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = row < batch
    low = tl.load(ids + row, mask, 0).to(tl.uint32)
    high = low
    for i in range(1, MIDDLE + 1):
        high = _next(high, i)
    out += row.to(tl.int64) * count
    for k in range(count):
        following = _next(low, k + 1)
        y = (low & 0x80000000) | (following & 0x7FFFFFFF)
        word = high ^ (y >> 1) ^ tl.where((y & 1) != 0, 0x9908B0DF, 0).to(tl.uint32)
        tl.store(out + k, (_temper(word) & 0xFFFFFF).to(tl.float32) * (1.0 / 16777216.0), mask)
        low = following
        high = _next(high, k + MIDDLE + 1)


def uniforms_triton(ids: SoundIds, count: int, block: int = 128) -> Params:
    """:func:`unsynth.sounds.ids.uniforms` on the GPU of ``ids``; ``count`` is at most 227."""
    if count > MOST:
        raise ValueError(f"at most {MOST} random numbers per id, not {count}")
    out = torch.empty(len(ids), count, device=ids.device)
    with torch.cuda.device_of(ids):
        launch(uniforms_kernel, triton.cdiv(len(ids), block), ids.contiguous(), out, len(ids), count, BLOCK=block)
    return out
