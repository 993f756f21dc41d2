"""Visitors of the web page's server: what the tests of it over HTTP share."""

import io
import time
from pathlib import Path

import pytest
import soundfile
import torch
from commands import EXAMPLE, RATE

from unsynth.search.methods import METHODS
from unsynth.web.app import Limits, make

testclient = pytest.importorskip("fastapi.testclient", reason="the extra [web] is not installed")

SOUND = EXAMPLE.read_bytes()
SECRET = "x" * 43


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """One thread, and a search that needs no model or index: those have their own tests."""
    torch.set_num_threads(1)
    monkeypatch.setitem(METHODS, "chain", METHODS["genetic"])


@pytest.fixture
def visit():
    """A client of a new server, by the server's limits."""
    opened = []

    def visit(**limits):
        app = make(Limits(**{"workers": 1, "seconds": 5.0, "megabytes": 1.0, **limits}))
        client = testclient.TestClient(app, base_url="http://localhost").__enter__()
        opened.append(client)
        return client

    yield visit
    for client in opened:
        client.__exit__(None, None, None)


def wav(samples, rate=RATE):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV")
    return file.getvalue()


def session(client, sound=SOUND, name="snare.flac"):
    url = f"/api/sessions/{client.post('/api/sessions').json()['id']}"
    if sound:
        assert client.put(f"{url}/sound", params={"name": name}, content=sound).status_code == 200
    return url


def begin(client, url, seconds=0.2, **options):
    return client.post(f"{url}/search", json={"kind": "match", "seconds": seconds, **options})


def until(client, url, wanted, patience=20):
    end, found = time.monotonic() + patience, {"version": -1}
    while time.monotonic() < end:
        found = client.get(url, params={"after": found["version"]}).json()
        if wanted(found):
            return found
    raise AssertionError(found)


def over(found):
    return found["search"]["state"] == "over"


def matched(client, url, **options):
    assert begin(client, url, **options).status_code == 200
    return until(client, url, over)


def refused(answer, status, *words):
    assert answer.status_code == status
    (sentence,) = answer.json().values()
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert "/tmp" not in sentence
    for word in words:
        assert word in sentence


def folder(client):
    return Path(client.app.state.sessions.root.name)
