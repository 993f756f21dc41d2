"""The web page's server, in this process: every route with hostile methods, paths, headers and bodies.

Requests are given to the ASGI application itself, as no client would send most of them. One search is made before;
those that are asked for later wait for a worker that is not there.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch
from urllib.parse import quote_from_bytes, unquote_to_bytes

from bench.fuzz.damage import Text, damaged, encoded
from bench.fuzz.sounds import KINDS, sound
from bench.fuzz.trial import Target, WrongError, check_sentence
from unsynth.base import UnsynthError
from unsynth.web import routes
from unsynth.web.app import Limits, make
from unsynth.web.searching import search
from unsynth.web.turns import Turn

FINE, MISTAKES = range(200, 300), (*range(400, 500), 503)
OURS = re.compile(r"/(?:tmp|dev/shm)[\w./-]*[\w-]")  # paths, where the server's own files lie
STRANGE = (
    *(b"..", b"%2e%2e%2f%2e%2e%2fetc%2fpasswd", b"\0", b"-1", b"0", b"9" * 30, b"9" * 5000, b"1e9", b"\xff\xfe"),
    *(b"", b"1.wav", b"match.wav", b"page.html", b"plugin:%2ftmp%2fx.vst3", b"voice", b"%ed%a0%80", b"\xc2\xb2", b"?"),
    *(b"a" * 3000, b"{}", b"nan"),
)  # fmt: skip
VALUES = {
    b"host": (b"", b"evil.example", b"[::1", b"[::1]", b"localhost:99999", b"\xff", b"127.0.0.1:x", b"a@localhost"),
    b"origin": (b"null", b"http://[", b"http://localhost", b"http://[::1", b"\xb2", b"", b"http://a\0b"),
    b"content-length": (
        b"-1", b"\xb2", b"9" * 30, b"9" * 5000, b"", b"0x10", b"1e3", b"+1", b"99", b"\xd9\xa3",
    ),
    b"content-type": (
        b"multipart/form-data; boundary=x", b"multipart/form-data", b"text/plain", b"a", b"\xff",
        b"application/json; charset=utf-99",
    ),
    b"range": (b"bytes=0-", b"bytes=-1", b"bytes=9-1,2-3," + b"1-2," * 500, b"bytes=a-b", b"\xff"),
    b"content-encoding": (b"gzip",), b"transfer-encoding": (b"chunked",), b"cookie": (b"a=b;" * 2000,),
    b"x-forwarded-host": (b"evil",), b"expect": (b"100-continue",), b"if-none-match": (b"*",),
}  # fmt: skip
HEADERS = tuple((name, value) for name, values in VALUES.items() for value in values)
PARTS = b'--x\r\nContent-Disposition: form-data; name="a"; filename="../../b"\r\n\r\nc\r\n--x--\r\n'


@dataclass(frozen=True)
class Request:
    """What is asked; the body comes in pieces, and may end with the visitor gone."""

    method: str
    path: bytes
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: tuple[bytes, ...] = ()
    gone: bool = False


@dataclass
class Answer:
    """What came back."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


class Visitor:
    """A session with a sound and four candidates, and what asks for it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.app = make(Limits(workers=0, waiting=2, sessions=4, seconds=5.0, megabytes=0.1))
        self.sessions = self.app.state.sessions
        self.good = sound("WAV", "PCM_16", 44_100, 1)
        self.begin()

    def begin(self) -> None:
        """Another session, in place of all that there are."""
        for session in list(self.sessions.open.values()):
            self.sessions.close(session)
        self.id = json.loads(self.ask(Request("POST", b"/api/sessions")).body)["id"].encode()
        self.ask(Request("PUT", b"/api/sessions/%s/sound" % self.id, b"name=a.wav", body=(self.good,)))
        own = self.sessions.open[self.id.decode()]
        own.turn = Turn(own.id, lambda turn: None)
        task = own.task("match", "voice", 0.2, None, [])
        task.options["method"] = "random"  # what a search finds does not matter
        search(own, task, own.turn)
        self.numbers = [own.target[0], *own.found] if own.target else []
        self.name = own.takes[own.found[0]].spec.names[0]

    def ask(self, request: Request) -> Answer:
        with patch.object(routes, "LONGEST_POLL", 0.0):
            return self.loop.run_until_complete(asked(self.app, request))


async def asked(app: Any, request: Request) -> Answer:
    """What the application answers."""
    answer, parts = Answer(), list(request.body) or [b""]
    path = request.path.decode("latin-1")
    usual = {b"host": b"localhost", b"content-type": b"application/json"}
    given = {name for name, _ in request.headers}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": request.method,
        "path": path,
        "raw_path": request.path,
        "query_string": request.query,
        "root_path": "",
        "client": ("127.0.0.1", 9),
        "server": ("localhost", 80),
        "headers": [*((name, value) for name, value in usual.items() if name not in given), *request.headers],
    }

    async def receive() -> dict[str, Any]:
        if not parts or (request.gone and len(parts) == 1):
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], dict(message["headers"])
        answer.body += message.get("body", b"")

    await app(scope, receive, send)
    return answer


def server(folder: Path) -> Target:
    visitor = Visitor()
    seeds = [sound(*kind) for kind in KINDS]
    return Target("web", partial(_request, visitor, seeds), partial(_give, visitor))


def _give(visitor: Visitor, request: Request) -> None:
    answer = visitor.ask(request)
    if request.path.endswith(b"/close") or visitor.id.decode() not in visitor.sessions.open:
        visitor.begin()
    if request.gone or answer.status in FINE:
        return
    if answer.status not in MISTAKES:
        raise WrongError(f"status {answer.status}")
    if b"json" in answer.headers.get(b"content-type", b""):
        (sentence,) = json.loads(answer.body).values()
        check_sentence(sentence)
        sent = unquote_to_bytes(b"".join((request.path, request.query, *request.body))).decode(errors="replace")
        if any(path not in sent for path in OURS.findall(sentence)):
            raise WrongError("a path of the server's")
    elif answer.body:
        raise WrongError(f"no sentence: {answer.body[:80]!a}")
    raise UnsynthError("It was refused with a sentence.")


def _request(visitor: Visitor, seeds: list[bytes], rng: Random) -> Request:
    method, path, query, body = rng.choice(ROUTES)(visitor, seeds, rng)
    if rng.random() < 0.15:
        pieces = path.split(b"/")
        pieces[rng.randrange(len(pieces))] = rng.choice(STRANGE)
        path = b"/".join(pieces)
    if rng.random() < 0.1:
        method = rng.choice(("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "PATCH", "get", "\0"))
    headers = tuple(rng.choices(HEADERS, k=rng.choice((0, 0, 0, 1, 1, 2))))
    parts = (body,) if rng.random() < 0.7 else (body[: len(body) // 2], body[len(body) // 2 :])
    return Request(method, path, query, headers, parts, rng.random() < 0.03)


Route = tuple[str, bytes, bytes, bytes]


def _number(visitor: Visitor, rng: Random) -> bytes:
    return str(rng.choice(visitor.numbers)).encode() if rng.random() < 0.7 else rng.choice(STRANGE)


def _body(rng: Random, told: dict[str, Any]) -> bytes:
    if rng.random() < 0.05:
        return damaged(rng, PARTS)
    return encoded(rng, Text(json.dumps(told)).damaged(rng)) if rng.random() < 0.9 else json.dumps(told).encode()


def _page(visitor: Visitor, seeds: list[bytes], rng: Random) -> Route:
    return "GET", b"/" + rng.choice((b"", b"page.js", b"app.py", *STRANGE)), b"", b""


def _settings(visitor: Visitor, seeds: list[bytes], rng: Random) -> Route:
    names = (b"voice", b"drum", b"dexed", b"moog", *STRANGE)
    return "GET", rng.choice((b"/api/settings", b"/api/synths/" + rng.choice(names))), b"", b""


def _sessions(visitor: Visitor, seeds: list[bytes], rng: Random) -> Route:
    return "POST", b"/api/sessions", b"", _body(rng, {})


def _state(visitor: Visitor, seeds: list[bytes], rng: Random) -> Route:
    what = rng.choice((b"", b"", b"/stop", b"/close" if rng.random() < 0.02 else b""))
    return "POST" if what else "GET", b"/api/sessions/" + visitor.id + what, b"after=" + rng.choice(STRANGE), b""


def _sound(visitor: Visitor, seeds: list[bytes], rng: Random) -> Route:
    data = damaged(rng, rng.choice(seeds), seeds)
    name = quote_from_bytes(rng.choice((b"a.wav", "\u202eé".encode(), b"\x1b[2J", *STRANGE))).encode()
    query = (
        b"name=" + name + rng.choice((b"", b"&synth=drum", b"&synth=" + quote_from_bytes(rng.choice(STRANGE)).encode()))
    )
    return "PUT", b"/api/sessions/" + visitor.id + b"/sound", query, data if rng.random() < 0.99 else bytes(200_000)


def _search(visitor: Visitor, seeds: list[bytes], rng: Random) -> Route:
    told = {
        "kind": rng.choice(("match", "vary")),
        "synth": "voice",
        "seconds": 1,
        "candidate": visitor.numbers[-1],
        "held": [visitor.name],
    }
    return "POST", b"/api/sessions/" + visitor.id + b"/search", b"", _body(rng, told)


def _edits(visitor: Visitor, seeds: list[bytes], rng: Random) -> Route:
    told = {"candidate": rng.choice(visitor.numbers), "changes": {visitor.name: 0.5}}
    return "POST", b"/api/sessions/" + visitor.id + b"/edits", b"", _body(rng, told)


def _heard(visitor: Visitor, seeds: list[bytes], rng: Random) -> Route:
    what = rng.choice(
        (b"sounds/%s.wav", b"pictures/%s.png", b"files/%s", b"files/%s/patch.json", b"files/%s/match.wav", b"knobs/%s")
    )
    if rng.random() < 0.8:  # most numbers are of nothing: what is heard takes long
        return "GET", b"/api/sessions/" + visitor.id + b"/" + what % rng.choice(STRANGE), b"", b""
    return "GET", b"/api/sessions/" + visitor.id + b"/" + what % _number(visitor, rng), b"", b""


ROUTES = (_page, _settings, _sessions, _state, _sound, _search, _edits, _heard)
TARGETS = {"web": server}
