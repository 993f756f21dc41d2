"""The processes of a Ray cluster that is there already: an item is a task of one core."""

from __future__ import annotations

import logging
import os
import pickle
import socket
from collections.abc import Callable, Collection
from importlib import import_module
from typing import Any

from unsynth import __version__
from unsynth.crew.base import Crew, Function, Lost, opened
from unsynth.errors import UsageError, WorkerError
from unsynth.folders import OWN

EXTRA = "Ray is not installed here; `pip install 'unsynth[ray]'` adds it."
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
PATIENCE = 5.0  # seconds to wait for the machine of an address
QUEUED = 2  # items under way for each core: one is there when another is done


class Cluster(Crew):
    """Items shared by the processes of a Ray cluster.

    Args:
        address: ``auto`` (RAY_ADDRESS, or a cluster that runs on this machine), HOST:PORT, or ray://HOST:PORT.
        retries: how often Ray starts an item again whose process or machine is gone.
    """

    def __init__(self, address: str, retries: int = 2) -> None:
        self.address, self.retries = address, retries
        self.ray: Any = None

    def employ(self, function: Function) -> None:
        os.environ.update(QUIET)
        try:
            self.ray = import_module("ray")
        except ModuleNotFoundError as error:
            raise UsageError(EXTRA) from error
        self._connect()
        data = {name: os.environ[name] for name in (OWN,) if name in os.environ}
        self.job = self.ray.put((__version__, data, os.getcwd(), pickle.dumps(function)))
        self.work = self.ray.remote(max_retries=self.retries, num_cpus=1)(_work())

    def _connect(self) -> None:
        address = self.address
        if address == "auto":
            address = os.environ.get("RAY_ADDRESS") or address
        _require_reachable(address)
        try:
            self.ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray has many, and plain ones
            why = " ".join(str(error).split()).rstrip(".")
            raise WorkerError(f"No Ray cluster can be used at {address} ({why}); `ray start` starts one.") from error

    def __exit__(self, *_: object) -> None:
        """Ray stops what is under way when the one who asked for it leaves."""
        if self.ray:
            self.ray.shutdown()

    def most(self) -> int:
        return QUEUED * max(1, int(self.ray.cluster_resources().get("CPU", 1)))

    def start(self, item: Any) -> Any:
        return self.work.remote(self.job, pickle.dumps(item))

    def finished(self, tickets: Collection[Any]) -> Collection[Any]:
        return self.ray.wait(list(tickets), num_returns=1)[0]

    def result(self, ticket: Any) -> Any:
        errors = self.ray.exceptions
        try:
            reply, node, wrong = self.ray.get(ticket)
        except errors.RayTaskError:
            raise
        except errors.RayError as error:
            raise Lost(f"its process or machine was gone (Ray: {type(error).__name__})") from error
        if wrong:
            raise WorkerError(f"The machine {node} of the cluster {wrong}; install unsynth {__version__} there.")
        return opened(reply)


def _require_reachable(address: str) -> None:
    """WorkerError at once where nobody listens; Ray would try for long."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdigit():
        raise UsageError(f"{address!r} is no address of a Ray cluster; give --ray auto or --ray HOST:PORT.")
    try:
        socket.create_connection((host, int(port)), PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise WorkerError(
            f"Nothing answers at {address} ({error}); `ray start --head` starts a Ray cluster."
        ) from error


def _work() -> Callable[..., tuple[bytes, str, str]]:
    """What a task does: a function within one, of which Ray sends the code, so that it runs without unsynth too."""

    def work(job: tuple[str, dict[str, str], str, bytes], item: bytes) -> tuple[bytes, str, str]:
        import os
        from contextlib import suppress

        import ray

        version, data, folder, function = job
        node = ray.util.get_node_ip_address()
        try:
            from unsynth import __version__ as found
        except ImportError:
            return b"", node, "has no unsynth"
        if found != version:
            return b"", node, f"has unsynth {found}"
        from unsynth.crew.base import answer

        os.environ.update(data)
        with suppress(OSError):
            os.chdir(folder)
        return answer(function, item), node, ""

    return work
