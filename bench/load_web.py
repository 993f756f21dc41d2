"""``python -m bench.load_web``: many people at the web page at once. How long they wait, and what memory it takes.

Each person sends a sound of their own pitch, searches, follows the search, hears the best candidate and leaves, again
and again. Results that are not theirs (another name, another pitch) are counted as mixed up.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import httpx
import numpy as np
import soundfile

from bench.timing import table

RATE, SECONDS = 44_100, 1.0
TIMEOUT = 60.0
AGAIN = 0.5  # seconds before somebody who was sent away asks again
LATENCIES = ("send", "first candidate", "whole search", "news", "hear")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Tally:
    """What all people saw: seconds of every kind, with the time at which they were measured."""

    def __init__(self) -> None:
        self.lock, self.began = threading.Lock(), time.monotonic()
        self.seconds: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self.counts: dict[str, int] = defaultdict(int)

    @contextmanager
    def time(self, what: str) -> Iterator[None]:
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


def visit(client: httpx.Client, hertz: int, budget: float, tally: Tally) -> None:
    """One person's visit."""
    name, sound = f"{hertz}.wav", sine(hertz)
    url = f"/api/sessions/{ask(client, 'POST', '/api/sessions', tally).json()['id']}"
    with tally.time("send"):
        ask(client, "PUT", f"{url}/sound", tally, params={"name": name}, content=sound)
    with tally.time("whole search"):
        with tally.time("first candidate"):
            search = {"kind": "match", "seconds": budget}
            found = ask(client, "POST", f"{url}/search", tally, json=search).json()
            while not found["candidates"] and found["search"]["state"] != "over":
                found = ask(client, "GET", url, tally, params={"after": found["version"]}).json()
        while found["search"]["state"] != "over":
            found = ask(client, "GET", url, tally, params={"after": found["version"]}).json()
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
                visit(client, hertz, budget, tally)
            except httpx.HTTPError as error:
                tally.count(f"failed: {type(error).__name__}")


def resident(process: int) -> float:
    """Memory of a process in MB (Linux)."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE / 1e6


def report(tally: Tally, memory: list[tuple[float, float]], minutes: float, parts: int = 4) -> str:
    """Latency and memory over time, in equal parts of the run."""
    edges = [60 * minutes * i / parts for i in range(parts)] + [float("inf")]
    rows = []
    for low, high in pairwise(edges):
        cells = [quantiles([s for at, s in tally.seconds[what] if low <= at < high]) for what in LATENCIES]
        most = max((mb for at, mb in memory if low <= at < high), default=float("nan"))
        rows.append([f"from {low:.0f} s", *cells, f"{most:.0f}"])
    counted = "\n".join(f"- {what}: {n:,}" for what, n in sorted(tally.counts.items()))
    head = ["", *(f"{what}, s" for what in LATENCIES), "MB at most"]
    return f"{table(head, rows)}\n\nMedian / 95 % / most.\n\n{counted}"


def quantiles(seconds: list[float]) -> str:
    if len(seconds) < 2:
        return "–"
    parts = statistics.quantiles(seconds, n=20, method="inclusive")
    return f"{parts[9]:.2f} / {parts[18]:.2f} / {max(seconds):.2f}"


def main() -> None:
    """Load the web page with many people at once."""
    parser = argparse.ArgumentParser(prog="python -m bench.load_web", description=main.__doc__)
    parser.add_argument("--sessions", type=int, default=50, help="people at once")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--budget", type=float, default=1.0, help="seconds of each search")
    parser.add_argument("--workers", type=int, default=1, help="searches at once")
    options = parser.parse_args()
    command = [sys.executable, "-m", "unsynth", "serve", "--port", "0", "--workers", str(options.workers)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = re.search(r"http://[^ ]+", server.stdout.readline() if server.stdout else "")
        assert address, "the server did not start"
        tally, memory, end = Tally(), [], time.monotonic() + 60 * options.minutes
        people = [
            threading.Thread(target=person, args=(address[0], 200 + 10 * i, options.budget, end, tally))
            for i in range(options.sessions)
        ]
        for one in people:
            one.start()
        while any(one.is_alive() for one in people):
            memory.append((time.monotonic() - tally.began, resident(server.pid)))
            time.sleep(1)
        print(report(tally, memory, options.minutes))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
