"""Errors as problem documents (RFC 9457): one shape for every endpoint, made from code and public names only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from asepsis.errors import AsepsisError
from asepsis.errors.server import AddressUnknown, MethodRefused, RequestRefused
from asepsis.wire.problem import PROBLEM_TYPE, Problem

_NOT_FOUND: Final = 404
_NOT_ALLOWED: Final = 405


def add_problems(app: FastAPI) -> None:
    """Let every error of the application leave as a problem."""
    app.add_exception_handler(AsepsisError, _known)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(Exception, _known)


def problem_response(
    error: AsepsisError, *, status: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer for an error."""
    problem = Problem.of(error.as_dict(), status=status or error.kind.http_status)
    return Response(problem.model_dump_json(), problem.status, headers, PROBLEM_TYPE)


def _known(_request: Request, error: Exception) -> Response:
    return problem_response(error if isinstance(error, AsepsisError) else AsepsisError())


def _malformed(_request: Request, error: Exception) -> Response:
    """Only the name of the parameter is told: it is ours, its value is not."""
    places = error.errors() if isinstance(error, RequestValidationError) else ()
    part = next((str(place["loc"][-1]) for place in places if place["loc"]), "request")
    return problem_response(RequestRefused(part=part))


def _framework(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else AsepsisError.kind.http_status
    headers = error.headers if isinstance(error, HTTPException) else None
    if status == _NOT_FOUND:
        return problem_response(AddressUnknown())
    if status == _NOT_ALLOWED:
        return problem_response(MethodRefused(), status=status, headers=headers)
    return problem_response(RequestRefused(part="request"), status=status)
