"""Recipes: complete training runs as YAML. Every option is checked against the signature it goes to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace

from unsynth import __version__
from unsynth.base import NotFoundError, PatchError, UsageError
from unsynth.synths import synth as synth_of
from unsynth.train import Recipe

OWN = ("unsynth.", "torch.optim.")


def read(path: Path, settings: Sequence[str] = ()) -> tuple[Recipe, dict[str, Any]]:
    """The recipe in a file, changed by settings like ``steps=10``, and the facts that a checkpoint keeps of it.

    Raises:
        NotFoundError: there is no such file.
        UsageError: an option is misspelt or has a value that it cannot have.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no recipe at {path}; the folder recipes/ has some.")
    try:
        options = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not YAML; look at the recipes in recipes/ for how one is written.") from error
    if not isinstance(options, dict):
        raise UsageError(f"{path} is not a recipe; look at the recipes in recipes/ for how one is written.")
    return parse(options, settings)


def parse(options: dict[str, Any], settings: Sequence[str] = ()) -> tuple[Recipe, dict[str, Any]]:
    """As :func:`read`, from the options themselves."""
    parser = _parser()
    try:
        chosen = parser.parse_object(options)
        chosen = parser.parse_args([f"--{s}" for s in settings], namespace=chosen)
        plain = yaml.safe_load(parser.dump(chosen, skip_unset=False))
        recipe = parser.instantiate(chosen)
    except Exception as error:
        if type(error).__name__ not in ("ArgumentError", "TypeError", "ValueError", "KeyError"):
            raise
        raise UsageError(f"The recipe cannot be used: {' '.join(str(error).split())[:300]}") from error
    instrument = synth_of(recipe.synth)
    return Recipe(**vars(recipe)), {"recipe": plain, "spec": instrument.spec.hash, "unsynth": __version__}


def rebuild(facts: dict[str, Any]) -> Recipe:
    """The recipe of a checkpoint. Only classes of unsynth and torch's optimisers are ever made from a file.

    Raises:
        PatchError: the checkpoint is of another version of the synth, or names a class of somebody else's.
    """
    foreign = [path for path in _class_paths(facts["recipe"]) if not path.startswith(OWN)]
    if foreign:
        raise PatchError(f"The checkpoint asks for {foreign[0]}, which is not part of unsynth; it is not loaded.")
    recipe, now = parse(facts["recipe"])
    if now["spec"] != facts["spec"]:
        raise PatchError(f"The checkpoint is of another version of the synth {recipe.synth}; train it again.")
    return recipe


def _parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_class_arguments(Recipe, as_group=False)
    return parser


def _class_paths(options: Any) -> list[str]:
    if isinstance(options, dict):
        own = [options["class_path"]] if isinstance(options.get("class_path"), str) else []
        return own + [path for value in options.values() for path in _class_paths(value)]
    return [path for value in options for path in _class_paths(value)] if isinstance(options, list) else []
