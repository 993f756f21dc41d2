"""What a crew is, and what its processes do with an item. Nothing here loads torch."""

from __future__ import annotations

import pickle
import traceback
from abc import abstractmethod
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

Function = Callable[[Any], Any]
"""Takes an item; where other processes work, both go there by pickle, and what it returns comes back so."""


class Lost(Exception):
    """The process that worked on an item is gone; the message says how it ended."""


class Crew(AbstractContextManager["Crew"]):
    """Those who work on items, several at once. Used as a context by :func:`unsynth.crew.share` alone.

    Attributes:
        tries: how often in all :func:`unsynth.crew.share` starts an item whose process ends.
        alone: whether this process does all the work.
    """

    tries = 1
    alone = False

    @abstractmethod
    def employ(self, function: Function) -> None:
        """Get ready to call ``function``; WorkerError or UsageError where nobody can."""

    @abstractmethod
    def most(self) -> int:
        """How many items may be under way now."""

    @abstractmethod
    def start(self, item: Any) -> Any:
        """Begin an item; returns its ticket."""

    @abstractmethod
    def finished(self, tickets: Collection[Any]) -> Collection[Any]:
        """Waits until one of ``tickets`` is done; all those that are."""

    @abstractmethod
    def result(self, ticket: Any) -> Any:
        """What the function returned or raised for a ticket that is done; Lost where its process ended."""


class Alone(Crew):
    """This process, one item after another."""

    alone = True

    def __exit__(self, *_: object) -> None:
        pass

    def employ(self, function: Function) -> None:
        self.function = function

    def most(self) -> int:
        return 1

    def start(self, item: Any) -> Any:
        self.item = item
        return 0

    def finished(self, tickets: Collection[Any]) -> Collection[Any]:
        return list(tickets)

    def result(self, ticket: Any) -> Any:
        return self.function(self.item)


def answer(function: bytes, item: bytes) -> bytes:
    """What a process of a crew sends back: what the pickled function makes of the pickled item, or its exception."""
    try:
        return pickle.dumps((_loaded(function)(pickle.loads(item)), None))
    except Exception as error:
        error.add_note(traceback.format_exc())
        return pickle.dumps((None, error))


def opened(reply: bytes) -> Any:
    """What :func:`answer` sent, returned or raised."""
    value, error = pickle.loads(reply)
    if error:
        raise error
    return value


@lru_cache(maxsize=1)
def _loaded(function: bytes) -> Function:
    return pickle.loads(function)
