"""Many items for several processes: of this machine, or of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from unsynth.crew.base import Alone as Alone, Crew as Crew, Lost
from unsynth.errors import UsageError, WorkerError


def of(workers: int = 1, ray: str = "") -> Crew:
    """Who does the work: this process, ``workers`` of this machine, or those of the Ray cluster at an address.

    Raises:
        UsageError: a number that makes no sense, or both.
    """
    if workers < 1:
        raise UsageError(f"{workers} workers do nothing; give --workers 1 or more.")
    if ray and workers > 1:
        raise UsageError("Either --workers or --ray; a cluster has the workers it has.")
    if ray:
        from unsynth.crew.cluster import Cluster

        return Cluster(ray)
    if workers == 1:
        return Alone()
    from unsynth.crew.processes import Processes

    return Processes(workers)


def share(
    function: Callable[[Any], Any],
    items: Iterable[Any],
    crew: Crew,
    *,
    name: Callable[[Any], str] = str,
    given_up: Callable[[Any, WorkerError], Any] | None = None,
) -> Iterator[tuple[Any, Any]]:
    """Each of ``items`` once with what ``function`` returns for it, as they come.

    An item is taken from ``items`` when there is somebody to do it. What is under way when this ends early (Ctrl-C, an
    exception of ``function``, which is raised here) is stopped.

    Args:
        function: of one item; called in other processes, so what it takes, is and returns must be picklable there.
        items: no two need to differ.
        crew: who calls it.
        name: what to call an item in an error.
        given_up: what an item is worth whose processes ended again and again; where None, the error is raised.

    Raises:
        WorkerError: the crew cannot be used, or its processes ended again and again under an item.
        UsageError: Ray is not installed, or the address is none.
    """
    waiting, under_way = iter(items), {}
    with crew:
        crew.employ(function)
        while True:
            for item in islice(waiting, max(0, crew.most() - len(under_way))):
                under_way[crew.start(item)] = item, 1
            if not under_way:
                return
            for ticket in crew.finished(under_way):
                item, tries = under_way.pop(ticket)
                try:
                    made = crew.result(ticket)
                except Lost as lost:
                    if tries < crew.tries:
                        under_way[crew.start(item)] = item, tries + 1
                        continue
                    made = _given_up(item, name(item), lost, given_up)
                yield item, made


def _given_up(item: Any, name: str, lost: Lost, given_up: Callable[[Any, WorkerError], Any] | None) -> Any:
    error = WorkerError(f"{name} cannot be done: {lost}, again and again; give it more memory, or leave it out.")
    if given_up is None:
        raise error from lost
    return given_up(item, error)
