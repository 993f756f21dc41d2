"""Synthesizers: parameters to audio. The table of what there is."""

from __future__ import annotations

from collections.abc import Callable

from unsynth.base import Synth, UsageError


def _voice() -> Synth:
    from unsynth.synths.voice import Voice

    return Voice()


SYNTHS: dict[str, Callable[[], Synth]] = {"voice": _voice}


def synth(name: str) -> Synth:
    """The synth called ``name``; UsageError where there is none."""
    if name not in SYNTHS:
        raise UsageError(f"There is no synth {name!r}; choose one of: {', '.join(SYNTHS)}.")
    return SYNTHS[name]()
