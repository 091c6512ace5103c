"""The server of one room: version 1 of the API, and the pages that it is given, behind one guard and one door."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from asepsis import __version__
from asepsis.api.door import Door
from asepsis.api.guard import Guard
from asepsis.api.problems import add_problems
from asepsis.api.routes import router
from asepsis.bootstrap.room import Room

_LARGEST_BODY: Final = 4096
_PREFIXES: Final = ("/v1/", "/healthz/")


def application(room: Room, *, pages: ASGIApp) -> ASGIApp:
    """Serve the API under ``/v1`` and ``/healthz``, and the pages everywhere else."""
    return Guard(Door(_Doors(interface(room), pages), room))


def interface(room: Room) -> FastAPI:
    """The API alone.

    Telemetry is off: its spans would carry messages of exceptions. The pages of the framework's documentation
    are off: they load scripts from elsewhere.
    """
    app = FastAPI(
        title="Asepsis",
        version=__version__,
        summary="A room, read-only: contract, releases, runs, referrals, snapshots, ledger.",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        max_body_size=_LARGEST_BODY,
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    app.state.room = room
    add_problems(app)
    app.include_router(router)
    return app


class _Doors:
    """Sends each request to the API or to the pages."""

    def __init__(self, interface: ASGIApp, pages: ASGIApp) -> None:
        self._interface = interface
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_interface = f"{scope['path']}/".startswith(_PREFIXES)
        await (self._interface if is_interface else self._pages)(scope, receive, send)
