"""Errors of the web server: its address, its requests, its pages."""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class AddressNotLoopback(AsepsisError):
    """The server has no login yet, so it may speak to its own machine only."""

    kind = Kind.DENIED
    code = "server.address_not_loopback"
    message = "The room has no login yet and is served on a loopback address only; that is not one."
    hint = "Leave out --host, or name 127.0.0.1 or ::1; reach it from elsewhere through an SSH tunnel."


class PortUnavailable(AsepsisError):
    """Another program listens there, or the port is reserved."""

    kind = Kind.UNAVAILABLE
    code = "server.port_unavailable"
    message = "Port {port} cannot be used."
    hint = "Name another one with --port; 0 takes any free one."


class HostNotNamed(AsepsisError):
    """A browser was led here under a name of somebody else (DNS rebinding)."""

    kind = Kind.DENIED
    code = "http.host_not_named"
    message = "This server answers under its own loopback address only."
    hint = "Open the address that 'asepsis serve' printed."


class AddressUnknown(AsepsisError):
    """Nothing is served at that address."""

    kind = Kind.MISSING
    code = "http.address_unknown"
    message = "There is nothing at this address."
    hint = "Start at / for people, or at /v1/openapi.json for programs."


class MethodRefused(AsepsisError):
    """The room is served read-only."""

    kind = Kind.DENIED
    code = "http.method_refused"
    message = "The room can only be looked at here."
    hint = "Use GET; acts are made with the 'asepsis' command by the party that makes them."


class RequestRefused(AsepsisError):
    """A part of the request has the wrong form."""

    kind = Kind.INVALID
    code = "http.request_refused"
    message = "The request was refused: '{part}' has not the form that is needed."
    hint = "Look up its form at /v1/openapi.json."
