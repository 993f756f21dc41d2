"""Make the gold vectors: sounds of torchsynth 1.0.2 at fixed sample positions, for ids of both splits, small and large.

torchsynth needs an environment of its own:

    python3 -m venv /tmp/torchsynth
    /tmp/torchsynth/bin/pip install torch==2.13.0 'setuptools<80' torchsynth==1.0.2
    /tmp/torchsynth/bin/python tests/gold/make.py

Its three small matrix products are replaced by forward chains of fused multiply-adds, which is what MKL computes on
Intel processors with AVX2 or AVX-512. On AMD processors MKL does not fuse, and torchsynth's own audio differs from that
by up to 0.01; so do batches other than multiples of 32.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import torch

BATCH = 32
BLOCKS = [*range(16), *range(288, 296), *range(31250, 31254), 1_000_000, 31_249_999, 100_000_000, 134_217_727]
SAMPLES = 176_400
POSITIONS = np.unique(
    np.concatenate([np.geomspace(1, SAMPLES - 1, 64).round(), np.linspace(0, SAMPLES - 1, 65).round()])
)
OUT = Path(__file__).with_name("voice.npz")


def _fused(weights: torch.Tensor, signals: torch.Tensor) -> torch.Tensor:
    from torchsynth.signal import Signal

    weights, signals = weights.as_subclass(torch.Tensor), signals.as_subclass(torch.Tensor)
    total = weights[..., :1] * signals[:, :1]
    for i in range(1, weights.shape[2]):
        total = (weights[..., i : i + 1].double() * signals[:, i : i + 1].double() + total.double()).float()
    return total.as_subclass(Signal)


def _voice() -> torch.nn.Module:
    import pytorch_lightning

    shim = types.ModuleType("pytorch_lightning.core.lightning")  # where torchsynth looks for it
    shim.LightningModule = pytorch_lightning.LightningModule  # type: ignore[attr-defined]
    sys.modules["pytorch_lightning.core.lightning"] = shim
    from torchsynth.config import SynthConfig
    from torchsynth.synth import Voice

    return Voice(SynthConfig(batch_size=BATCH, reproducible=True))


@torch.no_grad()
def main(out: Path = OUT) -> None:
    """Write ids, parameters (torchsynth's order), samples at POSITIONS, mean magnitudes of 16 parts, and splits."""
    torch.set_num_threads(1)
    voice = _voice()
    torch.matmul = _fused
    positions, columns = POSITIONS.astype(np.int64), {}
    for block in BLOCKS:
        audio, params, is_train = voice(block)
        sound = audio.numpy()
        values = {
            "ids": block * BATCH + np.arange(BATCH),
            "params": params.numpy().astype(np.float32),
            "samples": sound[:, positions],
            "means": np.abs(sound.reshape(BATCH, 16, -1)).mean(2),
            "is_train": is_train.numpy(),
        }
        for key, value in values.items():
            columns.setdefault(key, []).append(value)
    np.savez_compressed(out, positions=positions, **{k: np.concatenate(v) for k, v in columns.items()})


if __name__ == "__main__":
    main()
