"""Recipes: complete training runs as YAML. Every option is checked against the signature it goes to."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from unsynth import __version__, checkpoint
from unsynth.base import NotFoundError, Objective, PatchError, Synth, UsageError
from unsynth.foreign import foreign_of, is_plain, names
from unsynth.optimizers import MakeOptimizer, Schedule
from unsynth.params import ParamSpec
from unsynth.sounds.live import Live
from unsynth.sounds.source import Source
from unsynth.synths import synth as synth_of

LARGEST = 1 << 16  # bytes of a recipe
MADE = ("objective", "optimizer", "sounds")  # options that are made from something, each time anew
SPARE = 1 << 26  # parameters that a model may have beyond twice those in its file: of a frozen one that it loads
LONGEST = 300  # characters of a message, or of a text in a recipe
LIMITS = dict.fromkeys(("warmup", "weight_decay", "seed", "first", "replay", "again"), (0, math.inf))
LIMITS |= dict.fromkeys(("cooldown", "augment", "untouched"), (0.0, 1.0))
LIMITS |= {"batch": (1, math.inf), "steps": (1, math.inf), "ema": (0.0, 0.999999), "clip": (1e-9, math.inf)}
COMPLAINTS = (ArithmeticError, AttributeError, ImportError, LookupError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training makes.

    Args:
        objective: makes the objective for the parameters of the synth.
        optimizer: makes the optimiser of each player from its parameters.
        synth: whose sounds are learned.
        sounds: where they come from, of :mod:`unsynth.sounds`; each is rendered when it is needed where not given.
        batch: sounds of a step, of all processes together.
        steps: how many steps.
        warmup: steps until the learning rate is at its highest.
        schedule: how the learning rate goes on from there: cosine, stable (constant, then linear to zero) or constant.
        cooldown: the share of the steps after the warm-up in which a stable schedule goes to zero.
        weight_decay: of matrices and filters; biases and norms have none.
        clip: largest norm of a player's gradient.
        ema: decay of the averaged weights, which are what is evaluated and kept.
        precision: as Lightning Fabric names them; bf16-mixed is 32-true on a device that has no bfloat16.
        initialise: xavier draws all linear maps and filters anew (Glorot and Bengio, 2010); torch leaves them.
        augment: how likely each effect of :class:`unsynth.sounds.augment.Augment` changes a sound; 0 leaves all alone.
        untouched: share of the batch that no effect touches.
        compiled: whether the loss goes through torch.compile.
        start: path or name of a model of the same objective whose weights the training begins with.
        seed: of the weights and of whatever a step draws.
        first: training sounds to leave out at the beginning.
        replay: batches that are kept as a frozen encoder heard them (:class:`unsynth.sounds.replay.Replay`); 0 is none.
        again: turns on kept sounds, a batch of them each, after every turn on fresh ones.
    """

    objective: Callable[[ParamSpec], Objective]
    optimizer: MakeOptimizer
    synth: str = "voice"
    sounds: Callable[[Synth], Source] = Live
    batch: int = 256
    steps: int = 1000
    warmup: int = 200
    schedule: Schedule = "cosine"
    cooldown: float = 0.2
    weight_decay: float = 0.05
    clip: float = 1.0
    ema: float = 0.999
    precision: Literal["32-true", "bf16-mixed"] = "bf16-mixed"
    initialise: Literal["torch", "xavier"] = "torch"
    augment: float = 0.0
    untouched: float = 0.5
    compiled: bool = False
    start: str = ""
    seed: int = 0
    first: int = 0
    replay: int = 0
    again: int = 3

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            if not low <= getattr(self, name) <= high:
                most = "or more" if high == math.inf else f"to {high:g}"
                raise UsageError(f"A recipe's {name} cannot be {getattr(self, name)}; give {low:g} {most}.")


def read(path: Path, settings: Sequence[str] = ()) -> tuple[Recipe, dict[str, Any]]:
    """The recipe in a file, changed by settings like ``steps=10``, and the facts that a checkpoint keeps of it.

    Raises:
        NotFoundError: there is no such file.
        UsageError: an option is misspelt or has a value that it cannot have.
    """
    return parse(load(path), settings)


def load(path: Path) -> dict[str, Any]:
    """The options in a YAML file, not yet checked.

    Raises:
        NotFoundError: there is no such file.
        UsageError: it holds no options.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no recipe at {path}; the folder recipes/ has some.")
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
        options = yaml.safe_load(text) if len(text) <= LARGEST else None
    except (yaml.YAMLError, ValueError, ArithmeticError, RecursionError, OSError) as error:
        raise UsageError(f"{path} is not YAML; look at the recipes in recipes/ for how one is written.") from error
    if not isinstance(options, dict) or not is_plain(options):
        raise UsageError(f"{path} is not a recipe; look at the recipes in recipes/ for how one is written.")
    if foreign := foreign_of(options):
        raise UsageError(
            f"{path} asks for {foreign[:60]!a}, which is not part of unsynth; name a class of your own with --set."
        )
    return options


def parse(options: dict[str, Any], settings: Sequence[str] = ()) -> tuple[Recipe, dict[str, Any]]:
    """As :func:`read`, from the options themselves.

    The objective is made anew, with new weights, each time the recipe's ``objective`` is called.
    """
    recipe, plain = _parsed(options, settings)
    return recipe, {"recipe": plain(), "spec": synth_of(recipe.synth).spec.hash, "unsynth": __version__}


def _parsed(options: dict[str, Any], settings: Sequence[str]) -> tuple[Recipe, Callable[[], Any]]:
    """The recipe, and what gives its options with every default written out."""
    parser = _parser()
    with explained():
        chosen = _chosen(parser, options, settings)

    def plain() -> Any:
        with explained():
            return yaml.safe_load(parser.dump(chosen, skip_unset=False))

    def made(part: str) -> Callable[[Any], Any]:
        def make(argument: Any) -> Any:
            with explained():
                return parser.instantiate(Namespace({part: chosen[part]}))[part](argument)

        return make

    return Recipe(**{**vars(chosen), **{part: made(part) for part in MADE}}), plain


def rebuild(facts: dict[str, Any]) -> Recipe:
    """The recipe of a checkpoint. Only classes of unsynth and torch's optimisers are ever made from a file.

    Raises:
        PatchError: the checkpoint is of another version of the synth, or names something that is not one of those.
    """
    options, spec = facts.get("recipe"), facts.get("spec")
    if not isinstance(options, dict) or not is_plain(options):
        raise PatchError("The checkpoint has no recipe; train it again.")
    if foreign := foreign_of(options):
        raise PatchError(f"The checkpoint asks for {foreign[:60]!a}, which is not part of unsynth; it is not loaded.")
    try:
        recipe, _ = _parsed(options, ())
        now = synth_of(recipe.synth).spec.hash
    except UsageError as error:
        raise PatchError(f"The checkpoint is of another version of unsynth. {error}") from error
    if now != spec:
        raise PatchError(f"The checkpoint is of another version of the synth {recipe.synth}; train it again.")
    return recipe


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Torch's global generators start from ``numbers`` inside and are as they were afterwards."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        seed = 0
        for number in numbers:
            seed = (seed * 1_000_003 + number) % (1 << 63)
        torch.manual_seed(seed)
        yield


def glorot(module: nn.Module) -> None:
    """Xavier initialisation of a linear map or filter, biases zero; one that is zero on purpose stays.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    https://proceedings.mlr.press/v9/glorot10a.html, eq. 16.
    """
    if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d) and module.weight.count_nonzero():
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def build(recipe: Recipe) -> Objective:
    """The objective with fresh weights, the same ones for the same seed."""
    with seeded(recipe.seed):
        objective = recipe.objective(synth_of(recipe.synth).spec)
        return objective.apply(glorot) if recipe.initialise == "xavier" else objective


def restored(path: Path, synth: Synth) -> Objective:
    """What a training made: the model of a checkpoint with its averaged weights in float32, frozen and in ``eval()``.

    Raises:
        NotFoundError: there is no checkpoint.
        PatchError: it is damaged, or of another synth or version of it.
    """
    tensors, facts = checkpoint.load(path)
    if facts.get("spec") != synth.spec.hash:
        raise PatchError(
            f"{path} is of another synth or version of it; train one with `unsynth pretrain`, or delete it."
        )
    with _no_larger(2 * sum(x.numel() for x in tensors.values()) + SPARE):
        model = build(rebuild(facts)).eval().requires_grad_(False)
    try:
        model.load_state_dict({name: x.float() for name, x in tensors.items()})
    except RuntimeError as error:
        raise PatchError(f"The weights in {path} do not fit its recipe; train it again.") from error
    return model


@contextmanager
def _no_larger(most: int) -> Iterator[None]:
    """PatchError where more than so many numbers become parameters inside: before their memory is touched."""
    left = most

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal left
        left -= 0 if parameter is None else parameter.numel()
        if left < 0:
            raise PatchError("The checkpoint's recipe makes a larger model than it has weights for; it is not loaded.")

    counting = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        counting.remove()


def same(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Whether the facts of a state are of the recipe of ``ours``; what is new since then has its default in both."""
    options = theirs.get("recipe")
    if not isinstance(options, dict) or not is_plain(options):
        return False
    if not set(names(options)) <= set(names(ours["recipe"])):
        return False  # before anything that only the file names is imported
    try:
        now = parse(options)[1]
    except UsageError:
        return False
    return now["recipe"] == ours["recipe"] and theirs.get("spec") == ours["spec"]


@contextmanager
def explained() -> Iterator[None]:
    """What jsonargparse and constructors complain of, as one sentence that ends with the option in question."""
    try:
        yield
    except (*COMPLAINTS, ArgumentError) as error:
        what = _line(str(error))
        misspelt = re.findall(r"(?:Option|Key) '[^']+' is not \w+|unrecognized arguments: \S+", what)
        said = (misspelt[-1] if misspelt else what[max(0, what.rfind("Parser key")) :])[:LONGEST]
        raise UsageError(
            f"The recipe cannot be used: {said.rstrip('.')}; see recipes/ and docs/training.md."
        ) from error


def _line(text: str) -> str:
    """``text`` as one line without control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))


def _chosen(parser: ArgumentParser, options: dict[str, Any], settings: Sequence[str]) -> Namespace:
    wrong = [setting for setting in settings if "=" not in setting]
    if wrong:
        raise UsageError(f"{_line(wrong[0])[:LONGEST]} is not a setting; write it like steps=1000.")
    # without defaults at first: those of a class are not options of another one that a setting puts in its place
    chosen = parser.parse_object(options, defaults=False)
    chosen = parser.parse_args([f"--{setting}" for setting in settings], namespace=chosen)
    if empty := [name for name, value in vars(chosen).items() if value is None]:
        raise UsageError(f"The recipe leaves {empty[0]} empty; give it a value, or leave it out for the default.")
    return chosen


def _parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False, add_help=False)
    parser.add_class_arguments(Recipe, as_group=False)
    return parser
