"""A sound is its id: id -> parameters, noise row and split are pure functions (the sounds of synth1B1).

Source: Turian et al., "One Billion Audio Sounds from GPU-enabled Modular Synthesis", https://arxiv.org/abs/2104.12922.
"""

from __future__ import annotations

from importlib.util import find_spec

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from unsynth import native
from unsynth.base import Params, SoundIds, UsageError
from unsynth.params import ParamSpec

BLOCK = 1024  # ids of one block share a split
TEST_EVERY = 10  # one block in so many is for testing
VALIDATION = 100_000  # held-out sounds from this one on are for choices, those before it for the results
END = 1 << 32  # of ids: torch's CPU generator takes no more of a seed, so that those after it would be the same patches


def _random_order(spec: ParamSpec) -> list[int]:
    """Column of each successive random number: torchsynth draws in alphabetical order of its own parameter names."""
    keys = [".torchparameters.".join(name.split(".", 1)) for name in spec.names]
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
    """The ``count`` training ids that follow the first ``start`` of them, increasing; as :func:`held_out_ids`."""
    nth = torch.arange(start, start + count)
    per_cycle = BLOCK * (TEST_EVERY - 1)
    return _there(nth // per_cycle * BLOCK * TEST_EVERY + nth % per_cycle)


def held_out_ids(start: int, count: int) -> SoundIds:
    """The ``count`` held-out ids that follow the first ``start`` of them, in increasing order.

    Raises:
        UsageError: there are fewer.
    """
    return _held_out(torch.arange(start, start + count))


def quoted_ids(start: int, count: int) -> SoundIds:
    """As :func:`held_out_ids`, of those for results: the first ``VALIDATION``, later every other block."""
    nth = torch.arange(start, start + count)
    return _held_out(torch.where(nth < VALIDATION, nth, _further(nth, 0)))


def validation_ids(start: int, count: int) -> SoundIds:
    """As :func:`held_out_ids`, of those for choices: as many right after the first of those, later the other blocks."""
    nth = torch.arange(start, start + count)
    return _held_out(torch.where(nth < VALIDATION, nth + VALIDATION, _further(nth, 1)))


def _further(nth: Int64[Tensor, " batch"], side: int) -> Int64[Tensor, " batch"]:
    """Where among the held-out sounds one is that comes after the first ``VALIDATION`` of its split."""
    more = nth - VALIDATION
    return 2 * VALIDATION + (more // BLOCK * 2 + side) * BLOCK + more % BLOCK


def _held_out(nth: Int64[Tensor, " batch"]) -> SoundIds:
    return _there((nth // BLOCK * TEST_EVERY + TEST_EVERY - 1) * BLOCK + nth % BLOCK)


def _there(ids: SoundIds) -> SoundIds:
    if len(ids) and ids[-1] >= END:
        raise UsageError(f"Sounds have ids below {END:,}, of which so many are not left; start earlier, or take fewer.")
    return ids
