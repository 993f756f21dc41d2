"""unsynth: give it a sound, get back the synthesizer patch that makes it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unsynth.match import Match, match, render
    from unsynth.synths import SYNTHS, synth

__version__ = "0.1.0"

_HOME = {"SYNTHS": "synths", "synth": "synths", "match": "match", "render": "match", "Match": "match"}
__all__ = ["SYNTHS", "Match", "match", "render", "synth"]


def __getattr__(name: str) -> Any:
    """Import on first use: `import unsynth` costs nothing, torch is loaded when something needs it."""
    if name not in _HOME:
        raise AttributeError(f"module 'unsynth' has no attribute {name!r}")
    return getattr(import_module(f"unsynth.{_HOME[name]}"), name)
