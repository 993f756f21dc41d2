"""The server's process."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys

import torch
import uvicorn

from unsynth.base import UsageError
from unsynth.web.app import Limits, make

CONNECTIONS = 1024
EXPOSED = (
    "unsynth: Everybody who can reach this machine can now use it for searches; there is no password, and what they "
    "send is not encrypted. End it with Ctrl-C."
)


def serve(host: str, port: int, limits: Limits, expose: bool) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        UsageError: a host that others can reach, without ``expose``; or the port is taken or not allowed.
    """
    if not expose and not is_loopback(host):
        raise UsageError(f"Others can reach {host}; add --expose if that is what you want, or leave --host away.")
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"Port {port} of {host} cannot be used ({reason}); choose another --port.") from error
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // limits.workers))
    names = {"localhost", host.lower()} | ({socket.gethostname().lower()} if expose else set())
    if expose:
        print(EXPOSED, file=sys.stderr)
    shown = f"[{host}]" if ":" in host else host
    print(f"Open http://{shown}:{listening.getsockname()[1]}/ in a browser; Ctrl-C ends it.", flush=True)
    config = uvicorn.Config(
        make(limits, frozenset(names)),
        log_level="warning",
        access_log=False,
        limit_concurrency=CONNECTIONS,
        server_header=False,
    )
    config.timeout_graceful_shutdown = 1
    uvicorn.Server(config).run(sockets=[listening])


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
