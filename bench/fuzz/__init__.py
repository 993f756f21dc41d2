"""Hostile input for everything that reads what a user or a stranger gives: `python -m bench.fuzz`.

A target makes an input from a seed and a number, and gives it to what is tested. Inputs are real files that were
damaged with their structure in mind (bench/fuzz/damage.py), so that they get past the first check.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from bench.fuzz.trial import Target

TARGETS = {  # name: the module that has it
    "audio": "sounds",
    "patch.json": "presets",
    "syx": "presets",
    "fxp": "presets",
    "vital": "presets",
    "profile": "presets",
    "yaml": "recipes",
    "recipe": "recipes",
    "checkpoint": "weights",
    "model": "weights",
    "index": "weights",
    "presets index": "weights",
    "fit": "weights",
    "manifest": "shards",
    "shard": "shards",
    "surge shard": "shards",
    "results": "results",
    "ratings": "results",
    "record": "results",
    "web": "web",
}


def target(name: str, folder: Path) -> Target:
    """The target of a name, which may use ``folder`` and nothing else."""
    made: dict[str, Callable[[Path], Target]] = import_module(f"bench.fuzz.{TARGETS[name]}").TARGETS
    return made[name](folder)
