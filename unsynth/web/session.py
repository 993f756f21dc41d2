"""What one visitor does: a sound, the searches for it one at a time, and the candidates so far."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from unsynth import audio
from unsynth.base import Budget, NotFoundError, Search, Synth, UnsynthError, UnusableError, UsageError
from unsynth.candidates import Candidate, audition
from unsynth.match import Match
from unsynth.report.loudness import as_loud
from unsynth.search.influence import influence
from unsynth.search.vary import Vary
from unsynth.synths import SYNTHS, synth as synth_of
from unsynth.web.turns import Turn
from unsynth.web.views import clean, describe

Kind = Literal["match", "refine", "vary"]
Json = dict[str, Any]

REMEMBERED = 12  # candidates that can still be asked for, besides those that are shown


@dataclass(frozen=True)
class Task:
    """A search to make.

    Args:
        sound: the file of the target.
        name: what the visitor calls it.
        base: the number of the candidate that it goes on from.
        options: of :func:`unsynth.match.match`.
    """

    sound: Path
    name: str
    base: int | None
    options: Json


class Session:
    """Everything of one visitor. Methods may be called from any thread.

    Args:
        folder: an empty folder of its own.
        most_seconds: how long a sound may last.
    """

    def __init__(self, folder: Path, most_seconds: float) -> None:
        self.id = secrets.token_urlsafe(32)
        self.folder, self.most_seconds = folder, most_seconds
        self.lock, self.numbers, self.closed = threading.RLock(), count(1), False
        self.seen, self.receiving = time.monotonic(), False
        self.name, self.sound = "", None
        self.target: tuple[int, int, Float[Tensor, " time"]] | None = None
        self.takes: dict[int, Match] = {}
        self.found: list[int] = []
        self.base: int | None = None
        self.edited: int | None = None
        self.turn: Turn | None = None
        self.progress: Json = {}
        self.error, self.version = "", 0

    def changed(self) -> None:
        """There is news for the page."""
        with self.lock:
            self.version += 1

    def waits_for(self, turn: Turn) -> bool:
        """Whether what ``turn`` finds is still wanted."""
        with self.lock:
            return not self.closed and self.turn is turn

    def load(self, path: Path, name: str, synth: Synth) -> None:
        """Take the sound in ``path``, a file of this session, as what to match; an earlier one is forgotten.

        Raises:
            UnreadableError, UnusableError: as :func:`unsynth.audio.read`, or it lasts too long.
        """
        name = clean(name)
        try:
            if audio.duration(path) > self.most_seconds:
                told = f"{name} lasts more than the {self.most_seconds:g} seconds that are taken here"
                raise UnusableError(f"{told}; send a shorter sound.")
            target = fitted(path, synth)
        except UnsynthError as error:
            path.unlink(missing_ok=True)
            raise type(error)(str(error).replace(str(path), name)) from error
        with self.lock:
            if self.sound:
                self.sound.unlink(missing_ok=True)
            self.name, self.sound = name, path
            self.target = next(self.numbers), synth.rate, target
            self.takes, self.found, self.base, self.edited = {}, [], None, None
            self.progress, self.error, self.turn = {}, "", None
            self.changed()

    def take(self, number: int) -> Match:
        """One candidate, as a match with no other; NotFoundError where it is forgotten."""
        with self.lock:
            if number not in self.takes:
                raise NotFoundError("This candidate is no longer here; choose one of those that are shown.")
            return self.takes[number]

    def task(self, kind: Kind, synth: str, seconds: float, candidate: int | None, held: list[str]) -> Task:
        """What to search for now; UsageError or NotFoundError where there is no sound or no such candidate."""
        with self.lock:
            if not self.sound:
                raise UsageError("There is no sound to match yet; send one first.")
            seed, start = next(self.numbers), None
            options: Json = {"synth": offered(synth).name, "budget": Budget(seconds), "seed": seed}
            if kind != "match":
                if candidate is None:
                    raise UsageError("Choose the candidate to go on from.")
                before = self.take(candidate)
                start = before.candidates[0].params[None]
                search: str | Search = Vary(seed=seed) if kind == "vary" else "genetic"
                options |= {"synth": before.synth, "method": search, "start": start, "held": held}
            self.error, self.progress = "", {"kind": kind, "share": 0.0}
            self.changed()
            return Task(self.sound, self.name, candidate if kind != "match" else None, options)

    def show(self, results: list[Match], base: int | None) -> None:
        """The candidates of a search take the place of those shown before."""
        with self.lock:
            numbers = [next(self.numbers) for _ in results]
            self.takes |= dict(zip(numbers, results, strict=True))
            self.found, self.base = numbers, base
            if base is None:
                self.edited = None
            first = results[0]
            if self.target and (self.target[1], len(self.target[2])) != (first.rate, len(first.target)):
                self.target = next(self.numbers), first.rate, first.target
            self._forget()
            self.changed()

    def edit(self, number: int, changes: dict[str, float]) -> int:
        """The number of a new candidate: an old one with some parameters changed.

        Raises:
            NotFoundError, UsageError: no such candidate or parameter, or a value outside [0, 1].
        """
        before = self.take(number)
        params = before.candidates[0].params.clone()
        for name, value in changes.items():
            if name not in before.spec.names or not 0 <= value <= 1:
                raise UsageError(f"The synth {before.synth} has no parameter {name[:60]!r} from 0 to 1 for this value.")
            params[before.spec.index(name)] = value
        after = alone(before, audition(synth_of(before.synth), before.target, before.spec.snap(params)[None])[0])
        with self.lock:
            self.edited = next(self.numbers)
            self.takes[self.edited] = after
            self._forget()
            self.changed()
            return self.edited

    def _forget(self) -> None:
        kept = {*self.found, self.base, self.edited, *sorted(self.takes)[-REMEMBERED:]}
        self.takes = {number: take for number, take in self.takes.items() if number in kept}

    def state(self, position: Callable[[Turn], int]) -> Json:
        """All that the page shows."""
        with self.lock:
            turn, rate = self.turn, self.target[1] if self.target else 1
            seconds = len(self.target[2]) / rate if self.target else 0.0
            at = {"state": turn.state, "position": position(turn)} if turn else {"state": "over", "position": 0}
            labels = {number: str(rank) for rank, number in enumerate(self.found, start=1)}
            labels |= {n: label for n, label in ((self.base, "Before"), (self.edited, "Edited")) if n}
            return {
                "version": self.version,
                "name": self.name,
                "target": {"id": self.target[0], "seconds": seconds} if self.target else None,
                "search": {**self.progress, **at},
                "candidates": [describe(self.takes[n], n, label) for n, label in labels.items() if n in self.takes],
                "error": self.error,
            }

    def heard(self, number: int) -> tuple[Float[Tensor, "sound time"], int]:
        """Target and candidate at one loudness, the candidate last; the target alone by its own number."""
        with self.lock:
            if self.target and number == self.target[0]:
                return self.target[2][None], self.target[1]
            found = self.take(number)
        return as_loud([found.target, found.candidates[0].audio], found.rate), found.rate

    def knobs(self, number: int) -> list[float]:
        """How much each knob of a candidate can be heard, in dB."""
        found = self.take(number)
        return influence(synth_of(found.synth), found.candidates[0].params).nan_to_num().tolist()

    def close(self) -> None:
        """End what runs, and forget everything."""
        with self.lock:
            self.closed = True
            if self.turn:
                self.turn.stop.set()
            self.takes, self.found, self.target = {}, [], None
            shutil.rmtree(self.folder, ignore_errors=True)


def offered(name: str) -> Synth:
    """One of our own synths; UsageError for others, as a visitor may not make the server load a plugin."""
    if name not in SYNTHS:
        raise UsageError(f"There is no synth {name[:60]!a} here; choose one of: {', '.join(SYNTHS)}.")
    return synth_of(name)


def alone(found: Match, candidate: Candidate) -> Match:
    """``candidate`` as a match with no other."""
    facts = (found.name, found.spec, found.rate, found.target, [candidate], [], found.seconds, found.renders)
    return Match(*facts, found.seed)


def fitted(path: Path, synth: Synth) -> Float[Tensor, " time"]:
    """The sound in a file as a search for ``synth`` hears it."""
    return audio.fit(audio.read(path, synth.rate, synth.seconds), synth.rate, round(synth.rate * synth.seconds))
