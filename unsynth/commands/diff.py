"""The command that tells two patches apart. Imports are made when it runs."""

from __future__ import annotations

import json as jsonlib
import math
from pathlib import Path
from typing import Any

from unsynth.errors import UsageError

SHOWN = 12  # parameters that are printed


def compare_patches(
    one: str | None = None,
    other: str | None = None,
    *,
    voice: int | None = None,
    other_voice: int | None = None,
    json: bool = False,
) -> None:
    """Tell in words how a patch sounds beside another, and which parameters make the difference.

    Takes patch.json files and presets (.syx, .dx7, .fxp, .vital), of one synth or of two. A preset plays the note of
    the patch.json that it is compared with. A parameter counts by how much the sound of the first changes when it alone
    is set as in the other.

    Args:
        one: a patch.json or a preset.
        other: what to compare it with.
        voice: which voice of the first, where it is a bank, from 1.
        other_voice: which voice of the other.
        json: print one JSON object instead, with every parameter that differs.
    """
    from unsynth.diff import at_note_of, difference

    if one is None or other is None:
        raise UsageError("Name two patches to compare, such as out/bell/patch.json and a .syx file.")
    first, second = _preset(Path(one), voice, "--voice"), _preset(Path(other), other_voice, "--other-voice")
    if _is_patch(one) and not _is_patch(other):
        second = at_note_of(second, first)
    if _is_patch(other) and not _is_patch(one):
        first = at_note_of(first, second)
    found = difference(first, second)
    print(jsonlib.dumps(_json(found, first, second), allow_nan=False) if json else _text(found, first, second))


def _is_patch(path: str) -> bool:
    return Path(path).suffix.lower() == ".json"


def _preset(path: Path, voice: int | None, option: str) -> Any:
    """The preset in a file, or one of those in a bank."""
    from unsynth.presets.saved import read

    presets = read(path)
    if voice is None and len(presets) > 1:
        raise UsageError(f"{path} has {len(presets)} voices; say which one with {option} 1 to {len(presets)}.")
    number = 1 if voice is None else voice
    if not 1 <= number <= len(presets):
        raise UsageError(f"{path} has no voice {number}; choose one from 1 to {len(presets)}.")
    return presets[number - 1]


def _text(found: Any, one: Any, other: Any) -> str:
    said = "; ".join(f"{words} ({numbers})" for words, numbers in found.words)
    sounds = said or "alike in brightness, length, attack, noise and pitch"
    head = (
        f"{other.name} ({other.synth}) beside {one.name} ({one.synth}), equally loud: {sounds}. MSS {found.mss:.2f} dB."
    )
    if found.moves is None:
        return f"{head}\nTheir synths are not the same, so their parameters cannot be compared."
    shown = found.heard[:SHOWN]
    lines = [f"  {move.name:32}{move.one:>18} → {move.other:18}{move.decibels:6.2f} dB" for move in shown]
    return "\n".join([head, *lines, _rest(len(found.moves), len(found.heard), len(shown))])


def _rest(moved: int, heard: int, shown: int) -> str:
    """How many parameters differ besides those that are shown."""
    if not moved:
        return "Every parameter is the same."
    alone = "is" if heard == 1 else "are"
    return f"{moved} parameters differ; {heard} {alone} heard alone{f', the first {shown} above' * (shown < heard)}."


def _json(found: Any, one: Any, other: Any) -> dict[str, Any]:
    return {
        **{side: {"synth": it.synth, "name": it.name} for side, it in (("one", one), ("other", other))},
        "mss": found.mss,
        "words": [{"words": words, "measure": numbers} for words, numbers in found.words],
        "parameters": found.moves and [_move(move) for move in found.moves],
    }


def _move(move: Any) -> dict[str, Any]:
    heard = None if math.isnan(move.decibels) else move.decibels
    return {"name": move.name, "one": move.one, "other": move.other, "decibels": heard}
