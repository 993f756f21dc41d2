"""What a recipe that comes in a file may hold and name: few plain values, and nothing that would run foreign code."""

from __future__ import annotations

import re
from importlib import import_module
from itertools import islice
from typing import Any

from torch import nn
from torch.optim import Optimizer

from unsynth.sounds.source import Source
from unsynth.synths.plugin import is_known

OWN = ("unsynth.", "torch.optim.")
PLAIN = re.compile(r"[\w+:/-]*|[-+]?[\d.]+(e[-+]?\d+)?")  # texts that name no class: with neither dots nor YAML in them
MOST = 4096  # values in one
DEEPEST = 32  # lists and objects within each other
PATHS = (
    "folder",
    "start",
    "space",
    "base",
    "prior",
)  # options that are plain text, and never imported, whatever they look like
LONGEST = 1000  # characters of a text


def is_plain(options: Any) -> bool:
    """Whether a file holds few and plain values, however often it repeats its parts (YAML's aliases cost nothing)."""
    left, count = [(options, 0)], 0
    while left and count < MOST:
        (value, depth), count = left.pop(), count + 1
        inside = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
        if depth > DEEPEST or not (isinstance(value, dict | list) or _is_value(value)):
            return False
        left.extend((one, depth + 1) for one in islice(inside, MOST))
    return not left and all(isinstance(key, str) for key in options)


def _is_value(value: Any) -> bool:
    """Whether ``value`` is what an option can be, or is called."""
    if isinstance(value, str):
        return len(value) <= LONGEST and value.isprintable()
    return value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 63)


def foreign_of(options: dict[str, Any]) -> str | None:
    """What a file names that is not ours to import, if anything; a plugin that was never used here is not either."""
    synth = str(options.get("synth", ""))
    if synth.startswith("plugin:") and not is_known(synth.removeprefix("plugin:")):
        return synth
    return next((name for name in names(options) if not _is_own(name)), None)


def names(options: Any) -> list[str]:
    """Everything in the options that could be the import path of something."""
    if isinstance(options, dict):
        named = [str(options["class_path"])] if "class_path" in options else []
        inside = (value for key, value in options.items() if str(key).rpartition(".")[2] not in PATHS)
        return named + [name for value in inside for name in names(value)]
    if isinstance(options, list):
        return [name for value in options for name in names(value)]
    return [options] if isinstance(options, str) and not PLAIN.fullmatch(options) else []


def _is_own(name: str) -> bool:
    """Whether ``name`` is a class that unsynth, or torch as an optimiser, has defined."""
    module, _, attribute = name.rpartition(".")
    if not f"{module}.".startswith(OWN) or "__" in name:
        return False
    try:
        found = getattr(import_module(module), attribute, None)
    except ImportError:
        return False
    return (
        isinstance(found, type)
        and issubclass(found, nn.Module | Optimizer | Source)
        and found.__module__.startswith(OWN)
    )
