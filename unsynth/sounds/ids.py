"""A sound is its id: id -> parameters, noise row and split are pure functions (the sounds of synth1B1).

Source: Turian et al., "One Billion Audio Sounds from GPU-enabled Modular Synthesis", https://arxiv.org/abs/2104.12922.
"""

from __future__ import annotations

from importlib.util import find_spec

import torch
from jaxtyping import Bool
from torch import Tensor

from unsynth import native
from unsynth.base import Params, SoundIds
from unsynth.params import ParamSpec

BLOCK = 1024  # ids of one block share a split
TEST_EVERY = 10  # one block in so many is for testing
VALIDATION = 100_000  # held-out sounds from this one on are for choices, those before it for the results


def _random_order(spec: ParamSpec) -> list[int]:
    """Column of each successive random number: torchsynth draws in alphabetical order of its own parameter names."""
    keys = ["{}.torchparameters.{}".format(*name.split(".", 1)) for name in spec.names]
    return sorted(range(len(spec)), key=keys.__getitem__)


def uniforms(ids: SoundIds, count: int) -> Params:
    """The first ``count`` uniform float32 of torch's CPU generator seeded with each id; ``(batch, count)``.

    Computed on the device of ``ids``: on a GPU where triton is installed, on the host and copied otherwise.
    """
    if ids.is_cuda and find_spec("triton"):
        from unsynth.sounds.ids_triton import uniforms_triton

        return uniforms_triton(ids, count)
    if ids.is_cuda:
        return uniforms(ids.cpu(), count).to(ids.device)
    out = torch.empty(len(ids), count)
    if native.kernels:
        native.kernels.uniforms(ids.contiguous().numpy(), out.numpy(), count)
        return out
    for row, seed in zip(out, ids.tolist(), strict=True):
        row.copy_(torch.rand(count, generator=torch.Generator().manual_seed(seed)))
    return out


def params_of(ids: SoundIds, spec: ParamSpec) -> Params:
    """Parameters of each sound id, in the order of ``spec``: uniform in [0, 1), the same for an id in any batch."""
    params = torch.empty(len(ids), len(spec), device=ids.device)
    params[:, _random_order(spec)] = uniforms(ids, len(spec))
    return params


def is_train(ids: SoundIds) -> Bool[Tensor, " batch"]:
    """Whether each id may be trained on or indexed: blocks of 1024 ids, nine for training and one for testing."""
    return ids // BLOCK % TEST_EVERY != TEST_EVERY - 1


def train_ids(start: int, count: int) -> SoundIds:
    """The ``count`` training ids that follow the first ``start`` of them, in increasing order."""
    nth = torch.arange(start, start + count)
    per_cycle = BLOCK * (TEST_EVERY - 1)
    return nth // per_cycle * BLOCK * TEST_EVERY + nth % per_cycle


def held_out_ids(start: int, count: int) -> SoundIds:
    """The ``count`` held-out ids that follow the first ``start`` of them, in increasing order."""
    nth = torch.arange(start, start + count)
    return (nth // BLOCK * TEST_EVERY + TEST_EVERY - 1) * BLOCK + nth % BLOCK
