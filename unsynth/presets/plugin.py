"""What candidates of a plugin are exported as: its own state as .vstpreset, and the note to play as .mid."""

from __future__ import annotations

from unsynth.base import Params
from unsynth.presets import midi
from unsynth.synths.plugin import PREFIX, Plugin

NOTE = 3  # pitch, velocity and length, at the end of a row


def export(synth: str, title: str, stems: list[str], params: Params) -> dict[str, bytes]:
    """For each candidate a .vstpreset, which hosts load into the plugin, and a .mid; the files have no titles."""
    plugin = Plugin(synth.removeprefix(PREFIX))
    presets = {f"{stem}.vstpreset": data for stem, data in zip(stems, plugin.presets(params), strict=True)}
    return presets | midi.beside(stems, plugin.rows(params)[:, -NOTE:].tolist())
