"""``python -m bench.load_web``: many people at the web page at once. How long they wait, and what memory it takes.

Each person sends a sound of their own pitch, searches, follows the search, hears the best candidate and leaves, again
and again. Results that are not theirs (another name, another pitch) are counted as mixed up. One person is there alone
first; then so many as are asked for; then more than there is room for, at once; then one alone again.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile

from bench.machine import ROOT, facts, load
from unsynth import audio

RATE, SECONDS = 44_100, 1.0
TIMEOUT = 60.0
AGAIN = 0.5  # seconds before somebody who was sent away asks again
LATENCIES = ("send", "first candidate", "whole search", "news", "hear")
PAGE = os.sysconf("SC_PAGE_SIZE")
OUT = ROOT / "results" / "reliability-load.json"
ALONE = 1.0  # minutes
PARTS = 5  # of the time with many

Json = dict[str, Any]


class Tally:
    """What all people saw: seconds of every kind, with the time at which they were measured."""

    def __init__(self) -> None:
        self.lock, self.began = threading.Lock(), time.monotonic()
        self.seconds: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self.counts: dict[str, int] = defaultdict(int)

    @contextmanager
    def time(self, what: str) -> Iterator[None]:
        """Note how long what is inside takes, if it comes to its end."""
        began = time.monotonic()
        yield
        with self.lock:
            self.seconds[what].append((time.monotonic() - self.began, time.monotonic() - began))

    def count(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1


def sine(hertz: float) -> bytes:
    """A wav of a tone that dies away."""
    at = np.arange(round(RATE * SECONDS)) / RATE
    file = io.BytesIO()
    soundfile.write(file, 0.5 * np.sin(2 * np.pi * hertz * at) * np.exp(-4 * at), RATE, format="WAV")
    return file.getvalue()


def pitch(content: bytes) -> float:
    """The strongest frequency of a wav in Hz."""
    samples, rate = soundfile.read(io.BytesIO(content))
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples))


class LateError(Exception):
    """The time is over before a visit is."""


def visit(client: httpx.Client, hertz: int, budget: float, tally: Tally, end: float) -> None:
    """One person's visit; LateError where it is not over at ``end``."""
    name, sound = f"{hertz}.wav", sine(hertz)
    url = f"/api/sessions/{ask(client, 'POST', '/api/sessions', tally).json()['id']}"
    with tally.time("send"):
        ask(client, "PUT", f"{url}/sound", tally, params={"name": name}, content=sound)
    with tally.time("whole search"):
        with tally.time("first candidate"):
            search = {"kind": "match", "seconds": budget}
            found = ask(client, "POST", f"{url}/search", tally, json=search).json()
            found = follow(client, url, tally, found, lambda told: bool(told["candidates"]), end)
        found = follow(client, url, tally, found, lambda told: False, end)
    with tally.time("news"):
        found = ask(client, "GET", url, tally).json()
    if found["error"] or not found["candidates"]:
        tally.count("lost results")
        return
    with tally.time("hear"):
        ask(client, "GET", f"{url}/sounds/{found['candidates'][0]['id']}.wav", tally)
    target = ask(client, "GET", f"{url}/sounds/{found['target']['id']}.wav", tally).content
    tally.count("results" if found["name"] == name and abs(pitch(target) - hertz) < 1 else "mixed-up results")
    ask(client, "POST", f"{url}/close", tally)


def follow(
    client: httpx.Client, url: str, tally: Tally, found: Json, enough: Callable[[Json], bool], end: float
) -> Json:
    """What the page shows when it is ``enough``, or the search is over."""
    while not enough(found) and found["search"]["state"] != "over":
        if time.monotonic() > end:
            ask(client, "POST", f"{url}/close", tally)
            raise LateError
        found = ask(client, "GET", url, tally, params={"after": found["version"]}).json()
    return found


def ask(client: httpx.Client, method: str, path: str, tally: Tally, **options: object) -> httpx.Response:
    """The answer to a request, asked again while the server is full."""
    while (answer := client.request(method, path, **options)).status_code == httpx.codes.SERVICE_UNAVAILABLE:  # pyright: ignore
        tally.count("sent away for a while (503)")
        time.sleep(AGAIN)
    answer.raise_for_status()
    return answer


def person(address: str, hertz: int, budget: float, end: float, tally: Tally) -> None:
    """Visits until ``end``."""
    with httpx.Client(base_url=address, timeout=TIMEOUT) as client:
        while time.monotonic() < end:
            try:
                visit(client, hertz, budget, tally, end)
            except LateError:
                tally.count("unfinished at the end")
            except httpx.HTTPError as error:
                tally.count(f"failed: {type(error).__name__}")


def resident(process: int) -> float:
    """Memory of a process in MB (Linux)."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE / 1e6


def phase(name: str, server: Server, sessions: int, minutes: float, budget: float, parts: int = 1) -> Json:
    """So many people for so long; what they saw, in equal parts of the time."""
    tally, memory, end = Tally(), [], time.monotonic() + 60 * minutes
    people = [
        threading.Thread(target=person, args=(server.address, 200 + 10 * i, budget, end, tally))
        for i in range(sessions)
    ]
    for one in people:
        one.start()
    while any(one.is_alive() for one in people):
        memory.append((time.monotonic() - tally.began, resident(server.process)))
        time.sleep(1)
    edges = [60 * minutes * i / parts for i in range(parts)] + [float("inf")]
    told = [_part(tally, memory, low, high) for low, high in pairwise(edges)]
    found = {"name": name, "sessions": sessions, "minutes": minutes, "load": load(), "parts": told}
    print(json.dumps(found := {**found, "counts": dict(sorted(tally.counts.items()))}), flush=True)
    return found


def _part(tally: Tally, memory: list[tuple[float, float]], low: float, high: float) -> Json:
    """Median, 95 % and most of each latency, and the most memory, from one time to another."""
    seconds = {what: [s for at, s in tally.seconds[what] if low <= at < high] for what in LATENCIES}
    most = max((mb for at, mb in memory if low <= at < high), default=None)
    return {"from": low, "mb": most, "seconds": {what: quantiles(own) for what, own in seconds.items()}}


def quantiles(seconds: list[float]) -> list[float]:
    """Median, 95 % and most; nothing where nothing was measured."""
    if len(seconds) < 2:
        return [round(s, 3) for s in seconds * 3]
    parts = statistics.quantiles(seconds, n=20, method="inclusive")
    return [round(s, 3) for s in (parts[9], parts[18], max(seconds))]


def crowd(server: Server, sessions: int) -> Json:
    """So many people who all come at once, and stay: what they are told, and how long that takes."""
    told: list[tuple[int, str, float]] = []
    ids: list[str] = []

    def come() -> None:
        began = time.monotonic()
        with httpx.Client(base_url=server.address, timeout=TIMEOUT) as client:
            answer = client.post("/api/sessions")
        told.append((answer.status_code, answer.json().get("error", ""), time.monotonic() - began))
        ids.extend([answer.json()["id"]] if answer.is_success else [])

    people = [threading.Thread(target=come) for _ in range(sessions)]
    for one in people:
        one.start()
    for one in people:
        one.join()
    with httpx.Client(base_url=server.address, timeout=TIMEOUT) as client:
        for secret in ids:
            client.post(f"/api/sessions/{secret}/close").raise_for_status()
    refused = {error for status, error, _ in told if status == httpx.codes.SERVICE_UNAVAILABLE}
    counts = {f"status {status}": sum(one[0] == status for one in told) for status in sorted({one[0] for one in told})}
    found = {"name": "crowd", "sessions": sessions, "counts": counts, "told": sorted(refused)}
    print(json.dumps(found := {**found, "seconds": quantiles([one[2] for one in told])}), flush=True)
    return found


@dataclass(frozen=True)
class Server:
    """A server of our own: its process, and where it is."""

    process: int
    address: str


@contextmanager
def served(workers: int) -> Iterator[Server]:
    """A server in a process of its own."""
    command = [sys.executable, "-m", "unsynth", "serve", "--port", "0", "--workers", str(workers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = re.search(r"http://[^ ]+", process.stdout.readline() if process.stdout else "")
        assert address, "the server did not start"
        yield Server(process.pid, address[0])
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Load the web page with many people at once."""
    parser = argparse.ArgumentParser(prog="python -m bench.load_web", description=main.__doc__)
    parser.add_argument("--sessions", type=int, default=50, help="people at once")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument(
        "--crowd", type=int, default=150, help="people who come all at once, more than there is room for"
    )
    parser.add_argument("--budget", type=float, default=1.0, help="seconds of each search")
    parser.add_argument("--workers", type=int, default=1, help="searches at once")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    command = " ".join(["python -m bench.load_web", *sys.argv[1:]])
    with served(options.workers) as server:
        phases = [phase("one alone", server, 1, ALONE, options.budget)]
        phases += [phase("many", server, options.sessions, options.minutes, options.budget, PARTS)]
        phases += [crowd(server, options.crowd), phase("one alone again", server, 1, ALONE, options.budget)]
    told = {"machine": facts(), "date": time.strftime("%Y-%m-%d"), "command": command, "phases": phases}
    audio.write_text(options.out, json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
