"""fit(): the one training loop, on any number of processes, exact to the bit when it is stopped and resumed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from unsynth import checkpoint
from unsynth.base import Batch, Objective, OutputError, PatchError
from unsynth.distributed import average_gradients
from unsynth.optimizers import MakeOptimizer, Schedule, groups, rate
from unsynth.params import ParamSpec
from unsynth.sounds.stream import Stream
from unsynth.synths import synth as synth_of

STATE, MODEL, LOG = "state.safetensors", "model.safetensors", "log.jsonl"
Validate = Callable[[Objective], dict[str, float]]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training makes.

    Args:
        objective: makes the objective for the parameters of the synth.
        optimizer: makes the optimiser of each player from its parameters.
        synth: whose sounds are learned.
        batch: sounds of a step, of all processes together.
        steps: how many steps.
        warmup: steps until the learning rate is at its highest.
        schedule: how the learning rate goes on from there: cosine, stable (constant, then linear to zero) or constant.
        weight_decay: of matrices and filters; biases and norms have none.
        clip: largest norm of a player's gradient.
        ema: decay of the averaged weights, which are what is evaluated and kept.
        precision: as Lightning Fabric names them.
        initialise: xavier draws all matrices and filters anew (Glorot and Bengio, 2010); torch leaves them.
        compiled: whether the loss goes through torch.compile.
        seed: of the weights and of whatever a step draws.
        first: training sounds to leave out at the beginning.
    """

    objective: Callable[[ParamSpec], Objective]
    optimizer: MakeOptimizer
    synth: str = "voice"
    batch: int = 256
    steps: int = 1000
    warmup: int = 200
    schedule: Schedule = "cosine"
    weight_decay: float = 0.05
    clip: float = 1.0
    ema: float = 0.999
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "bf16-mixed"
    initialise: Literal["torch", "xavier"] = "torch"
    compiled: bool = False
    seed: int = 0
    first: int = 0


@dataclass(frozen=True)
class Progress:
    """How far a training is."""

    step: int
    steps: int
    sounds_per_second: float
    loss: float

    @property
    def seconds_left(self) -> float:
        return (self.steps - self.step) / max(self.sounds_per_second, 1e-9)


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Torch's global generators start from ``numbers`` inside and are as they were afterwards."""
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices):
        seed = 0
        for number in numbers:
            seed = (seed * 1_000_003 + number) % (1 << 63)
        torch.manual_seed(seed)
        yield


def build(recipe: Recipe) -> Objective:
    """The objective with fresh weights, the same ones for the same seed."""
    with seeded(recipe.seed):
        objective = recipe.objective(synth_of(recipe.synth).spec)
        if recipe.initialise == "xavier":
            for p in objective.parameters():
                if p.ndim > 1 and p.requires_grad:
                    nn.init.xavier_uniform_(p)
    return objective


def average_into(averaged: list[Tensor], current: list[Tensor], count: Tensor | int, decay: float) -> None:
    """Exponential moving average with a shorter memory at the beginning: decay ``min(decay, (1 + n) / (10 + n))``."""
    n = int(count)
    torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + n) / (10 + n)))


class Trainer:
    """The state of a training: weights, their average, optimisers and the step. ``fit`` runs it.

    Args:
        recipe: what to train.
        fabric: where.
    """

    def __init__(self, recipe: Recipe, fabric: Fabric) -> None:
        self.recipe, self.fabric, self.step, self.seconds, self.skipped = recipe, fabric, 0, 0.0, 0
        self.objective = build(recipe).to(fabric.device)
        if self.objective.start:
            checkpoint.load_encoder(self.objective.encoder, Path(self.objective.start))
        self.players = dict(self.objective.players())
        self.optimizers = {
            name: recipe.optimizer(groups(player, recipe.weight_decay)) for name, player in self.players.items()
        }
        self.peaks = {k: [g["lr"] for g in o.param_groups] for k, o in self.optimizers.items()}
        average = partial(average_into, decay=recipe.ema)
        self.averaged = AveragedModel(self.objective, multi_avg_fn=average, use_buffers=True).eval()
        self.loss = torch.compile(self.objective.loss) if recipe.compiled else self.objective.loss

    def advance(self, batch: Batch) -> dict[str, float]:
        """One step of every player; the terms of their losses, by name (``player/term`` with several players)."""
        told: dict[str, float] = {}
        with seeded(self.recipe.seed, self.step + 1, self.fabric.global_rank):
            self.objective.train()
            for name in self.players:
                prefix = f"{name}/" if len(self.players) > 1 else ""
                told |= {prefix + k: v for k, v in self._move(name, batch).items()}
        self.averaged.update_parameters(self.objective)
        self.step += 1
        return told

    def _move(self, name: str, batch: Batch) -> dict[str, float]:
        optimizer, parameters = self.optimizers[name], [p for p in self.players[name].parameters() if p.requires_grad]
        share = rate(self.step, self.recipe.steps, self.recipe.warmup, self.recipe.schedule)
        for group, peak in zip(optimizer.param_groups, self.peaks[name], strict=True):
            group["lr"] = peak * share
        self.objective.zero_grad(set_to_none=True)
        with self.fabric.autocast():
            terms = self.loss(batch, name)
        terms["loss"].backward()
        average_gradients(parameters)
        norm = nn.utils.clip_grad_norm_(parameters, self.recipe.clip)
        if norm.isfinite():
            optimizer.step()
        else:
            self.skipped += 1
        return {k: float(v) for k, v in terms.items()} | {"gradient": float(norm)}

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next step depends on."""
        state = {f"model/{k}": v for k, v in self.objective.state_dict().items()}
        state |= {f"averaged/{k}": v for k, v in self.averaged.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            for index, slots in optimizer.state_dict()["state"].items():
                state |= {f"optimizer/{name}/{index}/{slot}": value for slot, value in slots.items()}
        return state

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Go on from what ``tensors`` gave; PatchError where it does not fit the recipe."""
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "averaged": {}, "optimizer": {}}
        for name, x in tensors.items():
            head, _, rest = name.partition("/")
            parts[head][rest] = x
        try:
            self.objective.load_state_dict(parts["model"])
            self.averaged.load_state_dict(parts["averaged"])
        except RuntimeError as error:
            raise PatchError("The state of the training is of another recipe; name another --out folder.") from error
        for name, optimizer in self.optimizers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for path, x in parts["optimizer"].items():
                player, index, slot = path.split("/")
                if player == name:
                    state.setdefault(int(index), {})[slot] = x
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        self.step, self.seconds, self.skipped = facts["step"], facts["seconds"], facts["skipped"]


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
) -> Objective:
    """Train, or go on training, until the recipe's last step.

    Writes to ``out``: ``log.jsonl``, ``state.safetensors`` (all that the next step needs: killed at any moment and started
    again, the losses are those of an uninterrupted run) and ``model.safetensors`` (the averaged weights). Ctrl-C saves.

    Args:
        recipe: what to train.
        facts: of the recipe and its origin, for the checkpoint.
        out: folder of the run.
        device: auto, cpu or cuda.
        devices: processes on each machine. Under torchrun or SLURM, what they started.
        nodes: machines.
        minutes: stop, saved, after so long.
        save_minutes: time between saves.
        validate: measures the averaged model.
        validate_steps: steps between validations.
        log_steps: steps between lines of the log.
        on_progress: called with every line of the log.

    Returns:
        The objective with the averaged weights, in ``eval()``.

    Raises:
        NotFoundError: the checkpoint to start from is not there.
        PatchError: ``out`` holds a training with another recipe, or the checkpoint to start from has another encoder.
        OutputError: ``out`` cannot be written.
    """
    fabric = Fabric(accelerator=device, devices=devices, num_nodes=nodes, precision=recipe.precision)
    fabric.launch()
    trainer = Trainer(recipe, fabric)
    run = _Run(trainer, facts, out, fabric.is_global_zero)
    run.resume()
    instrument = synth_of(recipe.synth)
    stream = Stream(instrument, recipe.batch, fabric.global_rank, fabric.world_size, recipe.first, fabric.device)
    began = saved = mark = time.monotonic()
    first, before = trainer.step, trainer.seconds
    batches = stream.since(first)
    try:
        while trainer.step < recipe.steps and (minutes is None or time.monotonic() - began < 60 * minutes):
            told = trainer.advance(next(batches))
            now = time.monotonic()
            trainer.seconds = before + now - began
            if trainer.step % log_steps == 0 or trainer.step == recipe.steps:
                speed = min(log_steps, trainer.step - first) * recipe.batch / max(now - mark, 1e-9)
                mark = now
                run.log({"step": trainer.step, "sounds_per_second": speed, **told})
                on_progress(Progress(trainer.step, recipe.steps, speed / recipe.batch, told.get("loss", 0.0)))
            if validate and (trainer.step % validate_steps == 0 or trainer.step == recipe.steps):
                run.log({"step": trainer.step, **validate(trainer.averaged.module)})
            if now - saved > 60 * save_minutes:
                run.save()
                saved = now
    finally:
        batches.close()  # pyright: ignore[reportAttributeAccessIssue]
        run.save()
    return trainer.averaged.module


class _Run:
    """The files of a training."""

    def __init__(self, trainer: Trainer, facts: dict[str, Any], out: Path, writes: bool) -> None:
        self.trainer, self.facts, self.out, self.writes = trainer, facts, out, writes
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"The folder {out} cannot be made: {error.strerror}; name another one.") from error

    def resume(self) -> None:
        if not (self.out / STATE).is_file():
            return
        tensors, facts = checkpoint.load(self.out / STATE)
        if facts["recipe"] != self.facts["recipe"]:
            raise PatchError(f"{self.out} holds a training with another recipe; name another --out folder.")
        self.trainer.restore(tensors, facts)
        if self.writes and (self.out / LOG).is_file():
            lines = (self.out / LOG).read_text().splitlines()
            kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= self.trainer.step]
            (self.out / LOG).write_text("".join(line + "\n" for line in kept))

    def log(self, row: dict[str, float]) -> None:
        if self.writes:
            with (self.out / LOG).open("a") as file:
                file.write(json.dumps({**row, "seconds": round(self.trainer.seconds, 1)}) + "\n")

    def save(self) -> None:
        if not self.writes:
            return
        t = self.trainer
        facts = {**self.facts, "step": t.step, "seconds": t.seconds, "skipped": t.skipped}
        checkpoint.save(self.out / STATE, t.tensors(), facts)
        checkpoint.save(self.out / MODEL, t.averaged.module.state_dict(), facts)
