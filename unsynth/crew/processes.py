"""Worker processes on this machine, each with its share of the cores. Nothing here loads torch."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection, resource_tracker
from typing import Any

from unsynth.crew.base import Crew, Function, Lost, answer, opened
from unsynth.synths.child import ONE_THREAD
from unsynth.synths.worker import cores

SPAWN = multiprocessing.get_context("spawn")  # a fork has the threads' locks, but not the threads
GRACE = 5.0  # seconds that a process may take to end


class _Worker:
    """One process that does one item after another."""

    def __init__(self, threads: int, function: bytes) -> None:
        self.pipe, there = SPAWN.Pipe()
        self.process = SPAWN.Process(target=_serve, args=(there, threads), daemon=True)
        with _deaf():
            self.process.start()
        there.close()
        self.send(function)

    def send(self, data: bytes) -> None:
        with suppress(OSError):  # a process that has ended is found out when its answer is read
            self.pipe.send_bytes(data)

    def receive(self) -> bytes:
        try:
            return self.pipe.recv_bytes()
        except (EOFError, OSError) as error:
            self.end()
            raise Lost(f"its process ended with status {self.process.exitcode}") from error

    def end(self, grace: float = 0.0) -> None:
        """End the process, at the latest after ``grace`` seconds."""
        self.pipe.close()
        self.process.join(grace)
        self.process.kill()
        self.process.join()


class Processes(Crew):
    """Items shared by processes of this machine.

    Args:
        workers: how many processes.
        tries: how often an item is tried in all when processes end under it.
    """

    def __init__(self, workers: int, tries: int = 3) -> None:
        self.workers, self.tries = workers, tries
        self.idle: list[_Worker] = []
        self.busy: list[_Worker] = []

    def __exit__(self, failed: object, *_: object) -> None:
        """Those that are at work when this goes wrong are killed."""
        for worker in self.busy:
            worker.end()
        for worker in self.idle:
            worker.pipe.close()
        for worker in self.idle:
            worker.end(GRACE)

    def employ(self, function: Function) -> None:
        self.function = pickle.dumps(function)

    def most(self) -> int:
        return self.workers

    def start(self, item: Any) -> _Worker:
        worker = self.idle.pop() if self.idle else _Worker(max(1, cores() // self.workers), self.function)
        self.busy.append(worker)
        worker.send(pickle.dumps(item))
        return worker

    def finished(self, tickets: Collection[_Worker]) -> Collection[_Worker]:
        ready = connection.wait([worker.pipe for worker in tickets])
        return [worker for worker in tickets if worker.pipe in ready]

    def result(self, ticket: _Worker) -> Any:
        self.busy.remove(ticket)
        reply = ticket.receive()
        self.idle.append(ticket)
        return opened(reply)


def _serve(pipe: connection.Connection, threads: int) -> None:
    """What a worker does until its pipe ends. It has no thread of torch's yet: the limit comes first."""
    os.environ.update(dict.fromkeys(ONE_THREAD, str(threads)))
    threading.Thread(target=_outlived, daemon=True).start()
    with suppress(EOFError, OSError):
        function = pipe.recv_bytes()
        while True:
            pipe.send_bytes(answer(function, pipe.recv_bytes()))


def _outlived() -> None:
    """Ends this process, whatever it does, when its parent is gone."""
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)


@contextmanager
def _deaf() -> Iterator[None]:
    """A process that is started within does not hear Ctrl-C, which is for this one alone (on Windows it does)."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # or else it is started within, and lifts the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
