"""Dexed in a worker process (dexed-py is under the GPL, and is imported nowhere else)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

RATE = 44100
SECONDS = 4.0
NAME = b"UNSYNTH   "
ALL_OPERATORS_ON = b"\x3f"


class Engine:
    """Plays rows of a DX7 voice in the order of its system exclusive message, MIDI note, velocity and seconds held."""

    def __init__(self) -> None:
        import dexed  # pyright: ignore[reportMissingImports]

        self._dexed: Any = dexed

    def __call__(self, row: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        *voice, note, velocity, held = row.tolist()
        data = bytes(round(number) for number in voice) + NAME + ALL_OPERATORS_ON
        synth = self._dexed.DexedSynth(RATE)  # a fresh one takes 0.05 ms, and has no past
        synth.load_patch(self._dexed.Patch.from_sysex(data))
        return synth.render(round(note), round(velocity), held, SECONDS)
