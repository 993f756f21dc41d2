"""Engines for the tests of the pool: well behaved, and not. Loaded in worker processes."""

import ctypes
import os
import sys
import time

import numpy as np

SAMPLES = 500


class Sine:
    """A sine of frequency row[0], and 2 ms of work."""

    def __call__(self, row):
        time.sleep(0.002)
        return np.sin(row[0] * np.arange(SAMPLES, dtype=np.float32))


class Moody:
    """Does what row[0] says: 1 crashes, 2 hangs, 3 raises, 4 is too short, 5 prints, 6 hangs and lets no other thread
    run, 7 forks and hangs, 8 forks and crashes; otherwise a constant row[1].
    """

    def __call__(self, row):
        mood = int(row[0])
        if mood == 1:
            os.abort()
        if mood == 2:
            time.sleep(1000)
        if mood == 3:
            raise ValueError("a knob fell off")
        if mood == 6:
            ctypes.PyDLL(None).sleep(1000)
        if mood in (7, 8):
            forked()
            time.sleep(1000) if mood == 7 else os.abort()
        if mood == 5:
            print("noise", flush=True)
            os.write(1, b"more noise" * 100)
        return np.full(SAMPLES - (mood == 4), row[1], np.float32)


def forked():
    """Starts a process that stays, and notes its number in the file $FORKED."""
    if not (child := os.fork()):
        time.sleep(1000)
        os._exit(0)
    with open(os.environ["FORKED"], "a") as file:
        print(child, file=file)


def waiting():
    """Takes forever to be made."""
    time.sleep(1000)


class Wordy:
    """Raises in several lines."""

    def __call__(self, row):
        raise ValueError("one line\nand  another.")


class Relapsing:
    """Crashes the first time that it is given a row: remembers in the folder $RELAPSING."""

    def __call__(self, row):
        mark = os.path.join(os.environ["RELAPSING"], str(int(row[0])))
        if not os.path.exists(mark):
            open(mark, "w").close()
            os.abort()
        return np.full(SAMPLES, row[0], np.float32)


class Broken:
    """Cannot be made."""

    def __init__(self):
        raise RuntimeError("the licence is missing")


def stillborn():
    """Ends the process before there is an engine."""
    os._exit(3)


class Modules:
    """Counts what should not be loaded in a worker."""

    def __call__(self, row):
        return np.full(SAMPLES, sum(name in sys.modules for name in ("torch", "pytest", "unsynth.base")), np.float32)


class Fragile:
    """A sine of row[0] Hz, 0.1 s long; crashes where row[1] is above ``most``."""

    def __init__(self, most):
        self.most = float(most)

    def __call__(self, row):
        if row[1] > self.most:
            os.abort()
        return (np.sin(2 * np.pi * row[0] * np.arange(4410) / 44100) / 2).astype(np.float32)
