"""The note that a preset is for, as its comment tells it: neither Surge XT nor Vital has a place of its own for it."""

from __future__ import annotations

import re

PLAYED = re.compile(r"Play MIDI note (\d{1,3}) at velocity (\d{1,3}) and hold it for (\d{1,2}\.\d{3}) s\.")
LONGEST = 1000  # characters of a comment in which the note is looked for
USUAL = 60.0, 100.0, 1.0  # note, velocity, and seconds held, of presets that name none


def comment(note: float, velocity: float, hold: float) -> str:
    """The note to play, in a sentence."""
    return f"Play MIDI note {note:.0f} at velocity {velocity:.0f} and hold it for {hold:.3f} s."


def note_in(text: str) -> list[float]:
    """Note, velocity and seconds held, as :func:`comment` said them; C4, held for a second, where it says nothing."""
    told = PLAYED.search(text[:LONGEST])
    return [float(number) for number in (told.groups() if told else USUAL)]
