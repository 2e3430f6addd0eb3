"""The page of a listening test: hands out one comparison at a time, and stores each answer as it is given."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel
from starlette.middleware.trustedhost import TrustedHostMiddleware

from foleykit.core.errors import UsageError
from foleykit.jobs.listen_store import AnswerError, ListeningStudy

STATIC = Path(__file__).parent / "static"
LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
# The page brings everything it needs, and talks to nobody else.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Name(BaseModel):
    """Who listens."""

    name: str


class Places(BaseModel):
    """Which sounds were chosen, counted from 0."""

    places: list[int]


def create_app(study: ListeningStudy, *, hosts: tuple[str, ...] = LOOPBACK) -> FastAPI:
    """Return the server of a test that answers requests to `hosts`, or to any with ("*",)."""
    # Generated API pages would load scripts from elsewhere.
    app = FastAPI(title=study.title, docs_url=None, redoc_url=None, openapi_url=None)
    # A page of another site that points its own name at this machine is refused.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    cookie = f"listener_{study.id}"

    @app.middleware("http")
    async def add_headers(request: Request, call_next: Callable[[Request], Any]) -> Response:
        response: Response = await call_next(request)
        response.headers.update(HEADERS)
        return response

    @app.exception_handler(AnswerError)
    def refuse(request: Request, error: AnswerError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=409)

    for address, name in (("/", "listen.html"), ("/listen.js", "listen.js"), ("/listen.css", "listen.css")):
        app.get(address)(_file(STATIC / name))

    def token_of(request: Request) -> str:
        return request.cookies.get(cookie, "")

    def state(token: str) -> dict[str, Any]:
        is_known = study.knows(token)
        trial = study.current_trial(token) if is_known else None
        return {
            "title": study.title,
            "several": study.several,
            "questions": study.questions,
            "has_joined": is_known,
            "trial": None
            if trial is None
            else {
                "number": trial.number,
                "num_trials": trial.num_trials,
                "sounds": [f"/media/{sound}" for sound in trial.sounds],
                "answers": trial.answers,
            },
        }

    @app.get("/api/state")
    def get_state(request: Request) -> dict[str, Any]:
        return state(token_of(request))

    @app.post("/api/join")
    def join(who: Name, response: Response) -> dict[str, Any]:
        token = study.join(who.name)
        response.set_cookie(cookie, token, max_age=365 * 86_400, httponly=True, samesite="strict")
        return state(token)

    @app.post("/api/leave")
    def leave(response: Response) -> dict[str, Any]:
        response.delete_cookie(cookie)
        return state("")

    @app.put("/api/trials/{number}/answers/{criterion}")
    def answer(number: int, criterion: str, chosen: Places, request: Request) -> dict[str, Any]:
        study.answer(token_of(request), number, criterion, chosen.places)
        return {"is_saved": True}

    @app.post("/api/trials/{number}/finish")
    def finish(number: int, request: Request) -> dict[str, Any]:
        study.finish(token_of(request), number)
        return state(token_of(request))

    @app.get("/media/{sound}")
    def media(sound: str, request: Request) -> Response:
        path = study.media_path(token_of(request), sound)
        if path is None:
            return JSONResponse({"error": "there is no such sound"}, status_code=404)
        return FileResponse(path, media_type="video/webm")

    return app


def serve(study: ListeningStudy, *, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve a test until the process is stopped; calls `announce` with its address once it can be reached.

    Port 0 takes a free one. Raises UsageError when the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise UsageError(f"cannot listen on {host} port {port}: {error}; choose another with --port") from error
    with listening:
        shown = f"[{host}]" if ":" in host else host
        announce(f"http://{shown}:{listening.getsockname()[1]}/")
        app = create_app(study, hosts=LOOPBACK if host in LOOPBACK else ("*",))
        uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listening])


def _file(path: Path) -> Callable[[], FileResponse]:
    def send() -> FileResponse:
        return FileResponse(path)

    return send
