"""DX7 voices of our own for the tests, as the numbers of a single voice message."""

import random

from unsynth.presets.syx import Voice

LIMITS = [*[99] * 11, 3, 3, 7, 3, 7, 99, 1, 31, 99, 14] * 6 + [*[99] * 8, 31, 7, 1, 99, 99, 99, 99, 1, 5, 7, 48]
SILENT = [*[99] * 7, 0, 39, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 7]


def operator(level, coarse, rates, levels, velocity=0):
    return [*rates, *levels, 39, 0, 0, 0, 0, 2, 0, velocity, level, 0, coarse, 0, 7]


def voice(name, operators, algorithm, feedback=0):
    """``operators`` by number; the others are silent."""
    numbers = [number for n in (6, 5, 4, 3, 2, 1) for number in operators.get(n, SILENT)]
    return Voice.of([*numbers, *[99] * 4, *[50] * 4, algorithm - 1, feedback, 1, 35, 0, 0, 0, 1, 0, 3, 24], name)


STRUCK, HELD = ((95, 40, 30, 55), (99, 75, 0, 0)), ((80, 50, 40, 60), (99, 92, 88, 0))
BELL = voice("BELL", {1: operator(99, 1, *STRUCK), 2: operator(75, 14, *STRUCK, velocity=3)}, 5)
ORGAN = voice("ORGAN", {n: operator(90, n, *HELD) for n in range(1, 7)}, 32)
BRASS = voice("BRASS", {1: operator(99, 1, *HELD), 2: operator(78, 1, *HELD, velocity=2)}, 22, feedback=7)


def random_voice(seed):
    chance = random.Random(seed)
    name = "".join(chr(chance.randint(32, 126)) for _ in range(10))
    return Voice.of([chance.randint(0, limit) for limit in LIMITS], name)
