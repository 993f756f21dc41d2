"""The native backend of the Voice: one fused C++ kernel per sound, sounds spread over threads, no audio-rate buffers.

LFO cosines and parameter curves are evaluated by torch on purpose: on x86, torch takes ``cos`` and ``log2`` from MKL,
whose last bit no portable code reproduces, and that bit is audible (see :mod:`unsynth.synths.modules`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unsynth.base import Audio, Params, SoundIds
from unsynth.native import kernels, threads, torch_on_one_thread
from unsynth.synths import modules as m
from unsynth.synths.voice_torch import SPEC, control


@torch.no_grad()
def render_native(params: Params, noise: SoundIds, isa: str = "") -> Audio:
    """Audio on the CPU without gradient; ``isa`` names an instruction set, the best one where empty."""
    with torch_on_one_thread():
        human = SPEC.to_human(params.float()).contiguous()
    angles = torch.empty(len(params), 2, kernels.voice_frames)
    kernels.voice_angles(human.numpy(), angles.numpy(), threads(), isa)
    with torch_on_one_thread():
        cosines = torch.cos(angles + m.PI)
    audio = torch.from_numpy(kernels.borrow(len(params), m.SAMPLES))
    kernels.voice_render(
        human.numpy(), angles.numpy(), cosines.numpy(), noise.contiguous().numpy(), audio.numpy(), threads(), isa
    )
    return audio


class _Audio(torch.autograd.Function):
    """Control signals and scalars to audio, with the native gradient."""

    @staticmethod
    def forward(ctx: Any, signals: Tensor, scalars: Tensor, noise: SoundIds, isa: str) -> Audio:
        batch = len(signals)
        signals = torch.nn.functional.pad(signals, (0, kernels.voice_frames - m.FRAMES), mode="replicate").contiguous()
        scalars, noise = scalars.contiguous(), noise.contiguous()
        carries = torch.empty(batch, kernels.voice_blocks(isa), 2, dtype=torch.float64)
        audio, peak = torch.from_numpy(kernels.borrow(batch, m.SAMPLES)), torch.empty(batch)
        inputs = [x.numpy() for x in (signals, scalars, noise, carries)]
        kernels.voice_audio(*inputs, audio.numpy(), peak.numpy(), threads(), isa)
        ctx.save_for_backward(signals, scalars, noise, carries, audio, peak)
        ctx.isa = isa
        return audio

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Audio) -> tuple[Tensor | None, ...]:  # pyright: ignore
        signals, scalars, *rest = ctx.saved_tensors
        inputs = [x.detach().numpy() for x in (signals, scalars, *rest)]
        d_signals, d_scalars = torch.empty_like(signals), torch.empty_like(scalars)
        working = grad_outputs[0].float().clone(memory_format=torch.contiguous_format)
        kernels.voice_audio_backward(*inputs, working.numpy(), d_signals.numpy(), d_scalars.numpy(), threads(), ctx.isa)
        d_signals[..., m.FRAMES - 1] += d_signals[..., m.FRAMES :].sum(-1)
        return d_signals[..., : m.FRAMES], d_scalars, None, None


def render_native_differentiable(params: Params, noise: SoundIds, isa: str = "") -> Audio:
    """Audio on the CPU with gradient: control signals by torch, everything at the audio rate by the fused kernels."""
    signals, scalars = control(params)
    return _Audio.apply(signals, scalars, noise, isa)  # type: ignore[return-value]
