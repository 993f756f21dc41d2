"""Times torchsynth 1.0.2 on request; runs in torchsynth's own environment (see reference.py), one thread.

A line of JSON on standard input, ``{"task": ..., "batch": ..., "index": ..., "at_least": ...}``, is answered by a line
with the mean seconds of a call.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
import types

import pytorch_lightning
import torch

shim = types.ModuleType("pytorch_lightning.core.lightning")  # where torchsynth looks for it
shim.LightningModule = pytorch_lightning.LightningModule  # type: ignore[attr-defined]
sys.modules["pytorch_lightning.core.lightning"] = shim

from torchsynth.config import SynthConfig  # noqa: E402
from torchsynth.synth import Voice  # noqa: E402


@functools.cache
def voice(batch: int, gradient: bool = False) -> Voice:
    config = SynthConfig(batch_size=batch, reproducible=True)
    config.no_grad = not gradient  # the constructor refuses, because gradients are not tested in 1.0
    return Voice(config)


def render(batch: int, index: int) -> None:
    voice(batch)(index)


def gradient(batch: int, index: int) -> None:
    synth = voice(batch, True)
    synth.zero_grad(set_to_none=True)
    audio, _, _ = synth(index)
    audio.as_subclass(torch.Tensor).square().mean().backward()


def seeding(batch: int, index: int) -> None:
    voice(batch).randomize(seed=index)


TASKS = {"render": render, "gradient": gradient, "seeding": seeding}


def answer(task: str, batch: int, index: int, at_least: float) -> float:
    calls, began = 0, time.perf_counter()
    while True:
        TASKS[task](batch, index)
        calls += 1
        spent = time.perf_counter() - began
        if spent >= at_least:
            return spent / calls


def main() -> None:
    """Answer until standard input ends. What others print goes to standard error."""
    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(answer(**json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
