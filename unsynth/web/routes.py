"""What the page can ask for. Every answer about a session needs its secret id; errors are told in unsynth.web.app."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from queue import Full
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from unsynth import audio
from unsynth.web import views
from unsynth.web.session import Kind, Session, offered
from unsynth.web.sessions import Sessions

Json = dict[str, Any]
Name = Annotated[str, Field(max_length=100)]

BUDGETS = (1, 3, 10, 30, 60)  # seconds of search to choose from
LONGEST_POLL = 2.0  # seconds that an answer waits for news
LOOK = 0.05
BUSY = "Too many people are searching here at the moment; try again in a minute."
INCOMPLETE = "The sound did not arrive as a whole; send it again."
CROWDED = "Too many people are here at the moment; try again in a few minutes."

router = APIRouter()


async def everybody(request: Request) -> Sessions:
    """The sessions of the server that was asked."""
    return request.app.state.sessions


async def whose(secret: str, request: Request) -> Session:
    """The session of a request."""
    return request.app.state.sessions.get(secret)


All = Annotated[Sessions, Depends(everybody)]
Own = Annotated[Session, Depends(whose)]


class SearchRequest(BaseModel):
    """A search to begin."""

    kind: Kind
    synth: Name = "voice"
    seconds: float = Field(gt=0, le=BUDGETS[-1])
    candidate: int | None = None
    held: list[Name] = Field(default=[], max_length=1000)


class EditRequest(BaseModel):
    """Knobs turned."""

    candidate: int
    changes: dict[Name, float] = Field(max_length=1000)


@router.get("/api/settings")
async def settings(request: Request) -> Json:
    """What can be chosen, and what the limits are."""
    limits = request.app.state.limits
    return {"synths": views.instruments(), "budgets": BUDGETS, "seconds": limits.seconds, "megabytes": limits.megabytes}


@router.get("/api/synths/{name}")
def knobs_of(name: str) -> Json:
    """The knobs of a synth."""
    return views.params_of(offered(name))


@router.post("/api/sessions")
async def create(sessions: All) -> Json:
    """A session, by the id that everything else asks for."""
    try:
        return {"id": sessions.create().id}
    except Full:
        raise HTTPException(503, CROWDED) from None


@router.post("/api/sessions/{secret}/close")
async def close(sessions: All, session: Own) -> Json:
    """The page was closed."""
    sessions.close(session)
    return {}


@router.get("/api/sessions/{secret}")
async def state(sessions: All, session: Own, after: int = -1) -> Json:
    """All that the page shows, as soon as it is newer than version ``after`` or a while has passed."""
    until = time.monotonic() + LONGEST_POLL
    while session.version <= after and time.monotonic() < until:
        await asyncio.sleep(LOOK)
    return session.state(sessions.turns.position)


@router.put("/api/sessions/{secret}/sound")
async def send(request: Request, sessions: All, session: Own, name: str = "", synth: str = "voice") -> Json:
    """The body is a sound file to match."""
    instrument, path = offered(synth), session.folder / uuid4().hex
    if session.receiving:
        raise HTTPException(409, "Another sound is on its way already; wait until it is here.")
    session.receiving = True
    try:
        await _receive(request, path)
        sessions.stop(session)
        await run_in_threadpool(sessions.render, session.load, path, name, instrument)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        session.receiving = False
    return session.state(sessions.turns.position)


@router.post("/api/sessions/{secret}/search")
def begin(asked: SearchRequest, sessions: All, session: Own) -> Json:
    """Begin a search in place of the one before."""
    task = session.task(asked.kind, asked.synth, asked.seconds, asked.candidate, asked.held)
    try:
        sessions.begin(session, task)
    except Full:
        raise HTTPException(503, BUSY) from None
    return session.state(sessions.turns.position)


@router.post("/api/sessions/{secret}/stop")
async def stop(sessions: All, session: Own) -> Json:
    """End the search, and keep what it found."""
    sessions.stop(session)
    return session.state(sessions.turns.position)


@router.post("/api/sessions/{secret}/edits")
def edit(asked: EditRequest, sessions: All, session: Own) -> Json:
    """Turn knobs of a candidate, which gives another one."""
    number = sessions.render(session.edit, asked.candidate, asked.changes)
    return {"candidate": number, **session.state(sessions.turns.position)}


@router.get("/api/sessions/{secret}/knobs/{number}")
def knobs(number: int, sessions: All, session: Own) -> Json:
    """How much each knob of a candidate can be heard."""
    return {"decibels": sessions.render(session.knobs, number)}


@router.get("/api/sessions/{secret}/sounds/{number}.wav")
def heard(number: int, sessions: All, session: Own) -> Response:
    """A candidate, or the target, at the loudness of the target."""
    sounds, rate = sessions.render(session.heard, number)
    return Response(audio.wav(sounds[-1], rate), media_type="audio/wav")


@router.get("/api/sessions/{secret}/pictures/{number}.png")
def picture(number: int, sessions: All, session: Own) -> Response:
    """The spectrogram of a candidate, or of the target."""
    sounds, rate = sessions.render(session.heard, number)
    return Response(sessions.render(views.picture, sounds, rate), media_type="image/png")


@router.get("/api/sessions/{secret}/files/{number}")
def listing(number: int, sessions: All, session: Own) -> Json:
    """The names of the files of a candidate."""
    return {"files": list(sessions.render(views.files, session.take(number)))}


@router.get("/api/sessions/{secret}/files/{number}/{name}")
def download(number: int, name: str, sessions: All, session: Own) -> Response:
    """One of these files."""
    found = sessions.render(views.files, session.take(number))
    if name not in found:
        raise HTTPException(404, "There is no such file.")
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(found[name], media_type="application/octet-stream", headers=headers)


async def _receive(request: Request, path: Path) -> None:
    """The body of ``request`` in a new file."""
    try:
        with path.open("xb") as file:
            async for chunk in request.stream():
                file.write(chunk)
    except ClientDisconnect:
        raise HTTPException(400, INCOMPLETE) from None
