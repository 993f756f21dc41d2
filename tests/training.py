"""A training that takes seconds, for the tests; as a program, one process of a distributed one."""

import json
import os
import sys
from pathlib import Path

import torch
from torch import nn
from toy import Toy

from unsynth.base import Encoder
from unsynth.distributed import average_gradients, leave, rank, world
from unsynth.encoders.layers import BatchNorm
from unsynth.params import Param, ParamSpec
from unsynth.recipe import build, parse
from unsynth.sounds.live import Live
from unsynth.sounds.stream import Stream
from unsynth.synths import SYNTHS
from unsynth.train import fit

SMOOTH = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.01, "momentum": 0.9}}  # rounding errors stay small
CRITERIA = {
    "VICReg": {"widths": [32, 16]},
    "Contrastive": {"dim": 16},
    "Prediction": {"widths": [32, 16], "hidden": 16, "blocks": 1, "slices": 8},
}


class Chime(Toy):
    name = "chime"
    spec = ParamSpec("chime", [Param("tone.frequency", 200, 2000, "Hz"), Param("tone.level"), Param("tone.unused")])
    seconds = 0.05


SYNTHS["chime"] = Chime


class Small(Encoder):
    """Sums of the waveform's pieces, normalised over the batch."""

    def __init__(self, dim: int = 16, width: int = 16) -> None:
        super().__init__(dim, width)
        self.filters, self.norm = nn.Conv1d(1, width, 64, 32), BatchNorm(width)
        self.out = nn.Linear(width, dim)

    def tokens(self, audio):
        return self.norm(self.filters(audio[:, None])).relu().transpose(1, 2)

    def vector(self, tokens):
        return self.out(tokens.mean(1))


def packaged(recipe):
    """The same recipe with an encoder of the package, as a file may name no other."""
    mel = {"class_path": "unsynth.frontends.mel.LogMel", "init_args": {"n_fft": 256, "hop": 128, "mels": 16}}
    ours = {"frontend": mel, "dim": 16, "widths": [16]}
    recipe["objective"]["init_args"]["audio"] = {"class_path": "unsynth.encoders.temporal.Temporal", "init_args": ours}
    return recipe


def options(criterion="VICReg", **changes):
    joint = {
        "audio": {"class_path": "training.Small"},
        "params": {
            "class_path": "unsynth.encoders.params.ParamsMlp",
            "init_args": {"dim": 12, "width": 16, "blocks": 1},
        },
        "criterion": {"class_path": f"unsynth.objectives.joint.{criterion}", "init_args": CRITERIA[criterion]},
    }
    made = {
        "objective": {"class_path": "unsynth.objectives.joint.Joint", "init_args": joint},
        "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01}},
        "synth": "chime",
        "batch": 16,
        "steps": 12,
        "warmup": 3,
        "precision": "32-true",
        "first": 9200,  # the first global batches straddle a block that is held out
    }
    return {**made, **changes}


def train(out, settings=None, **arguments):
    """A run of ``fit``, on one thread."""
    torch.set_num_threads(1)
    recipe, facts = parse({**options(), **(settings or {})})
    return fit(recipe, facts, Path(out), device="cpu", log_steps=1, **arguments)


def rows(out):
    return [json.loads(line) for line in (Path(out) / "log.jsonl").read_text().splitlines()]


def one_step(criterion, device="cpu"):
    """Loss, averaged gradients and buffers after the loss of the global batch: what must not depend on the world."""
    recipe, _ = parse(options(criterion))
    objective = build(recipe).to(device).train()
    batch = Stream(Live(Chime()), recipe.batch, rank(), world()).at(0).to(device)
    torch.manual_seed(0)
    terms = objective.loss(batch, "all")
    terms["loss"].backward()
    parameters = dict(objective.named_parameters())
    average_gradients(list(parameters.values()))
    found = {f"loss/{name}": x.detach() for name, x in terms.items()}
    found |= {f"gradient/{name}": p.grad for name, p in parameters.items() if p.grad is not None}
    return found | {f"buffer/{name}": x for name, x in objective.named_buffers()}


def main(out, device):
    """What torchrun starts: a whole training, then one step of each criterion, left in ``out`` by the first process."""
    torch.set_num_threads(1)
    recipe, facts = parse(options(steps=3, optimizer=SMOOTH))
    fit(recipe, facts, Path(out) / "run", device=device, log_steps=1)
    place = f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" else "cpu"
    found = {criterion: one_step(criterion, place) for criterion in CRITERIA}
    if rank() == 0:
        torch.save({"world": world(), "found": found}, Path(out) / "steps.pt")


if __name__ == "__main__":
    sys.modules["training"] = sys.modules["__main__"]
    main(*sys.argv[1:])
    leave()
