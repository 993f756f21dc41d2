"""The native backend of the Voice: one fused C++ kernel per sound, sounds spread over threads, no audio-rate buffers.

LFO cosines and parameter curves are evaluated by torch on purpose: on x86, torch takes ``cos`` and ``log2`` from MKL,
whose last bit no portable code reproduces, and that bit is audible (see :mod:`unsynth.synths.modules`).
"""

from __future__ import annotations

import os

import torch

from unsynth.base import Audio, Params, SoundIds
from unsynth.synths import modules as m
from unsynth.synths.voice import SPEC

try:
    from unsynth import _native
except ImportError:  # built without a C++ compiler
    _native = None


def instruction_sets() -> list[str]:
    """Instruction sets of this machine that the kernels were compiled for, best first; empty if they were not built."""
    return _native.instruction_sets() if _native else []


def threads() -> int:
    """Threads that the native kernels use: torch's setting, at most the cores this process may run on."""
    return min(torch.get_num_threads(), len(os.sched_getaffinity(0)))


@torch.no_grad()
def render_native(params: Params, noise: SoundIds, isa: str = "") -> Audio:
    """Audio on the CPU without gradient; ``isa`` names an instruction set, the best one where empty."""
    assert _native is not None
    human = SPEC.to_human(params.float()).contiguous()
    angles = torch.empty(len(params), 2, _native.voice_frames)
    _native.voice_angles(human.numpy(), angles.numpy(), threads(), isa)
    cosines = torch.cos(angles + m.PI)
    audio = torch.empty(len(params), m.SAMPLES)
    _native.voice_render(
        human.numpy(), angles.numpy(), cosines.numpy(), noise.contiguous().numpy(), audio.numpy(), threads(), isa
    )
    return audio
