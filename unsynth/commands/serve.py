"""`unsynth serve`: the local web page."""

from __future__ import annotations

import os

from unsynth.errors import UsageError


def serve_page(
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    workers: int = 0,
    max_seconds: float = 30.0,
    max_megabytes: float = 20.0,
    expose: bool = False,
) -> None:
    """Open a web page to match sounds, hear and vary the matches and turn their knobs.

    The page needs no network. Searches of several people take turns.

    Args:
        host: address to listen at.
        port: port to listen at; 0 for a free one.
        workers: searches at once; half as many as there are cores if not given.
        max_seconds: longest sound that is taken.
        max_megabytes: largest file that is taken.
        expose: allow a host that other machines can reach.
    """
    try:
        from unsynth.web.app import Limits
        from unsynth.web.serve import serve
    except ModuleNotFoundError as error:
        raise UsageError("The web page needs more packages; `pip install 'unsynth[web]'` adds them.") from error
    if workers < 0 or max_seconds <= 0 or max_megabytes <= 0:
        raise UsageError("The limits must be above zero; leave --workers away to have them chosen.")
    most = workers or max(1, (os.cpu_count() or 1) // 2)
    serve(host, port, Limits(workers=most, seconds=max_seconds, megabytes=max_megabytes), expose)
