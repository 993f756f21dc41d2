"""What a request must be before anything looks at it: from our own page, to a name of ours, and not too large."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DIGITS = 18  # of the length of a request
SMALL = 64 * 1024  # bytes of a request that is no sound
ELSEWHERE = "This page is for requests from itself; open it by its own address."
TOO_LARGE = "This file is larger than the {:g} MB that are taken here; send a shorter sound."
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'"
HEADERS = {
    "content-security-policy": f"{POLICY}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class Guard:
    """Refuses requests for other hosts (DNS rebinding) or from other pages, and bodies that are too large.

    An attacker's page can make its own name point here, but then that name is in the Host header; an address of digits
    cannot be rebound.

    Args:
        app: what is guarded.
        names: host names that are ours, besides addresses of digits.
        most_bytes: size of a sound at most.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str], most_bytes: int) -> None:
        self.app, self.names, self.most_bytes = app, names, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers, most = Headers(scope=scope), self.most_bytes if scope["path"].endswith("/sound") else SMALL

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if not self._is_ours(headers):
            return await JSONResponse({"error": ELSEWHERE}, 403)(scope, receive, answer)
        claimed = headers.get("content-length", "0")
        if not _is_count(claimed) or int(claimed) > most:
            return await JSONResponse({"error": too_large(most)}, 413)(scope, receive, answer)
        await self.app(scope, _counted(receive, most), answer)

    def _is_ours(self, headers: Headers) -> bool:
        host, origin = headers.get("host", ""), headers.get("origin")
        return self._is_name(host) and (origin is None or _place(origin) == host)

    def _is_name(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in self.names or bool(ipaddress.ip_address(name))
        except ValueError:
            return False


def _place(origin: str) -> str:
    """Host and port of an origin; empty where it is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _is_count(text: str) -> bool:
    """Whether a header is a number of bytes, in the digits that HTTP has."""
    return text.isascii() and text.isdigit() and len(text) <= DIGITS


def too_large(most: int) -> str:
    """The sentence for bodies of more than ``most`` bytes."""
    return TOO_LARGE.format(most / 1e6)


def _counted(receive: Receive, most: int) -> Receive:
    """``receive`` until the body is longer than ``most``, whatever its header says."""
    taken = 0

    async def receive_some() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise HTTPException(413, too_large(most))
        return message

    return receive_some
