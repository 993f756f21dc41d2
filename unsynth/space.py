"""A trained joint space, frozen: sounds and parameters as points, near each other where one makes the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from unsynth import checkpoint
from unsynth.base import Audio, Params, PatchError, Synth, Vector
from unsynth.recipe import restored

Model = TypeVar("Model")


@final
class JointSpace:
    """Points of sounds and of parameters, from a checkpoint of ``unsynth pretrain``.

    Args:
        path: of the checkpoint.
        synth: whose sounds and parameters they are.

    Raises:
        NotFoundError: there is no checkpoint.
        PatchError: it is damaged, not of a joint space, or of another synth or version of it.
    """

    def __init__(self, path: Path, synth: Synth) -> None:
        self.joint = restored(path, synth)
        self.name = f"joint-{checkpoint.digest(path)}"
        if not hasattr(self.joint, "patch"):
            raise PatchError(f"{path} has no side for parameters; use a checkpoint of a joint objective.")

    def sounds(self, audio: Audio) -> Vector:
        """Points of sounds."""
        with torch.no_grad():
            return self.joint.sound(audio)  # pyright: ignore[reportCallIssue]

    def heard(self, vectors: Vector) -> Vector:
        """Points of sounds of which these are the vectors of the space's own encoder."""
        with torch.no_grad():
            return self.joint.criterion.sound(vectors)  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]

    def patches(self, params: Params) -> Vector:
        """Points of parameters, differentiable in them."""
        return self.joint.patch(params)  # pyright: ignore[reportCallIssue]

    def distances(self, point: Float[Tensor, "1 dim"], params: Params) -> Float[Tensor, " batch"]:
        """Mean squared difference between one sound's point and those of parameters."""
        return (self.patches(params) - point).square().mean(1)


def best_space(synth: Synth) -> JointSpace:
    """The user's own joint space of a synth, or else the package's; NotFoundError where there is neither."""
    return once(JointSpace, checkpoint.installed(f"{synth.name}-space"), synth)


def once(make: Callable[[Path, Synth], Model], path: Path, synth: Synth) -> Model:
    """``make(path, synth)``, or what it gave before where the file is still the same: half a second for each sound."""
    stat = path.stat() if path.is_file() else None
    return _made(_State(make, path, synth.name, synth.spec.hash, stat and (stat.st_mtime_ns, stat.st_size), synth))


@dataclass(frozen=True)
class _State:
    """What decides what a model is; its synth is made anew each time, and is the same by name and parameters."""

    make: Callable[[Path, Synth], Any]
    path: Path
    name: str
    spec: str
    stamp: tuple[int, int] | None
    synth: Synth = field(compare=False)


@lru_cache(maxsize=4)
def _made(state: _State) -> Any:
    return state.make(state.path, state.synth)
