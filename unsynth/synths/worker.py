"""A pool of processes around a black-box engine: what crashes or hangs there is killed, started again and redone.

Each worker is a fresh interpreter that imports the engine by name (:mod:`unsynth.synths.process`); neither torch nor
the caller's ``__main__`` is loaded in it.
"""

from __future__ import annotations

import os
import queue
import subprocess
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from unsynth.errors import EngineError
from unsynth.synths import child
from unsynth.synths.process import AUDIO, HEAD, REPLY, exactly

Row = Rows = Sound = Sounds = npt.NDArray[np.float32]  # (param,); (batch, param); (time,); (batch, time)
Engine = Callable[[Row], Sound]
"""Plays one row; the same row always gives the same sound, whatever was played before."""
Judge = Callable[[list[str]], None]
"""Is told why each row of some could not be played (of those that were, nothing); raises where it is too much."""

TIMEOUT, START_TIMEOUT = 20.0, 60.0  # seconds for a row, and for an engine to be made
POLL = 0.1  # seconds between looks at the clock
CLOSED = "The pool was closed before this was done; make a new one."
GRACE = 5.0  # seconds that a thread may take to end
STATUS = 0.2  # seconds that a process which closed its pipe may take to end


class RowError(EngineError):
    """The engine fails on one row, whose process is gone; it may play others."""


@dataclass
class _Job:
    rows: Rows
    sounds: Sounds
    forgiving: bool = False
    errors: list[str] = field(default_factory=list)  # of each row, where they are forgiven
    future: Future[Sounds] = field(default_factory=Future)

    def do(self, worker: _Worker) -> None:
        for row, sound in zip(self.rows, self.sounds, strict=True):
            try:
                worker.play(row, sound)
                self.errors.append("")
            except RowError as error:
                if not self.forgiving:
                    raise
                self.errors.append(str(error))


class _Worker:
    """One process, started when it is needed. Used by one thread; :meth:`kill` may be called from any."""

    def __init__(
        self, engine: str, timeout: float, start_timeout: float, attempts: int, closing: threading.Event
    ) -> None:
        self.engine, self.timeout, self.start_timeout = engine, timeout, start_timeout
        self.attempts, self.closing = attempts, closing
        self.process: subprocess.Popen[bytes] | None = None
        self.ready = False
        self.deadline = float("inf")

    def play(self, row: Row, sound: Sound) -> None:
        """Render ``row`` into ``sound``, whatever becomes of the process meanwhile."""
        self._persist("on the same patch", lambda: self._play(row, sound), RowError)

    def _persist(self, when: str, attempt: Callable[[], None], error: type[EngineError] = EngineError) -> None:
        """Try until the process survives it, a few times, or raise; an exception of the engine counts at once."""
        status = None
        for _ in range(self.attempts):
            if self.closing.is_set():
                raise EngineError(CLOSED)
            try:
                return attempt()
            except (OSError, EOFError):
                status = self.end(STATUS)
            except EngineError:
                self.end()
                raise
            finally:
                self.deadline = float("inf")
        told = f"The engine {self.engine} crashed or hung {self.attempts} times {when}"
        raise error(f"{told}; the last time it ended with status {status}.")

    def _play(self, row: Row, sound: Sound) -> None:
        if not self.ready:
            self._persist("when it was started", self._start)
        self.deadline = time.monotonic() + self.timeout
        data, process = row.tobytes(), self.process
        process.stdin.write(HEAD.pack(len(data)) + data)  # pyright: ignore[reportOptionalMemberAccess]
        self._receive(process.stdout, sound, RowError)  # pyright: ignore[reportOptionalMemberAccess, reportArgumentType]

    def _start(self) -> None:
        self.deadline = time.monotonic() + self.start_timeout
        self.process = child.start(self.engine)
        if self.closing.is_set():
            self.kill()
        self._receive(self.process.stdout, np.empty(0, np.float32))  # pyright: ignore[reportArgumentType]
        self.ready = True

    def _receive(self, pipe: BinaryIO, sound: Sound, error: type[EngineError] = EngineError) -> None:
        status, size = REPLY.unpack(exactly(pipe, bytearray(REPLY.size)))
        if status == AUDIO and size == sound.nbytes:
            exactly(pipe, sound.data.cast("B") if size else bytearray())
            return
        told = bytes(exactly(pipe, bytearray(size)))
        if status == AUDIO:
            told = f"it made {size // 4} samples instead of {len(sound)}".encode()
        raise error(f"The engine {self.engine} failed: {told.decode(errors='replace')}.")

    def kill(self) -> None:
        if (process := self.process) and process.returncode is None:
            child.kill(process)

    def end(self, patience: float = 0.0) -> int | None:
        """Kill the process unless it ends by itself, collect its exit status and close its pipes."""
        process, self.process, self.ready = self.process, None, False
        if process is None:
            return None
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
        child.kill(process)
        status = process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                pipe.close()  # pyright: ignore[reportOptionalMemberAccess]
        return status


class Pool:
    """Plays rows with an engine in several processes. Safe to use from several threads; close it, or use as a context.

    Args:
        engine: ``module:name`` of something that makes an :data:`Engine` when called, or ``module:name:argument``.
        samples: length of every sound.
        workers: how many processes; one for each core this process may use where None.
        timeout: seconds that one row may take before its process is killed.
        start_timeout: seconds that a process may take to make its engine.
        attempts: how often in all a row is tried when processes end under it, and a process is started.
        chunk: rows of one job.
        waiting: jobs that wait at most, for each worker; :meth:`submit` blocks beyond that.
    """

    def __init__(
        self,
        engine: str,
        samples: int,
        workers: int | None = None,
        *,
        timeout: float = TIMEOUT,
        start_timeout: float = START_TIMEOUT,
        attempts: int = 5,
        chunk: int = 2,
        waiting: int = 8,
    ) -> None:
        count = workers or cores()
        self.engine, self.samples, self.chunk = engine, samples, chunk
        self._closing = threading.Event()
        self._jobs: queue.Queue[_Job | None] = queue.Queue(count * waiting)
        self._workers = [_Worker(engine, timeout, start_timeout, attempts, self._closing) for _ in range(count)]
        parts = [threading.Thread(target=_serve, args=(self._jobs, w), daemon=True) for w in self._workers]
        parts.append(threading.Thread(target=_watch, args=(self._workers, self._closing), daemon=True))
        for part in parts:
            part.start()
        self.close = weakref.finalize(self, _close, self._closing, self._jobs, self._workers, parts)
        """End all processes; what was not done raises EngineError. Also happens when Python exits."""

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that have an engine now."""
        return [process.pid for worker in self._workers if (process := worker.process) and worker.ready]

    def submit(self, rows: Rows) -> Future[Sounds]:
        """The sounds of ``rows`` later, from one worker; blocks while too many wait already.

        Raises:
            EngineError: the pool is closed. The future raises it when the engine cannot be made, fails on a row, or
                its processes end under one again and again.

        Shape: ``(batch, param)`` in, ``(batch, samples)`` out.
        """
        rows = np.ascontiguousarray(rows, np.float32)
        job = _Job(rows, np.empty((len(rows), self.samples), np.float32))
        self._put(job)
        return job.future

    def render(self, rows: Rows, judge: Judge | None = None) -> Sounds:
        """The sounds of ``rows``, spread over the workers; errors and shape as in :meth:`submit`.

        Args:
            judge: is told of all rows in order. What cannot be played is an error where None, an undefined sound else.
        """
        rows = np.ascontiguousarray(rows, np.float32)
        sounds = np.empty((len(rows), self.samples), np.float32)
        jobs: list[_Job] = []
        try:
            for first in range(0, len(rows), self.chunk):
                part = slice(first, first + self.chunk)
                jobs.append(_Job(rows[part], sounds[part], forgiving=judge is not None))
                self._put(jobs[-1])
            for job in jobs:
                job.future.result()
                if judge:
                    judge(job.errors)
        finally:
            for job in jobs:
                job.future.cancel()
        return sounds

    def _put(self, job: _Job) -> None:
        while not self._closing.is_set():
            with suppress(queue.Full):
                self._jobs.put(job, timeout=POLL)
                break
        if self._closing.is_set() and not job.future.done():
            job.future.cancel()
            raise EngineError(f"The pool of {self.engine} is closed; make a new one.")


def cores() -> int:
    """Cores that this process may use: those it may run on, or OMP_NUM_THREADS where that is fewer."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return max(1, min(there, int(allowed))) if allowed.isdigit() else there


def _serve(jobs: queue.Queue[_Job | None], worker: _Worker) -> None:
    """Do jobs until there comes None."""
    while (job := jobs.get()) is not None:
        if not job.future.set_running_or_notify_cancel():
            continue
        try:
            job.do(worker)
        except BaseException as error:
            job.future.set_exception(error)
        else:
            job.future.set_result(job.sounds)
        del job
    worker.end()


def _watch(workers: list[_Worker], closing: threading.Event) -> None:
    """Kill what takes too long."""
    while not closing.wait(POLL):
        for worker in workers:
            if time.monotonic() > worker.deadline:
                worker.kill()


def _close(
    closing: threading.Event, jobs: queue.Queue[_Job | None], workers: list[_Worker], parts: list[threading.Thread]
) -> None:
    closing.set()
    with suppress(queue.Empty):
        while True:
            job = jobs.get_nowait()
            if job and job.future.set_running_or_notify_cancel():
                job.future.set_exception(EngineError(CLOSED))
    for worker in workers:
        jobs.put(None)
        worker.kill()
    for part in parts:
        if part is not threading.current_thread():
            part.join(GRACE)
