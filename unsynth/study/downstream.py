"""What a trained joint space is good for, measured on validation sounds: retrieval, inversion by a head, and search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Literal, cast

import torch
from torch import nn

from unsynth import checkpoint
from unsynth.base import Audio, Budget, Params, Problem, Search, Solution, Synth
from unsynth.estimators.regression import Regression
from unsynth.evaluate import score
from unsynth.native import torch_on_one_thread
from unsynth.objectives.joint import Joint
from unsynth.params import ParamSpec
from unsynth.presets import Prior
from unsynth.recipe import parse, rebuild
from unsynth.search.embedding import Embedding
from unsynth.search.genetic import Genetic
from unsynth.search.library import pitch_column
from unsynth.search.objective import MatchDistance
from unsynth.sounds.live import Live
from unsynth.space import JointSpace
from unsynth.study.recall import points, ranks, recall
from unsynth.synths import synth as synth_of
from unsynth.train import MODEL, Progress, fit

Error = Literal["embedding", "params"]
Tell = Callable[[str, float, str], None]
Json = dict[str, Any]


@dataclass(frozen=True)
class Measures:
    """How a joint space is measured.

    Args:
        among: sounds whose own parameters are looked for among those of all.
        targets: sounds that are matched.
        head_steps: of the training of each regression head on the frozen encoder; 0 leaves the heads out.
        head_batch: fresh sounds of each.
        head_lr: highest learning rate of it (AdamW, cosine).
        rendered: candidates of the embedding search that are rendered.
        refined: renders of the genetic search that goes on from there; 0 leaves it out.
    """

    among: int = 10_000
    targets: int = 16
    head_steps: int = 200
    head_batch: int = 128
    head_lr: float = 1e-3
    rendered: int = 64
    refined: int = 500


def measure(folder: Path, seed: int, how: Measures, device: str, tell: Tell) -> Json:
    """Everything about the joint space in the folder of a training; heads are trained, and kept, below it.

    Sounds are those of the validation split that the training leaves out. Where nothing plays the synth, no MSS is
    measured.
    """
    facts = checkpoint.load(folder / MODEL)[1]
    synth = synth_of(facts["recipe"]["synth"])
    space = JointSpace(folder / MODEL, synth)
    joint = cast(Joint, space.joint)
    tell("retrieval", 0.0, f"{how.among:,} sounds")
    source = rebuild(facts).sounds(synth)
    sounds, patches = points(joint, source, how.among)
    found = {**recall(ranks(sounds, patches)), "among": len(patches)}
    batch = source.take("validation", 0, how.targets)
    targets = batch.audio.split(1)
    prior = source.draws["train"] if isinstance(source, Live) and source.draws else None
    found |= {"errors": errors(synth.spec, guesses(space, synth, prior, targets, seed, tell), batch.params)}
    found |= {"parameters": count(joint), "encoder_parameters": count(joint.encoder)}
    if synth.lacks():
        return {**found, "mss": {}}
    by: tuple[Error, ...] = ("embedding", "params") if how.head_steps else ()
    heads = {error: head(error, folder, seed, how, device, tell) for error in by}
    mss = {f"head_{error}": mean(one_shot(synth, target, head) for target in targets) for error, head in heads.items()}
    return {**found, "mss": mss | searched(space, synth, prior, targets, seed, how, tell)}


def count(module: nn.Module) -> int:
    """Numbers that are learned."""
    return sum(p.numel() for p in module.parameters())


def head(error: Error, folder: Path, seed: int, how: Measures, device: str, tell: Tell) -> Regression:
    """A regression head on the frozen encoder of a joint space, trained on sounds that the space has not seen."""
    facts, model = checkpoint.load(folder / MODEL)[1], str((folder / MODEL).resolve())
    own = facts["recipe"]
    arguments = {"encoder": own["objective"]["init_args"]["audio"], "error": error, "start": model, "frozen": True}
    options = {
        "objective": {
            "class_path": f"{Regression.__module__}.{Regression.__qualname__}",
            "init_args": {**arguments, "space": model if error == "embedding" else ""},
        },
        "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": how.head_lr}},
        **{name: own[name] for name in ("synth", "sounds", "precision") if name in own},
        **{"batch": how.head_batch, "steps": how.head_steps, "warmup": how.head_steps // 10, "seed": seed},
        "first": own["first"] + facts["step"] * own["batch"],
    }

    def show(at: Progress) -> None:
        tell(f"head by {error}", at.step / at.steps, at.line())

    made = fit(*parse(options), folder / f"head-{error}-{how.head_steps}", device=device, on_progress=show)
    return cast(Regression, made.cpu())


def one_shot(synth: Synth, target: Audio, head: Regression) -> float:
    """MSS of the guess of a head."""
    guess = head.sample(target, 1, torch.Generator())[0]
    return score(synth, target, guess)["MSS"]


def guesses(
    space: JointSpace, synth: Synth, prior: Prior | None, targets: Sequence[Audio], seed: int, tell: Tell
) -> Params:
    """For each target the parameters that are nearest to it in the space; nothing is rendered."""
    search, found = Embedding(space, prior=prior, seed=seed), []
    for done, target in enumerate(targets):
        tell("guessing", done / len(targets), f"{done} of {len(targets)} sounds")
        problem = Problem(synth, target, MatchDistance(target), Budget())
        with torch_on_one_thread():
            found.append(search.nearest(problem)[:1])
    return torch.cat(found)


def errors(spec: ParamSpec, guess: Params, truth: Params) -> dict[str, float]:
    """How far guessed parameters are from the true ones, ``(batch, param)`` both.

    Returns:
        ``range``: mean absolute error of numbers, as a share of their ranges; ``choices``: the share of choices that
        are right; ``semitones``: the median absolute error of the note. Only what the synth has.
    """
    guess, truth, choice = spec.snap(guess), spec.snap(truth), spec.categorical
    found = {"range": float((guess - truth)[:, ~choice].abs().mean())}
    if choice.any():
        found["choices"] = float((guess == truth)[:, choice].float().mean())
    if (note := pitch_column(spec)) is not None:
        found["semitones"] = float((spec.to_human(guess) - spec.to_human(truth))[:, note].abs().median())
    return found


def searched(
    space: JointSpace,
    synth: Synth,
    prior: Prior | None,
    targets: Sequence[Audio],
    seed: int,
    how: Measures,
    tell: Tell,
) -> dict[str, float]:
    """Mean MSS after a search in the space from random parameters, and after a search by rendering from there.

    Random are draws of ``prior``, which is that of the training sounds, or of the synth's own where None.
    """
    stages: dict[str, tuple[Search, int]] = {
        "searched": (Embedding(space, prior=prior, rendered=how.rendered, seed=seed), how.rendered),
        **({"refined": (Genetic(seed=seed), how.refined)} if how.refined else {}),
    }
    found: dict[str, list[float]] = {name: [] for name in stages}
    for done, target in enumerate(targets):
        tell("searching", done / len(targets), f"{done} of {len(targets)} sounds")
        solution = Solution.nothing(len(synth.spec))
        for name, (search, renders) in stages.items():
            problem = Problem(synth, target, MatchDistance(target), Budget(renders=renders))
            with torch_on_one_thread():
                solution = search(problem, solution)
            found[name].append(score(synth, target, solution.best(1).params)["MSS"])
    return {name: mean(values) for name, values in found.items()}
