"""The state of a training and its one step: forward, backward, mean over the processes, clip, step, average weights."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from unsynth import checkpoint
from unsynth.base import Audio, Batch, Objective, PatchError, UsageError
from unsynth.distributed import average_gradients
from unsynth.optimizers import groups, peaks, rate
from unsynth.recipe import Recipe, build, seeded
from unsynth.sounds.augment import Augment
from unsynth.sounds.replay import Replay

if TYPE_CHECKING:
    from lightning.fabric import Fabric


def train_mode(objective: nn.Module) -> None:
    """``train()``, but for modules whose parameters are all frozen: their batch-norm statistics stay as they are."""
    objective.train()
    for module in objective.modules():
        parameters = list(module.parameters())
        if parameters and not any(p.requires_grad for p in parameters):
            module.eval()


def average_into(averaged: Any, current: Any, count: Tensor | int, decay: float) -> None:
    """Exponential moving average with a shorter memory at the beginning: decay ``min(decay, (1 + n) / (10 + n))``."""
    n = int(count)
    if averaged[0].is_floating_point() or averaged[0].is_complex():
        share = 1 - min(decay, (1 + n) / (10 + n))
        torch._foreach_lerp_(averaged, current, share)  # pyright: ignore[reportPrivateImportUsage]
    else:  # counters are not averaged
        torch._foreach_copy_(averaged, current)  # pyright: ignore[reportPrivateImportUsage]


class Trainer:
    """The state of a training: weights, their average, optimisers and the step. ``fit`` runs it.

    Args:
        recipe: what to train.
        fabric: where.
        resumed: whether :meth:`restore` follows, so that the models that the recipe starts from are not needed.

    Raises:
        UsageError: what the recipe asks for does not go together.
    """

    def __init__(self, recipe: Recipe, fabric: Fabric, resumed: bool = False) -> None:
        self.recipe, self.fabric, self.step, self.seconds, self.skipped = recipe, fabric, 0, 0.0, 0
        self.objective = build(recipe).to(fabric.device)
        if recipe.start and not resumed:
            checkpoint.load_into(self.objective, checkpoint.located(recipe.start))
        if self.objective.start and not resumed:
            checkpoint.load_into(self.objective.encoder, checkpoint.located(self.objective.start), checkpoint.ENCODER)
        train_mode(self.objective)
        self.players = dict(self.objective.players())
        self.optimizers = {
            name: recipe.optimizer(groups(player, recipe.weight_decay)) for name, player in self.players.items()
        }
        self._check()
        self.augment = Augment(recipe.augment, recipe.untouched) if recipe.augment else None
        self.peaks = {k: peaks(o) for k, o in self.optimizers.items()}
        average = partial(average_into, decay=recipe.ema)
        self.averaged = AveragedModel(self.objective, multi_avg_fn=average, use_buffers=True).eval()
        self.loss = torch.compile(self.objective.loss) if recipe.compiled else self.objective.loss
        self.replay = self._replay()

    def _check(self) -> None:
        """UsageError where an option would be silently without effect, or fail in the first step."""
        for optimizer in self.optimizers.values():
            usual = signature(type(optimizer)).parameters.get("weight_decay")
            if usual and optimizer.defaults["weight_decay"] != usual.default:
                raise UsageError("Set weight_decay of the recipe, which knows what decays, not of the optimizer.")
        if self.recipe.compiled and len(self.players) > 1:
            raise UsageError("Losses of several players cannot be compiled; set compiled=false.")

    def _replay(self) -> Replay | None:
        if not self.recipe.replay:
            return None
        learns = any(p.requires_grad for p in self.objective.encoder.parameters())
        if learns or not self.objective.hears or self.fabric.world_size > 1:
            raise UsageError(
                "Only what a frozen encoder heard is replayed, in one process: set objective.frozen=true or replay=0."
            )
        return Replay(self.recipe.replay)

    @property
    def average(self) -> Objective:
        """The objective with the averaged weights, in ``eval()``."""
        return cast(Objective, self.averaged.eval().module)

    def advance(self, batch: Batch) -> dict[str, Tensor]:
        """One step of every player; the terms of their losses, by name (``player/term`` with several players)."""
        with seeded(self.recipe.seed, self.step + 1, self.fabric.global_rank):
            if self.augment:
                batch = replace(batch, audio=self.augment(batch.audio))
            if not self.replay:
                told = self._turn(batch)
            else:
                self.replay.add(replace(batch, heard=self._heard(batch.audio)))
                told = self._turn(self.replay.kept[-1])
                for _ in range(self.recipe.again):
                    self._turn(self.replay.draw())
        self.step += 1
        return told

    @torch.no_grad()
    def _heard(self, audio: Audio, together: int = 64) -> Tensor:
        encoder = self.objective.encoder
        hear = encoder if self.objective.hears == "vector" else encoder.tokens
        with self.fabric.autocast():
            return torch.cat([hear(part) for part in audio.split(together)])

    def _turn(self, batch: Batch) -> dict[str, Tensor]:
        told: dict[str, Tensor] = {}
        for name in self.players:
            prefix = f"{name}/" if len(self.players) > 1 else ""
            told |= {prefix + k: v for k, v in self._move(name, batch).items()}
        self.averaged.update_parameters(self.objective)
        return told

    def _move(self, name: str, batch: Batch) -> dict[str, Any]:
        optimizer, parameters = self.optimizers[name], [p for p in self.players[name].parameters() if p.requires_grad]
        self._warm(name)
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
            self._mend()
        return {k: v.detach() for k, v in terms.items()} | {"gradient": norm, "rate": optimizer.param_groups[0]["lr"]}

    @torch.no_grad()
    def _mend(self) -> None:
        """Batch-norm statistics that a bad batch has spoilt, from their average again."""
        for ours, average in zip(self.objective.buffers(), self.averaged.module.buffers(), strict=True):
            ours.copy_(torch.where(ours.isfinite(), ours, average))

    def _warm(self, name: str) -> None:
        r = self.recipe
        share = rate(self.step, r.steps, r.warmup, r.schedule, r.cooldown)
        for group, peak in zip(self.optimizers[name].param_groups, self.peaks[name], strict=True):
            group["lr"] = peak * share

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next step depends on."""
        state = {f"model/{k}": v for k, v in self.objective.state_dict().items()}
        state |= {f"averaged/{k}": v for k, v in self.averaged.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            for index, slots in optimizer.state_dict()["state"].items():
                told = {k: torch.as_tensor(v) for k, v in slots.items() if v is not None}
                state |= {f"optimizer/{name}/{index}/{slot}": value for slot, value in told.items()}
        if self.replay:
            state |= {f"replay/{k}": v for k, v in self.replay.tensors().items()}
        return state

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Go on from what ``tensors`` gave; PatchError where it does not fit the recipe."""
        try:
            self.objective.load_state_dict(_under("model/", tensors))
            self.averaged.load_state_dict(_under("averaged/", tensors))
            for name, optimizer in self.optimizers.items():
                state: dict[int, dict[str, Tensor]] = {}
                for path, x in _under(f"optimizer/{name}/", tensors).items():
                    index, slot = path.split("/")
                    state.setdefault(int(index), {})[slot] = x
                optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
            if self.replay:
                self.replay.restore(_under("replay/", tensors), self.recipe.batch, self.fabric.device)
            self.step, self.seconds, self.skipped = facts["step"], facts["seconds"], facts["skipped"]
        except (RuntimeError, ValueError, KeyError) as error:
            raise PatchError("The state of the training is of another recipe; name another --out folder.") from error


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}
