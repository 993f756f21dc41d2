"""One note as a standard MIDI file. Source: The MIDI Association, "Standard MIDI Files 1.0" (RP-001), 1996."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

QUARTER = 1000  # ticks, each of which is a millisecond at 60 beats per minute
TEMPO = b"\x00\xff\x51\x03" + (1_000_000).to_bytes(3, "big")  # microseconds of a quarter
END = b"\x00\xff\x2f\x00"
NOTE_ON, NOTE_OFF, RELEASE = 0x90, 0x80, 0x40


def one_note(pitch: int, velocity: int, seconds: float) -> bytes:
    """A file of format 0 that plays one note on channel 1.

    Args:
        pitch: MIDI note, 0 to 127.
        velocity: 1 to 127.
        seconds: how long the key is down, to the millisecond.
    """
    held = _variable(round(seconds * QUARTER))
    track = TEMPO + bytes([0, NOTE_ON, pitch, velocity]) + held + bytes([NOTE_OFF, pitch, RELEASE]) + END
    return struct.pack(">4sIHHH4sI", b"MThd", 6, 0, 1, QUARTER, b"MTrk", len(track)) + track


def beside(stems: Sequence[str], notes: Iterable[Sequence[float]]) -> dict[str, bytes]:
    """For each candidate's file name a .mid with its note: pitch, velocity and seconds held."""
    return {f"{s}.mid": one_note(round(p), round(v), t) for s, (p, v, t) in zip(stems, notes, strict=True)}


def _variable(number: int) -> bytes:
    """Seven bits a byte, high bits first; all but the last byte have their top bit set."""
    data = bytes([number & 0x7F])
    while number := number >> 7:
        data = bytes([number & 0x7F | 0x80]) + data
    return data
