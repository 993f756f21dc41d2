"""The Voice: torchsynth's 78-parameter synth (the sounds of synth1B1), exact, differentiable and fast.

Three backends make the same sounds: torch (:mod:`unsynth.synths.voice_torch`), native (one fused C++ kernel,
:mod:`unsynth.synths.voice_native`) and triton (:mod:`unsynth.synths.voice_triton`).
"""

from __future__ import annotations

import os
from importlib.util import find_spec

import torch

from unsynth.base import Audio, Params, SoundIds, Synth, UsageError
from unsynth.native import instruction_sets
from unsynth.synths import modules as m
from unsynth.synths.voice_native import render_native, render_native_differentiable
from unsynth.synths.voice_torch import SPEC, render_torch

BACKENDS = ("torch", "native", "triton")


class Voice(Synth):
    """The 78-parameter Voice (4 s at 44.1 kHz; sound ids give the sounds of synth1B1).

    Args:
        backend: ``torch``, ``native``, ``triton`` (no gradient), or ``auto``: triton on NVIDIA GPUs unless a gradient
            is wanted, native on the CPU where it was built, torch otherwise.

    Raises:
        UsageError: the backend does not exist or is not available here.
    """

    name = "voice"
    spec = SPEC
    rate = m.RATE
    seconds = m.SAMPLES / m.RATE
    differentiable = True

    def __init__(self, backend: str = "auto") -> None:
        if backend not in ("auto", *available()):
            raise UsageError(f"The Voice has no backend {backend!r} here; `unsynth doctor` says which there are.")
        self.backend = backend

    def resolve(self, params: Params) -> str:
        """The backend that ``render`` uses for these parameters."""
        if self.backend != "auto":
            return self.backend
        if params.is_cuda:
            return "triton" if has_triton() and not _differentiable(params) else "torch"
        return "native" if instruction_sets() else "torch"

    def render(self, params: Params, noise: SoundIds | None = None) -> Audio:
        noise = torch.zeros(len(params), dtype=torch.int64) if noise is None else noise
        backend = self.resolve(params)
        if backend == "native":
            return (render_native_differentiable if _differentiable(params) else render_native)(params, noise)
        if backend == "triton":
            from unsynth.synths.voice_triton import render_triton

            return render_triton(params, noise)
        return render_torch(params, noise)


def available() -> list[str]:
    """The backends that can run on this machine."""
    can = {"torch": True, "native": bool(instruction_sets()), "triton": has_triton()}
    return [name for name in BACKENDS if can[name]]


def has_triton() -> bool:
    """Whether the triton backend can run: on an NVIDIA GPU, or on any machine in triton's interpreter (slow)."""
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    return find_spec("triton") is not None and (torch.cuda.is_available() or interpreted)


def _differentiable(params: Params) -> bool:
    return params.requires_grad and torch.is_grad_enabled()
