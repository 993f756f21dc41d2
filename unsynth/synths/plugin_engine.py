"""A VST3 instrument in a worker process, through pedalboard (under the GPL, imported nowhere else but for Surge XT).

Plugins crash, hang and print: nothing of this runs in the user's process. Loads no torch.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Row = npt.NDArray[np.float32]
Json = dict[str, Any]

RATE = 44100
PLAYED = 3  # MIDI note, velocity and seconds held, at the end of a row
FLUSH = 2.0  # s of silence between two sounds of a plugin whose reset leaves something
ON, OFF = 0x90, 0x80
RESETS = ("reset", "flush", "fresh")
"""How the past of a plugin is forgotten, cheapest first: its own reset, silence after it, or another instance."""


class Host:
    """A plugin that plays notes with some of its parameters set.

    Args:
        path: of the .vst3.
        seconds: length of every sound.
        reset: one of ``RESETS``.
    """

    def __init__(self, path: str, seconds: float, reset: str = "reset") -> None:
        self.path, self.seconds, self.how = path, seconds, reset
        self.plugin = load(path)
        self.channels = self._channels()

    def knobs(self) -> list[Any]:
        return list(self.plugin._parameters)

    def play(self, values: dict[int, float], note: float, velocity: float, hold: float) -> Row:
        """Mono sound of one note, with the parameters of these numbers at these raw values (0 to 1)."""
        self.forget()
        self.turn(values)
        keys = [([ON, round(note), round(velocity)], 0.0), ([OFF, round(note), 0], hold)]
        sound = self._process(keys, self.seconds)
        return sound.mean(0)[: round(RATE * self.seconds)]

    def turn(self, values: dict[int, float]) -> None:
        knobs = self.knobs()
        for number, value in values.items():
            knobs[number].raw_value = value

    def state(self, values: dict[int, float]) -> bytes:
        """The .vstpreset of these values."""
        self.forget()
        self.turn(values)
        self._process([], 0.1)  # a plugin hears of its values when it plays
        return self.plugin.preset_data

    def forget(self) -> None:
        if self.how == "fresh":
            self.plugin = load(self.path)
        elif self.how == "flush":
            self.plugin.reset()
            self._process([], FLUSH)

    def _process(self, keys: list[Any], seconds: float) -> npt.NDArray[np.float32]:
        return self.plugin.process(keys, duration=seconds, sample_rate=RATE, num_channels=self.channels, reset=True)

    def _channels(self) -> int:
        for self.channels in (2, 1):
            try:
                self._process([], 0.01)
                return self.channels
            except ValueError as error:
                told = error
        raise told


class Engine:
    """Plays rows of raw values in the order of a profile, MIDI note, velocity and seconds held.

    Args:
        profile: path of what :mod:`unsynth.synths.plugin_profile` wrote.
    """

    def __init__(self, profile: str) -> None:
        told = json.loads(Path(profile).read_text(encoding="utf-8"))
        self.host = Host(told["path"], told["seconds"], told["reset"])
        self.numbers = [param["index"] for param in told["params"]]
        names = {knob.index: knob.name for knob in self.host.knobs()}
        for param in told["params"]:
            if names.get(param["index"]) != param["host_name"]:
                raise ValueError(f"the plugin no longer has {param['host_name']}: profile it again")

    def __call__(self, row: Row) -> Row:
        return self.host.play(self.values(row), *row[-PLAYED:].tolist())

    def values(self, row: Row) -> dict[int, float]:
        return dict(zip(self.numbers, row[:-PLAYED].tolist(), strict=True))


def load(path: str) -> Any:
    """The plugin, without the minutes that pedalboard takes to try every value of 2,080 MIDI controllers."""
    from pedalboard import _pedalboard, load_plugin  # pyright: ignore

    _pedalboard.PARAMETER_NAME_REGEXES_TO_IGNORE = {re.compile("")}  # parameters are set by number here
    return load_plugin(path)
