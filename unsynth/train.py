"""fit(): the one training loop, on any number of processes, exact to the bit when it is stopped and resumed."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import Tensor

from unsynth import audio, checkpoint, folders
from unsynth.base import Objective, PatchError, UsageError
from unsynth.distributed import agree, any_of, leave
from unsynth.recipe import Recipe, explained, same, seeded
from unsynth.sounds.stream import Stream
from unsynth.synths import synth as synth_of
from unsynth.tracking import Track
from unsynth.trainer import Trainer

STATE, MODEL, LOG = "state.safetensors", "model.safetensors", "log.jsonl"
Validate = Callable[[Objective], dict[str, float]]


@dataclass(frozen=True)
class Progress:
    """How far a training is, and the loss of its last step."""

    step: int
    steps: int
    sounds_per_second: float
    seconds_left: float
    loss: float

    def line(self) -> str:
        """One line for a person."""
        speed, left = f"{self.sounds_per_second:,.0f} sounds/s", timedelta(seconds=round(self.seconds_left))
        return f"step {self.step:,} of {self.steps:,}, {speed}, {left} left, loss {self.loss:.4g}"


def place(recipe: Recipe, device: str, devices: int, nodes: int) -> Fabric:
    """The processes that train: those that torchrun or SLURM has started, or else new ones.

    Raises:
        UsageError: this machine does not have the device, or not as many.
    """
    cuda = torch.cuda.is_available()
    known = {"auto": "cuda" if cuda else "cpu", "cpu": "cpu"} | ({"cuda": "cuda"} if cuda else {})
    if device not in known:
        raise UsageError(f"There is no device {device!r} here; choose one of: {', '.join(known)}.")
    devices, nodes = _launched() or (devices, nodes)
    there = torch.cuda.device_count() if known[device] == "cuda" else devices
    if not 0 < devices <= there or nodes < 1:
        raise UsageError(f"{nodes} x {devices} devices cannot be used; there are {there} of {known[device]} here.")
    if recipe.batch % (devices * nodes):
        raise UsageError(
            f"A batch of {recipe.batch} cannot be shared by {devices * nodes} processes; choose another one."
        )
    precision = recipe.precision if _has_bfloat16(known[device]) else "32-true"
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    fabric = Fabric(accelerator=known[device], devices=devices, num_nodes=nodes, precision=precision)
    fabric.launch()
    torch.backends.cudnn.deterministic = True  # or a resumed training would not repeat itself on a GPU
    return fabric


def _has_bfloat16(device: str) -> bool:
    """Whether the device computes in it; one that emulates it is many times slower than in 32 bits."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if not hasattr(torch.cpu, "get_capabilities"):  # an older torch, which cannot tell
        return True
    return any(there for name, there in torch.cpu.get_capabilities().items() if "bf16" in name)


def _launched() -> tuple[int, int] | None:
    """Processes of each machine, and machines, where torchrun or SLURM has started them."""
    e = os.environ
    if TorchElasticEnvironment.detect():
        local = int(e["LOCAL_WORLD_SIZE"])
        return local, int(e["WORLD_SIZE"]) // local
    if SLURMEnvironment.detect():
        nodes = int(e.get("SLURM_NNODES", 1))
        return int(e["SLURM_NTASKS"]) // nodes, nodes
    return None


@contextmanager
def interruption(grace: float = 3.0) -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM are noted, to be asked for between steps; later than ``grace`` seconds, another stops at once.

    (torchrun sends each one on to processes that have it already.)
    """
    noted: list[float] = []

    def note(*_: object) -> None:
        noted.append(time.monotonic())
        if noted[-1] - noted[0] > grace:
            raise KeyboardInterrupt

    mine = [signal.SIGINT, signal.SIGTERM] if threading.current_thread() is threading.main_thread() else []
    before = {number: signal.signal(number, note) for number in mine}
    try:
        yield lambda: bool(noted)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def fit(
    recipe: Recipe,
    facts: dict[str, Any],
    out: Path,
    *,
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    minutes: float | None = None,
    save_minutes: float = 5.0,
    validate: Validate | None = None,
    validate_steps: int = 1000,
    log_steps: int = 20,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    track: Track = lambda step, row: None,
) -> Objective:
    """Train, or go on training, until the recipe's last step: the objective with the averaged weights, in ``eval()``.

    Writes to ``out``: ``log.jsonl``, ``state.safetensors`` (all that the next step needs: killed at any moment and
    started again, the losses are those of an uninterrupted run) and ``model.safetensors`` (the averaged weights).

    Args:
        recipe: what to train.
        facts: of the recipe and its origin, for the checkpoint (as ``recipe.read`` gives them).
        out: folder of the run; one that all machines see where there are several.
        device: auto, cpu or cuda.
        devices: processes on each machine. Under torchrun or SLURM, what they started.
        nodes: machines.
        minutes: stop, saved, after so long.
        save_minutes: time between saves.
        validate: measures the averaged model, on the first process only.
        validate_steps: steps between validations.
        log_steps: steps between lines of the log.
        on_progress: called with every line of the log, on the first process only.
        track: is told the numbers of every line too (:mod:`unsynth.tracking`), there only.

    Raises:
        PatchError: ``out`` holds a training with another recipe, or what to start from has another encoder.
        NotFoundError: the checkpoint to start from is not there.
        OutputError: ``out`` cannot be written.
        UsageError: the devices are not there, or ``out`` is another folder on each machine.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after everything was saved.
    """
    fabric = place(recipe, device, devices, nodes)
    trainer = Trainer(recipe, fabric, (out / STATE).is_file())
    run = _Run(trainer, facts, out, on_progress, track, log_steps, save_minutes)
    run.resume()
    place_of = fabric.global_rank, fabric.world_size, recipe.first, fabric.device
    stream = Stream(recipe.sounds(synth_of(recipe.synth)), recipe.batch, *place_of)
    began, end = trainer.step, math.inf if minutes is None else time.monotonic() + 60 * minutes
    with interruption() as interrupted, closing(stream.since(trainer.step)) as batches:
        while trainer.step < recipe.steps and not any_of(interrupted() or time.monotonic() > end, fabric.device):
            batch = next(batches)
            with (
                explained() if trainer.step == began else nullcontext()
            ):  # options that do not go together fail at once
                terms = trainer.advance(batch)
            run.told(terms)
            if validate and (trainer.step % validate_steps == 0 or trainer.step == recipe.steps):
                run.validated(validate)
            run.save_if_due()
        run.save()
        fabric.barrier()
        if any_of(interrupted(), fabric.device):  # a signal may have come to one process only
            leave()
            raise KeyboardInterrupt
    return trainer.average


class _Run:
    """The files of a training, all written by the first process."""

    def __init__(
        self,
        trainer: Trainer,
        facts: dict[str, Any],
        out: Path,
        on_progress: Callable[[Progress], None],
        track: Track,
        log_steps: int,
        save_minutes: float,
    ) -> None:
        self.trainer, self.facts, self.out, self.on_progress, self.track = trainer, facts, out, on_progress, track
        self.log_steps, self.save_minutes, self.writes = log_steps, save_minutes, trainer.fabric.is_global_zero
        self.began = self.marked = self.saved = time.monotonic()
        self.at = 0
        folders.make(out)
        if self.writes:
            folders.sweep(out)

    def resume(self) -> None:
        """Go on from the state in the folder, if there is one; lines of the log from after it are made again."""
        if (self.out / STATE).is_file():
            tensors, facts = checkpoint.load(self.out / STATE)
            if not same(self.facts, facts):
                raise PatchError(f"{self.out} holds a training with another recipe; name another --out folder.")
            self.trainer.restore(tensors, facts)
        self.at = self.trainer.step
        self.began -= self.trainer.seconds
        device = self.trainer.fabric.device
        if any_of(int(agree(torch.tensor(self.at, device=device))) != self.at, device):
            raise UsageError(f"{self.out} is not the same folder on every machine; name one that all of them share.")
        if self.writes and (self.out / LOG).is_file():
            self._cut_log()

    def _cut_log(self) -> None:
        kept = [line for line in folders.lines(self.out / LOG) if json.loads(line)["step"] <= self.at]
        audio.write_text(self.out / LOG, "".join(f"{line}\n" for line in kept))

    def told(self, terms: dict[str, Tensor]) -> None:
        """Log a step, if its turn has come."""
        now, t = time.monotonic(), self.trainer
        t.seconds = now - self.began
        if not self.writes or (t.step % self.log_steps and t.step != t.recipe.steps):
            return
        speed = (t.step - self.at) * t.recipe.batch / max(now - self.marked, 1e-9)
        self.marked, self.at = now, t.step
        row = {name: float(x) for name, x in terms.items()}
        self._log({"sounds_per_second": speed, **row, "skipped": t.skipped})
        left = (t.recipe.steps - t.step) * t.recipe.batch / speed
        self.on_progress(Progress(t.step, t.recipe.steps, speed, left, next(iter(row.values()))))

    def validated(self, validate: Validate) -> None:
        """Log what ``validate`` says of the averaged weights; whatever it draws leaves the training as it is."""
        if self.writes:
            began = time.monotonic()
            with seeded(self.trainer.recipe.seed), torch.no_grad():
                told = validate(self.trainer.average)
            if told:
                self._log(told)
            self.marked += time.monotonic() - began

    def _log(self, row: dict[str, float]) -> None:
        finite = {name: value if math.isfinite(value) else None for name, value in row.items()}
        line = json.dumps({"step": self.trainer.step, **finite, "seconds": round(self.trainer.seconds, 1)})
        folders.append(self.out / LOG, line)
        self.track(self.trainer.step, {name: value for name, value in finite.items() if value is not None})

    def save_if_due(self) -> None:
        if time.monotonic() - self.saved > 60 * self.save_minutes:
            self.save()

    def save(self) -> None:
        """Write the state and the model."""
        began, t = time.monotonic(), self.trainer
        if self.writes:
            facts = {**self.facts, "step": t.step, "seconds": t.seconds, "skipped": t.skipped}
            checkpoint.save(self.out / STATE, t.tensors(), facts)
            checkpoint.save(self.out / MODEL, t.average.state_dict(), facts)
        self.saved = time.monotonic()
        self.marked += self.saved - began
