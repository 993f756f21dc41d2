"""What candidates of a plugin are exported as: its own state as .vstpreset, and the note to play as .mid."""

from __future__ import annotations

from unsynth.base import Params
from unsynth.presets import midi
from unsynth.synths.plugin import PREFIX, Plugin

NOTE = 3  # pitch, velocity and length, at the end of a row


def export(synth: str, title: str, stems: list[str], params: Params) -> dict[str, bytes]:
    """For each candidate a .vstpreset, which hosts load into the plugin, and a .mid; the files have no titles."""
    plugin = Plugin(synth.removeprefix(PREFIX))
    files = zip(stems, plugin.presets(params), plugin.rows(params)[:, -NOTE:].tolist(), strict=True)
    notes = [(stem, preset, midi.one_note(round(p), round(v), t)) for stem, preset, (p, v, t) in files]
    return {
        name: data
        for stem, preset, note in notes
        for name, data in ((f"{stem}.vstpreset", preset), (f"{stem}.mid", note))
    }
