"""Surge XT in a worker process: surgepy, or the VST3 that the user has, through pedalboard (both are under the GPL, and
are imported nowhere else). Both load the very .fxp that is written for the user, and play its note.
"""

from __future__ import annotations

import os
import struct
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from unsynth.errors import UsageError
from unsynth.synths import plugin_engine
from unsynth.synths.surge_patch import HEADER, PLAYED, build, to_preset

RATE = 44100
SECONDS = 3.0
SAMPLES = round(RATE * SECONDS)
CHANNEL = 0
SETTLE = 0.1  # s that the synth runs before the first note after a patch is loaded; without, the VST3 stays silent
PLUGIN = "UNSYNTH_SURGE_VST3"  # environment variable: where the user's Surge XT.vst3 is
FOLDERS = (  # of VST3 plugins. Source: Steinberg, VST 3 Developer Portal, "Plug-in Locations"
    "~/.vst3",
    "/usr/lib/vst3",
    "/usr/local/lib/vst3",
    "~/Library/Audio/Plug-Ins/VST3",
    "/Library/Audio/Plug-Ins/VST3",
    "C:/Program Files/Common Files/VST3",
)
NAMES = ("Surge XT.vst3", "Surge Synth Team/Surge XT.vst3")
PRESET_HEADER = struct.Struct("<4si32sq")  # VST3, 1, class of the plugin, where the list of chunks begins
PRESET_ENTRY = struct.Struct("<4sqq")  # id, offset, size
INSTALL = (
    "build surgepy with `git clone --recurse-submodules https://github.com/surge-synthesizer/surge` and "
    "`pip install ./surge/src/surge-python`; or install Surge XT from https://surge-synthesizer.github.io and run "
    f"`pip install 'unsynth[surge]'` (where its VST3 is in an unusual folder, set {PLUGIN} to its path)"
)

Row = npt.NDArray[np.float32]


def engine() -> SurgePy | Plugin:
    """The best engine that there is; UsageError where there is none."""
    found = available()
    return SurgePy() if found == "surgepy" else Plugin(found)


def available() -> str:
    """``surgepy``, or the path of the VST3. UsageError where there is neither, or nothing to play the VST3 with."""
    if find_spec("surgepy"):
        return "surgepy"
    plugin = _plugin()
    if not plugin:
        raise UsageError(f"The synth surge has no engine here; {INSTALL}.")
    if not find_spec("pedalboard"):
        raise UsageError(f"The synth surge needs pedalboard to play {plugin}; run pip install 'unsynth[surge]'.")
    return str(plugin)


def _plugin() -> Path | None:
    if named := os.environ.get(PLUGIN):
        if not Path(named).exists():
            raise UsageError(f"{PLUGIN} names {named}, which is not there; set it to the path of Surge XT.vst3.")
        return Path(named)
    places = (Path(folder).expanduser() / name for folder in FOLDERS for name in NAMES)
    return next((place for place in places if place.exists()), None)


class SurgePy:
    """Plays rows of raw values with surgepy: a new synth for each, as an old one remembers."""

    def __init__(self) -> None:
        import surgepy  # pyright: ignore[reportMissingImports]

        self._surgepy: Any = surgepy
        self._folder = TemporaryDirectory()

    def __call__(self, row: Row) -> Row:
        note, velocity, hold = row[-PLAYED:].tolist()
        synth = self._surgepy.createSurge(float(RATE))
        preset = Path(self._folder.name, "patch.fxp")
        preset.write_bytes(build(to_preset(row.tolist())))
        synth.loadPatch(str(preset))
        block = synth.getBlockSize()
        blocks, held = -(-SAMPLES // block), round(hold * RATE / block)
        synth.processMultiBlock(synth.createMultiBlock(round(SETTLE * RATE / block)))
        sound = synth.createMultiBlock(blocks)
        synth.playNote(CHANNEL, round(note), round(velocity), 0)
        synth.processMultiBlock(sound, 0, held)
        synth.releaseNote(CHANNEL, round(note), 0)
        synth.processMultiBlock(sound, held, blocks - held)
        return sound.mean(0)[:SAMPLES]


class Plugin:
    """Plays rows of raw values with the VST3 of Surge XT.

    Args:
        path: of the plugin.
    """

    def __init__(self, path: str) -> None:
        self._plugin: Any = plugin_engine.load(path)
        self._class = PRESET_HEADER.unpack_from(self._plugin.preset_data)[2]

    def __call__(self, row: Row) -> Row:
        note, velocity, hold = row[-PLAYED:].tolist()
        chunk = build(to_preset(row.tolist()))[HEADER.size :]
        # not by `=`: for that, pedalboard looks first through the thousands of parameters for one of this name
        object.__setattr__(self._plugin, "preset_data", vst_preset(self._class, chunk))
        self._plugin([], duration=SETTLE, sample_rate=RATE)
        keys = [([0x90, round(note), round(velocity)], 0.0), ([0x80, round(note), 0], hold)]
        return self._plugin(keys, duration=SECONDS, sample_rate=RATE, reset=False).mean(0)[:SAMPLES]


def vst_preset(plugin: bytes, state: bytes) -> bytes:
    """A .vstpreset with the component state of a plugin.

    Source: Steinberg, VST 3 Developer Portal, "Preset Format".

    Args:
        plugin: its class id, 32 hex digits in ASCII.
        state: what it saves of itself; of Surge XT the chunk of an .fxp.
    """
    end = PRESET_HEADER.size + len(state)
    chunks = b"List" + struct.pack("<i", 1) + PRESET_ENTRY.pack(b"Comp", PRESET_HEADER.size, len(state))
    return PRESET_HEADER.pack(b"VST3", 1, plugin, end) + state + chunks
