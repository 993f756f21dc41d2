"""Saves what the triton backend computes in triton's interpreter for test_voice_triton.py (with TRITON_INTERPRET=1)."""

from __future__ import annotations

import sys

import torch
import triton
import triton.language as tl

from unsynth.sounds.ids import params_of
from unsynth.sounds.ids_triton import uniforms_triton
from unsynth.synths import triton_math, voice_triton
from unsynth.synths.voice_torch import SPEC

CHUNK = 65536  # as few programs as possible: each costs the interpreter the same


@triton.jit
def pow_kernel(x, y, out, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out + i, triton_math.pow(tl.load(x + i), tl.load(y + i)))


@triton.jit
def exp2_kernel(x, out, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out + i, triton_math.exp2(tl.load(x + i)))


@triton.jit
def divide_kernel(x, out, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out + i, triton_math.divide(tl.load(x + i), 44100.0, 1.0 / 44100.0))


@triton.jit
def waves_kernel(x, sine, cosine, tanh, N: tl.constexpr):
    i = tl.arange(0, N)
    angle = tl.load(x + i)
    s, c = triton_math.sin_cos(angle)
    tl.store(sine + i, s)
    tl.store(cosine + i, c)
    tl.store(tanh + i, triton_math.tanh_half(angle))


def elementwise(kernel: triton.JITFunction, outputs: int, *inputs: torch.Tensor) -> list[torch.Tensor]:
    results = [torch.empty_like(inputs[0]) for _ in range(outputs)]
    triton_math.launch(kernel, 1, *inputs, *results, N=len(inputs[0]))
    return results


def main(source: str, target: str) -> None:
    torch.set_num_threads(1)
    given = torch.load(source)
    params = params_of(given["ids"], SPEC)
    torch.save(
        {
            "exact": voice_triton.render_triton(params, given["ids"], exact=True, chunk=CHUNK),
            "human": voice_triton.human_units(params_of(given["many"], SPEC)),
            "uniforms": uniforms_triton(given["seeds"], len(SPEC)),
            "pow": elementwise(pow_kernel, 1, given["base"], given["exponent"]),
            "exp2": elementwise(exp2_kernel, 1, given["octaves"]),
            "divide": elementwise(divide_kernel, 1, given["angle"]),
            "waves": elementwise(waves_kernel, 3, given["angle"]),
        },
        target,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
