"""Synthesizers: parameters to audio. The table of what there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from unsynth.errors import ContractError, UnsynthError, UsageError, one_line

if TYPE_CHECKING:  # worker processes import this package, and do without torch
    from unsynth.base import Synth


def _voice() -> Synth:
    from unsynth.synths.voice import Voice

    return Voice()


def _dexed() -> Synth:
    from unsynth.synths.dexed import Dexed

    return Dexed()


def _surge() -> Synth:
    from unsynth.synths.surge import Surge

    return Surge()


def _drum() -> Synth:
    from unsynth.synths.drum import Drum

    return Drum()


def _vital() -> Synth:
    from unsynth.synths.vital import Vital

    return Vital()


SYNTHS: dict[str, Callable[[], Synth]] = {
    "voice": _voice,
    "dexed": _dexed,
    "surge": _surge,
    "vital": _vital,
    "drum": _drum,
}


def synth(name: str) -> Synth:
    """The synth called ``name``, or the plugin at ``plugin:PATH``.

    Raises:
        UsageError: there is none.
        ContractError: its own code fails.
    """
    kind, _, path = name.partition(":")
    if kind == "plugin":
        from unsynth.synths.plugin import Plugin

        return Plugin(path)
    if name not in SYNTHS:
        raise UsageError(f"There is no synth {name[:100]!a}; choose one of: {', '.join(SYNTHS)}, plugin:PATH.vst3.")
    try:
        return SYNTHS[name]()
    except UnsynthError:
        raise
    except (Exception, SystemExit) as error:
        why = f"The synth {name} cannot be made: {one_line(error).replace('; ', ', ')}"
        raise ContractError(f"{why}; mend it, or take it out of SYNTHS.") from error


def usable() -> tuple[dict[str, Synth], dict[str, UnsynthError]]:
    """The synths that can be made, and why the others cannot, by name."""
    made, failed = dict[str, "Synth"](), dict[str, UnsynthError]()
    for name in SYNTHS:
        try:
            made[name] = synth(name)
        except UnsynthError as error:
            failed[name] = error
    return made, failed


def known(name: str) -> Synth:
    """The synth that a file names. A plugin is a program: only one that this user has profiled or played is loaded.

    Raises:
        UsageError: there is none, or it is a plugin that was never used here.
    """
    if name.startswith("plugin:"):
        from unsynth.synths.plugin import is_known

        if not is_known(name.removeprefix("plugin:")):
            raise UsageError(
                f"The plugin {name[:200]!a} was never used here, so no file may load it; play it once with --synth."
            )
    return synth(name)
