"""Weights on disk: safetensors with everything needed to build the model again. Nothing that is loaded can run code."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from unsynth import __version__
from unsynth.base import NotFoundError, OutputError, PatchError

FORMAT = "unsynth.checkpoint/1"
ENCODER = "encoder."


def save(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON facts whole or not at all: a kill at any moment leaves the old file or the new one.

    Raises:
        OutputError: the file cannot be written.
    """
    temporary = path.with_name(path.name + ".tmp")
    metadata = {"format": FORMAT, "version": __version__, "facts": json.dumps(facts)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: x.detach().contiguous() for name, x in tensors.items()}, temporary, metadata)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"{path} could not be written ({error}); make room or name another folder.") from error


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of a checkpoint.

    Raises:
        NotFoundError: there is no such file.
        PatchError: it is damaged, or not a checkpoint of ours.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no checkpoint at {path}; `unsynth pretrain` makes one.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        if metadata.get("format") != FORMAT:
            raise PatchError(f"{path} is not a checkpoint of this version of unsynth; train it again or get a newer one.")
        return tensors, json.loads(metadata["facts"])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise PatchError(f"{path} is not a whole checkpoint; copy it again or train it again.") from error



def load_encoder(encoder: nn.Module, path: Path) -> None:
    """Give an encoder the weights that the encoder of a checkpoint's model has.

    Raises:
        NotFoundError: there is no such file.
        PatchError: the file is damaged, or its model has no encoder like this one.
    """
    tensors, _ = load(path)
    weights = {name.removeprefix(ENCODER): x for name, x in tensors.items() if name.startswith(ENCODER)}
    try:
        encoder.load_state_dict(weights)
    except RuntimeError as error:
        raise PatchError(f"{path} has no encoder like this one; name a model of the same encoder's recipe.") from error
