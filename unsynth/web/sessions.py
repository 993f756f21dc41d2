"""Who is here: sessions by their secret ids, and what becomes of those that are left."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Full
from typing import Any

from unsynth.base import NotFoundError
from unsynth.web.searching import search
from unsynth.web.session import Session, Task
from unsynth.web.turns import Turns

AT_ONCE = 4  # sounds decoded or rendered for visitors at the same time, besides searches
LEFT = 10.0  # seconds without a word after which nobody waits for a search
FORGOTTEN = 1800.0  # seconds without a word after which a session is over


class Sessions:
    """All sessions, with the temporary folder that has a folder for each.

    Args:
        turns: where their searches wait.
        most: how many there may be.
        most_seconds: how long a sound may last.
    """

    def __init__(self, turns: Turns, most: int, most_seconds: float) -> None:
        self.turns, self.most, self.most_seconds = turns, most, most_seconds
        self.root = tempfile.TemporaryDirectory(prefix="unsynth-web-", ignore_cleanup_errors=True)
        self.lock, self.rendering = threading.Lock(), threading.BoundedSemaphore(AT_ONCE)
        self.open: dict[str, Session] = {}

    def create(self) -> Session:
        """A new session; ``queue.Full`` where there are too many."""
        with self.lock:
            if len(self.open) >= self.most:
                raise Full
            session = Session(Path(tempfile.mkdtemp(dir=self.root.name)), self.most_seconds)
            self.open[session.id] = session
            return session

    def get(self, secret: str) -> Session:
        """The session of this id, which has been heard of now; NotFoundError where there is none."""
        session = self.open.get(secret)
        if session is None:
            raise NotFoundError("This session is over; load the page again.")
        session.seen = time.monotonic()
        return session

    def render(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """``work(*arguments)``, when not too many others are at such work."""
        with self.rendering:
            return work(*arguments)

    def begin(self, session: Session, task: Task) -> None:
        """Let ``task`` wait its turn, in place of what the session searched before; ``queue.Full``."""
        self.stop(session)
        with session.lock:  # the search asks whether it is still wanted
            session.turn = self.turns.take(session.id, lambda turn: search(session, task, turn))
        session.changed()

    def stop(self, session: Session) -> None:
        """End the search of a session; what it found is kept."""
        if session.turn:
            self.turns.leave(session.turn)
            session.changed()

    def close(self, session: Session) -> None:
        """End a session: its search, its files and its memory."""
        with self.lock:
            self.open.pop(session.id, None)
        self.stop(session)
        session.close()

    def sweep(self, now: float) -> None:
        """End the searches and the sessions that nobody has asked about for long."""
        for session in list(self.open.values()):
            if now - session.seen > FORGOTTEN:
                self.close(session)
            elif now - session.seen > LEFT and session.turn and session.turn.state != "over":
                self.stop(session)

    def close_all(self) -> None:
        """The end: no searches, no sessions, no files."""
        for session in list(self.open.values()):
            self.close(session)
        self.turns.close()
        self.root.cleanup()
