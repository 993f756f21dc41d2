"""The web page's server over HTTP: what it refuses, whom it lets in, what it leaves behind; and random input."""

import json
import os
import re
import signal
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import visitors
from commands import RATE, process, run, tone
from hypothesis import given, settings, strategies as st
from visitors import (
    SECRET,
    SOUND,
    begin,
    folder,
    matched,
    over,
    refused,
    session,
    testclient,
    until,
    wav,
)

from unsynth.synths import synth
from unsynth.web import routes, sessions as sessions_module
from unsynth.web.app import Limits, make

quick, visit = visitors.quick, visitors.visit  # fixtures
VOICE = synth("voice")


def test_a_bug_is_told_in_a_sentence_too(monkeypatch):
    def fails():
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(routes.views, "instruments", fails)
    client = testclient.TestClient(make(Limits()), base_url="http://localhost", raise_server_exceptions=False)
    refused(client.get("/api/settings"), 500, "a bug in unsynth")


def test_sounds_that_cannot_be_used_are_refused_in_a_sentence(visit):
    client = visit()
    url = session(client, sound=None)
    send = lambda content, name="my song.txt": client.put(f"{url}/sound", params={"name": name}, content=content)  # noqa: E731
    refused(send(b"these are words"), 422, "my song.txt is damaged or not audio")
    refused(send(b""), 422, "not audio")
    refused(send(wav(np.zeros(RATE))), 422, "silent")
    refused(send(wav(tone(5.5))), 422, "more than the 5 seconds")
    refused(send(bytes(1_000_001)), 413, "larger than the 1 MB")
    refused(client.put(f"{url}/sound", content=(bytes(1000) for _ in range(1100))), 413, "larger than the 1 MB")
    refused(begin(client, url), 422, "no sound")
    assert list(folder(client).rglob("*.*")) == []
    assert [path for path in folder(client).rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"kind": "match", "seconds": 0}, "seconds"),
        ({"kind": "match", "seconds": 1e9}, "seconds"),
        ({"kind": "steal", "seconds": 1}, "kind"),
        ({"kind": "match", "seconds": 1, "synth": "../../etc"}, "There is no synth"),
        ({"kind": "refine", "seconds": 1}, "Choose the candidate"),
        ({"kind": "refine", "seconds": 1, "candidate": 999}, "no longer here"),
        ([], "makes no sense"),
    ],
)
def test_searches_that_make_no_sense_are_refused(visit, body, word):
    client = visit()
    url = session(client)
    answer = client.post(f"{url}/search", json=body)
    refused(answer, 404 if word == "no longer here" else 422, word)


def test_edits_that_make_no_sense_are_refused(visit):
    client = visit()
    url = session(client)
    number = matched(client, url)["candidates"][0]["id"]
    for changes in ({"nothing": 0.5}, {VOICE.spec.names[0]: 1.5}, {VOICE.spec.names[0]: "much"}):
        refused(client.post(f"{url}/edits", json={"candidate": number, "changes": changes}), 422)
    huge = json.dumps({"candidate": number, "changes": {"a" * 70_000: 1}})
    refused(client.post(f"{url}/edits", content=huge), 413)


def test_no_name_of_a_visitor_is_a_path(visit, tmp_path):
    client = visit()
    before = set(Path.cwd().iterdir())
    for name in ("../../../etc/passwd", "/etc/passwd", "..\\..\\x.wav", "a\x00b.wav", "..", ""):
        url = session(client, name=name)
        shown = client.get(url).json()["name"]
        assert shown
        assert not set(shown) & set("/\\\0")
    assert set(Path.cwd().iterdir()) == before
    assert all(path.is_relative_to(folder(client)) for path in folder(client).rglob("*"))
    for path in ("/../cli.py", "/%2e%2e/cli.py", "/..%2fcli.py", "/app.py", "/page.html%00", "//etc/passwd"):
        assert client.get(path).status_code == 404
    number = matched(client, url)["candidates"][0]["id"]
    for name in ("..%2f..%2fsound", "%2e%2e", "sound", "match.wav%00"):
        assert client.get(f"{url}/files/{number}/{name}").status_code == 404


def test_nobody_gets_in_without_the_secret(visit):
    client = visit()
    first, second = session(client), session(client)
    assert first != second
    assert len(first.split("/")[-1]) >= 43
    number = matched(client, first)["candidates"][0]["id"]
    assert client.get(f"{second}/sounds/{number}.wav").status_code == 404
    for url in (f"/api/sessions/{SECRET}", f"/api/sessions/{SECRET}/sounds/{number}.wav"):
        refused(client.get(url), 404, "load the page again")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "127.0.0.1:8765", "origin": "http://127.0.0.1:8765"}, 200),
        ({"host": "[::1]:8765"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "localhost.evil.example"}, 403),
        ({"host": "evil.example", "origin": "http://evil.example"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": ""}, 403),
        ({"host": "[::1"}, 403),
    ],
)
def test_other_names_and_other_pages_are_refused(visit, headers, status):
    client = visit()
    assert client.get("/", headers=headers).status_code == status
    assert client.post("/api/sessions", headers=headers).status_code == status
    assert len(client.app.state.sessions.open) == (status == 200)


def test_a_full_line_and_a_full_house_are_told(visit):
    client = visit(waiting=1, sessions=4)
    urls = [session(client) for _ in range(3)]
    begin(client, urls[0], seconds=30)
    until(client, urls[0], lambda found: found["search"]["state"] == "running")
    assert begin(client, urls[1]).json()["search"] == {"kind": "match", "share": 0.0, "state": "waiting", "position": 1}
    refused(begin(client, urls[2]), 503, "Too many people are searching")
    session(client, sound=None)
    refused(client.post("/api/sessions"), 503, "Too many people are here")
    client.post(f"{urls[0]}/stop")
    assert until(client, urls[1], over)["candidates"]
    assert matched(client, urls[2])["candidates"]


@pytest.mark.parametrize("how", ["close", "silence"])
def test_leaving_frees_the_worker(visit, how, monkeypatch):
    client = visit()
    first, second = session(client), session(client)
    begin(client, first, seconds=60)
    until(client, first, lambda found: found["search"]["state"] == "running")
    begin(client, second)
    if how == "close":
        client.post(f"{first}/close")
        assert client.get(first).status_code == 404
    else:
        monkeypatch.setattr(routes, "LONGEST_POLL", 0.2)
        monkeypatch.setattr(sessions_module, "LEFT", 1.0)
    assert until(client, second, over)["candidates"]


def test_files_are_gone_with_their_session_and_with_the_server(visit, monkeypatch):
    client = visit()
    url = session(client)
    own = client.app.state.sessions.open[url.split("/")[-1]].folder
    assert [path.stat().st_size for path in own.iterdir()] == [len(SOUND)]
    assert own.stat().st_mode & 0o077 == 0
    client.app.state.sessions.sweep(time.monotonic() + 10 * sessions_module.FORGOTTEN)
    assert not own.exists()
    assert client.get(url).status_code == 404
    session(client)
    client.__exit__(None, None, None)
    assert not folder(client).exists()
    client.__enter__()


def test_answers_allow_nothing_from_elsewhere(visit):
    page = visit().get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "http://" not in page.text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page.text


@pytest.mark.parametrize(
    ("options", "word"),
    [(["--host", "0.0.0.0"], "--expose"), (["--workers", "-1"], "above zero"), (["--port", "99999"], "--port")],
)
def test_the_command_refuses_in_a_sentence(capsys, options, word):
    code, _, err = run(capsys, "serve", *options)
    assert code == 2
    assert word in err
    assert err.count("\n") == 1


def test_exposure_is_warned_of_and_nothing_is_left_behind(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with process("serve", "--port", "0", "--host", "0.0.0.0", "--expose", env=environment) as server:
        address = re.search(r"http://0.0.0.0:(\d+)/", server.stdout.readline())
        with httpx.Client(base_url=f"http://127.0.0.1:{address[1]}", timeout=20) as client:
            url = session(client)
            begin(client, url, seconds=60)
            until(client, url, lambda found: found["search"]["state"] == "running")
            assert len(list(tmp_path.glob("unsynth-web-*/*/*"))) == 1
            assert client.get("/", headers={"host": "evil.example"}).status_code == 403
        server.send_signal(signal.SIGINT)
        _, err = server.communicate(timeout=20)
    assert "Everybody who can reach this machine" in err
    assert "Traceback" not in err
    assert list(tmp_path.glob("unsynth-web-*")) == []


@pytest.fixture(scope="module")
def open_house():
    with testclient.TestClient(make(Limits(megabytes=0.1)), base_url="http://localhost") as client:
        yield client, session(client)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["kind", "synth", "seconds", "candidate", "held", "changes"])


@settings(max_examples=150, deadline=None)
@given(where=st.sampled_from(["search", "edits"]), body=st.dictionaries(FIELDS, JSON) | JSON | st.binary())
def test_no_body_breaks_the_server(open_house, where, body):
    client, url = open_house
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.post(f"{url}/{where}", content=content, headers={"content-type": "application/json"})
    refused(answer, answer.status_code)
    assert 400 <= answer.status_code < 500


@settings(max_examples=100, deadline=None)
@given(
    name=st.text(),
    start=st.integers(0, len(SOUND)),
    content=st.binary(max_size=200),
    kept=st.integers(0, len(SOUND)),
)
def test_no_sound_and_no_name_break_the_server(open_house, name, start, content, kept):
    client, url = open_house
    damaged = (SOUND[:start] + content + SOUND[start + len(content) :])[:kept]
    answer = client.put(f"{url}/sound", params={"name": name.encode(errors="replace")}, content=damaged)
    if answer.status_code == 200:
        assert answer.json()["name"].isprintable()
    else:
        refused(answer, 422)


def test_one_sound_at_a_time(visit):
    client = visit()
    url = session(client)
    own = client.app.state.sessions.open[url.split("/")[-1]]
    own.receiving = True
    refused(client.put(f"{url}/sound", content=SOUND), 409, "on its way")
    assert client.get(url).json()["name"] == "snare.flac"
