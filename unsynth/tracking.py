"""Where the log of a training goes besides its file: TensorBoard, Weights & Biases or Trackio, if asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from unsynth.errors import UsageError

PROJECT = "unsynth"
Json = dict[str, Any]
Track = Callable[[int, dict[str, float]], None]  # is told a step, and numbers of it by name


@contextmanager
def tracked(names: Sequence[str], folder: Path, recipe: Json) -> Iterator[Track]:
    """What tells every tracker; they are closed at the end.

    A training that goes on is the same run to them: in TensorBoard steps that are made again take the place of the
    old ones, the others keep the old.

    Args:
        names: of ``TRACKERS``.
        folder: of the training, whose name the run has.
        recipe: its options.

    Raises:
        UsageError: there is no such tracker, or it is not installed.
    """
    if unknown := [name for name in names if name not in TRACKERS]:
        raise UsageError(f"There is no tracker {unknown[0]!r}; choose from: {', '.join(TRACKERS)}.")
    with ExitStack() as stack:
        told = [stack.enter_context(_started(name, folder, recipe)) for name in dict.fromkeys(names)]

        def track(step: int, row: dict[str, float]) -> None:
            for tell in told:
                tell(step, row)

        yield track


@contextmanager
def _started(name: str, folder: Path, recipe: Json) -> Iterator[Track]:
    try:
        tracker = TRACKERS[name](folder, recipe)
        tell = tracker.__enter__()
    except ModuleNotFoundError as error:
        raise UsageError(f"{name} is not installed; run pip install {name}.") from error
    try:
        yield tell
    finally:
        tracker.__exit__(None, None, None)


@contextmanager
def _tensorboard(folder: Path, recipe: Json) -> Iterator[Track]:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder / "tensorboard")) as writer:
        writer.add_text("recipe", f"```\n{json.dumps(recipe, indent=2)}\n```")

        def track(step: int, row: dict[str, float]) -> None:
            for name, value in row.items():
                writer.add_scalar(name, value, step)
            writer.flush()

        yield track


@contextmanager
def _wandb(folder: Path, recipe: Json) -> Iterator[Track]:
    import wandb  # pyright: ignore[reportMissingImports]

    own = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    run: Any = wandb.init(project=PROJECT, name=folder.name, id=own, resume="allow", dir=str(folder), config=recipe)
    with run:
        yield lambda step, row: run.log(row, step=step)


@contextmanager
def _trackio(folder: Path, recipe: Json) -> Iterator[Track]:
    import trackio  # pyright: ignore[reportMissingImports]

    trackio.init(project=PROJECT, name=folder.name, resume="allow", config=recipe)
    try:
        yield lambda step, row: trackio.log(row, step=step)
    finally:
        trackio.finish()


TRACKERS = {"tensorboard": _tensorboard, "wandb": _wandb, "trackio": _trackio}
