"""The web page's server: a thin layer of HTTP over sessions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from unsynth.base import NotFoundError, UnsynthError
from unsynth.web.guard import Guard
from unsynth.web.routes import router
from unsynth.web.sessions import Sessions
from unsynth.web.turns import Turns

ASSETS = {  # the only files that are served
    "page.html": "text/html",
    "page.css": "text/css",
    "page.js": "text/javascript",
    "player.js": "text/javascript",
    "sound.js": "text/javascript",
    "cards.js": "text/javascript",
    "knobs.js": "text/javascript",
}
SWEEP = 1.0  # seconds


@dataclass(frozen=True)
class Limits:
    """What visitors may ask for.

    Args:
        workers: searches at once.
        waiting: searches that may wait.
        sessions: people.
        seconds: length of a sound.
        megabytes: size of a sound.
    """

    workers: int = 1
    waiting: int = 64
    sessions: int = 64
    seconds: float = 30.0
    megabytes: float = 20.0


def make(limits: Limits, names: frozenset[str] = frozenset({"localhost"})) -> FastAPI:
    """The server as an ASGI application; ``names`` are the host names that it answers to."""
    sessions = Sessions(Turns(limits.workers, limits.waiting), limits.sessions, limits.seconds)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(_sweep(sessions))
        yield
        sweeping.cancel()
        await run_in_threadpool(sessions.close_all)

    app = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.sessions, app.state.limits = sessions, limits
    app.include_router(router)
    app.add_middleware(Guard, names=names, most_bytes=round(limits.megabytes * 1e6))
    _tell_errors(app)
    _serve_assets(app)

    return app


async def _sweep(sessions: Sessions) -> None:
    while True:
        await asyncio.sleep(SWEEP)
        await run_in_threadpool(sessions.sweep, time.monotonic())


def _tell_errors(app: FastAPI) -> None:
    """Every error is one sentence under ``error``."""

    @app.exception_handler(UnsynthError)
    async def mistake(request: Request, error: UnsynthError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 404 if isinstance(error, NotFoundError) else 422)

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": "That failed, which is a bug in unsynth; the server's terminal tells more."}, 500)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": f"{error.detail.rstrip('.')}."}, error.status_code)

    @app.exception_handler(RequestValidationError)
    async def misspelt(request: Request, error: RequestValidationError) -> JSONResponse:
        where = ascii(".".join(map(str, error.errors()[0]["loc"])))[1:100].strip("'")
        return JSONResponse({"error": f"The request makes no sense at {where}; load the page again."}, 422)


def _serve_assets(app: FastAPI) -> None:
    folder = files("unsynth.web")
    contents = {name: folder.joinpath(name).read_bytes() for name in ASSETS}

    @app.get("/")
    def page() -> Response:
        return asset("page.html")

    @app.get("/{name}")
    def asset(name: str) -> Response:
        if name not in contents:
            raise HTTPException(404, "There is no such page.")
        return Response(contents[name], media_type=ASSETS[name])
