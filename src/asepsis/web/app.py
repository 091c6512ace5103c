"""The pages of one room: rendered on the server, without any script, every value escaped.

A page that fails shows the error's code and hint, in HTML to a browser and as a problem document to programs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from asepsis import __version__
from asepsis.bootstrap.room import Room
from asepsis.domain.names import ReleaseId
from asepsis.errors import AsepsisError
from asepsis.errors.server import AddressUnknown, MethodRefused, RequestRefused
from asepsis.web import views
from asepsis.web.formats import FILTERS
from asepsis.wire.problem import PROBLEM_TYPE, Problem

STATIC: Final[Mapping[str, str]] = {"asepsis.css": "text/css", "mark.svg": "image/svg+xml"}
_RELEASE: Final = re.compile(r"release-[0-9a-f]{16}")
_NOT_FOUND: Final = 404
_NOT_ALLOWED: Final = 405
_LONGEST_NUMBER: Final = 9


def application(room: Room) -> Starlette:
    """The pages as one application."""
    app = Starlette(
        routes=[
            Route("/", _overview),
            Route("/releases/{release_id}", _release),
            Route("/ledger", _ledger),
            Route("/host", _host),
            Route("/static/{name}", _static),
        ],
        exception_handlers={AsepsisError: _known, HTTPException: _framework, Exception: _known},
    )
    app.state.room = room
    app.state.templates = environment()
    return app


def environment() -> Environment:
    """The templates: a name that is not given is an error, a value that is given is escaped."""
    templates = Environment(
        loader=PackageLoader("asepsis.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= FILTERS
    return templates


def _overview(request: Request) -> Response:
    return _page(request, "overview.html", view=views.overview(_room(request)))


def _release(request: Request) -> Response:
    wanted = ReleaseId(request.path_params["release_id"])
    if _RELEASE.fullmatch(wanted) is None:
        raise AddressUnknown
    return _page(request, "release.html", view=views.release_page(_room(request), wanted))


def _ledger(request: Request) -> Response:
    page = request.query_params.get("page", "1")
    if not page.isascii() or not page.isdigit() or len(page) > _LONGEST_NUMBER or int(page) < 1:
        raise RequestRefused(part="page")
    room = _room(request)
    head = views.ledger_head(room, views.contract_state(room))
    return _page(request, "ledger.html", view=views.ledger_page(room, int(page)), head=head)


def _host(request: Request) -> Response:
    return _page(request, "host.html", view=views.host_page(_room(request)))


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        raise AddressUnknown
    return Response(files("asepsis.web").joinpath("static", name).read_bytes(), media_type=STATIC[name])


def _page(request: Request, template: str, *, status: int = 200, **values: object) -> Response:
    templates: Environment = request.app.state.templates
    room = _room(request)
    html = templates.get_template(template).render(
        path=request.url.path, origin=room.origin, version=__version__, **values
    )
    return HTMLResponse(html, status)


def _known(request: Request, error: Exception) -> Response:
    return _failure(request, error if isinstance(error, AsepsisError) else AsepsisError())


def _framework(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else AsepsisError.kind.http_status
    if status == _NOT_FOUND:
        return _failure(request, AddressUnknown())
    if status == _NOT_ALLOWED:
        return _failure(request, MethodRefused(), status=status)
    return _failure(request, RequestRefused(part="request"), status=status)


def _failure(request: Request, error: AsepsisError, *, status: int | None = None) -> Response:
    problem = Problem.of(error.as_dict(), status=status or error.kind.http_status)
    if "text/html" in request.headers.get("accept", ""):
        return _page(request, "error.html", status=problem.status, problem=problem)
    return Response(problem.model_dump_json(), problem.status, media_type=PROBLEM_TYPE)


def _room(request: Request) -> Room:
    room: Room = request.app.state.room
    return room
