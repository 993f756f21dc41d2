"""Vital in a worker process (vita is under the GPL, and is imported nowhere else). Plays the files that users get."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from unsynth.synths.vital_patch import NOTE, RATE, SECONDS, build

Row = npt.NDArray[np.float32]
MIDI = 127


class Engine:
    """Plays rows of human values in the order of ``CONTROLS`` and ``NOTE``."""

    def __init__(self) -> None:
        import vita  # pyright: ignore[reportMissingImports]

        self._vita: Any = vita

    def __call__(self, row: Row) -> Row:
        return self.play(build(row.tolist()), *row[-len(NOTE) :].tolist())

    def play(self, text: str, note: float, velocity: float, hold: float) -> Row:
        """The sound of a .vital file, mono.

        Raises:
            ValueError: Vital does not read it.
        """
        synth = self._vita.Synth()  # an old one remembers its delays and reverb
        synth.set_sample_rate(RATE)
        if not synth.load_json(text):
            raise ValueError("Vital does not read this patch")
        return synth.render(round(note), velocity / MIDI, hold, SECONDS).mean(0)[: round(RATE * SECONDS)]
