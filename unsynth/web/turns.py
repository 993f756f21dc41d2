"""Searches take turns: a bounded line of them in front of a few threads, fair between those who wait."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter
from queue import Full
from typing import Literal

GRACE = 5.0  # seconds that a thread may take to end


@dataclass(eq=False)
class Turn:
    """One piece of work; ``stop`` asks it to end, ``state`` says how far it is."""

    owner: str
    work: Callable[[Turn], None]
    state: Literal["waiting", "running", "over"] = "waiting"
    stop: threading.Event = field(default_factory=threading.Event)


class Turns:
    """Owners are served in rounds: the first turn of each that waits, then the second of each, and so on.

    Args:
        workers: how many turns run at once.
        waiting: how many may wait.
    """

    def __init__(self, workers: int, waiting: int) -> None:
        self.most, self.closing = waiting, False
        self.line: list[Turn] = []
        self.changed = threading.Condition()
        self.threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(workers)]
        for thread in self.threads:
            thread.start()

    def take(self, owner: str, work: Callable[[Turn], None]) -> Turn:
        """A turn at the end of the line; ``work`` is called with it in a thread of ours. Raises ``queue.Full``."""
        with self.changed:
            if self.closing or len(self.line) >= self.most:
                raise Full
            turn = Turn(owner, work)
            self.line.append(turn)
            self.changed.notify()
            return turn

    def position(self, turn: Turn) -> int:
        """How many turns come before this one, plus one; 0 when it no longer waits."""
        with self.changed:
            ordered = self._ordered()
            return ordered.index(turn) + 1 if turn in ordered else 0

    def leave(self, turn: Turn) -> None:
        """Give a turn up: it never runs, or is asked to stop."""
        with self.changed:
            turn.stop.set()
            if turn in self.line:
                self.line.remove(turn)
                turn.state = "over"

    def close(self) -> None:
        """Nobody gets a turn any more; those that run are asked to stop."""
        with self.changed:
            self.closing = True
            for turn in list(self.line):
                self.leave(turn)
            self.changed.notify_all()
        for thread in self.threads:
            thread.join(GRACE)

    def _ordered(self) -> list[Turn]:
        before: Counter[str] = Counter()
        rounds = []
        for turn in self.line:
            rounds.append((before[turn.owner], turn))
            before[turn.owner] += 1
        return [turn for _, turn in sorted(rounds, key=itemgetter(0))]

    def _serve(self) -> None:
        while turn := self._next():
            try:
                turn.work(turn)
            except Exception:
                logging.getLogger(__name__).exception("A search failed.")
            finally:
                turn.state = "over"

    def _next(self) -> Turn | None:
        with self.changed:
            self.changed.wait_for(lambda: self.line or self.closing)
            if self.closing:
                return None
            turn = self._ordered()[0]
            self.line.remove(turn)
            self.line.sort(key=lambda other: other.owner == turn.owner)
            turn.state = "running"
            return turn
