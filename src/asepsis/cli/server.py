"""``asepsis serve`` and ``asepsis doctor``: look at a room in a browser, and see whether this machine can run one.

Neither changes anything. The doors that are served are named, not imported: the command line starts them as a
process manager would, and knows nothing else of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from asepsis.cli.options import DEFAULT_ROOM, JsonOption, RoomOption
from asepsis.cli.report import emit, reported
from asepsis.errors import AsepsisError, Kind
from asepsis.errors.server import AddressNotLoopback, PortUnavailable

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from asepsis.bootstrap.room import Room

API: Final = "asepsis.api.app:application"
WEB: Final = "asepsis.web.app:application"
LIBRARIES: Final = (
    "blake3", "cryptography", "duckdb", "fastapi", "jinja2", "pyarrow", "pydantic", "rfc8785", "sqlalchemy",
    "sqlglot", "starlette", "structlog", "typer", "uvicorn", "zstandard",
)  # fmt: skip
LEAST_PYTHON: Final = (3, 11)
LEAST_FREE: Final = 2 << 30
"""Bytes of disk: a contribution keeps its staging tables beside the sealed snapshot for a while."""

_MEASURE: Final = "from asepsis.attest.process import measure; print(measure())"
_PATIENCE_SECONDS: Final = 120
_IPV6: Final = 6


def serve(
    room: RoomOption = DEFAULT_ROOM,
    host: Annotated[str, typer.Option("--host", help="The loopback address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 takes any free one.")] = 8765,
) -> None:
    """Show the room in a browser, read-only, on this machine."""
    with reported():
        address = _loopback(host)
        from asepsis.bootstrap.room import open_room

        opened = open_room(room)
        app = application(opened)
        with _listen(address, port) as listener:
            name = f"[{address}]" if address.version == _IPV6 else str(address)
            typer.echo(
                f"{opened.origin} is at http://{name}:{listener.getsockname()[1]}/  (read-only; end with Ctrl-C)"
            )
            sys.stdout.flush()
            _run(app, listener)


def application(room: Room) -> ASGIApp:
    """The API and the pages of a room as one application."""
    from uvicorn.importer import import_from_string

    app: ASGIApp = import_from_string(API)(room, pages=import_from_string(WEB)(room))
    return app


def doctor(
    room: Annotated[Path | None, typer.Option("--room", envvar="ASEPSIS_ROOM", help="Look at this room too.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check whether this machine can run a room, and whether a room is in order."""
    with reported(as_json=as_json):
        checks = [_attempt(name, check) for name, check in _checks(room)]
        well = all(check.ok for check in checks)
        text = "\n".join([*(_line(check) for check in checks), "", "all is well" if well else "see the hints above"])
        emit({"ok": well, "checks": [asdict(check) for check in checks]}, as_json=as_json, text=text)
        if not well:
            raise typer.Exit(Kind.UNAVAILABLE.exit_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was looked at, whether it is fine, what was found, and what to do if it is not."""

    check: str
    ok: bool
    found: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    text: str
    ok: bool = True
    hint: str = ""
    noted: bool = False


def _loopback(host: str) -> IPv4Address | IPv6Address:
    """The address to listen on. Raises AddressNotLoopback."""
    try:
        address = ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise AddressNotLoopback from None
    if not address.is_loopback:
        raise AddressNotLoopback
    return address


def _listen(address: IPv4Address | IPv6Address, port: int) -> socket.socket:
    """A listening socket. Raises PortUnavailable."""
    family = socket.AF_INET6 if address.version == _IPV6 else socket.AF_INET
    try:
        return socket.create_server((str(address), port), family=family)
    except OSError:
        raise PortUnavailable(port=port) from None


def _run(app: ASGIApp, listener: socket.socket) -> None:
    """Serve until the process is told to end; nothing of a request is logged."""
    import uvicorn

    from asepsis.logs import configure

    configure()
    config = uvicorn.Config(
        app,
        access_log=False,
        lifespan="off",
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        ws="none",
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
    typer.echo("ended")


def _checks(room: Path | None) -> Iterator[tuple[str, Callable[[], _Found]]]:
    yield "python", _python
    yield "libraries", _libraries
    yield "evidence", _evidence
    yield "memory files", _memory_files
    yield "runtime", _runtime
    yield "confinement", _confinement
    yield "disk", lambda: _disk(room)
    if room is None:
        yield "program", lambda: _Found(f"measurement {_measurement()}")
        return
    yield "room", lambda: _room(room)
    yield "ledger", lambda: _ledger(room)
    yield "program", lambda: _program(room)


def _attempt(name: str, check: Callable[[], _Found]) -> Check:
    """Make one check; an error is what was found, told by its code and hint."""
    try:
        found = check()
    except AsepsisError as error:
        return Check(check=name, ok=False, found=f"{error.code}: {error.detail}", hint=error.advice)
    except (OSError, subprocess.SubprocessError):
        return Check(check=name, ok=False, found="it could not be tried", hint="Look at the system's own log.")
    return Check(check=name, ok=found.ok, found=found.text, hint="" if found.ok and not found.noted else found.hint)


def _line(check: Check) -> str:
    line = f"{'ok' if check.ok else 'PROBLEM':8} {check.check:13} {check.found}"
    return f"{line}\n{'':23}hint: {check.hint}" if check.hint else line


def _python() -> _Found:
    least = ".".join(map(str, LEAST_PYTHON))
    found = f"{platform.python_version()} ({platform.python_implementation()}, {platform.system()})"
    return _Found(found, ok=sys.version_info >= LEAST_PYTHON, hint=f"Install Python {least} or newer.")


def _libraries() -> _Found:
    from importlib.metadata import PackageNotFoundError, version

    found, missing = [], []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return _Found(f"missing: {', '.join(missing)}", ok=False, hint="Install Asepsis with its requirements again.")
    return _Found(", ".join(found))


def _evidence() -> _Found:
    return _Found("level 0 (process): NON-CONFIDENTIAL; for synthetic data only")


def _memory_files() -> _Found:
    hint = "Use Linux: the runtime keeps unsealed data in anonymous memory and never on a disk."
    if not hasattr(os, "memfd_create"):
        return _Found("memfd_create is not available", ok=False, hint=hint)
    os.close(os.memfd_create("asepsis-doctor", os.MFD_CLOEXEC))
    return _Found("memfd_create is available")


def _runtime() -> _Found:
    """The runtime answers an empty order with an error frame, in an empty environment."""
    hint = "Install Asepsis into this Python (not by PYTHONPATH, which an isolated process ignores)."
    answer = _isolated("-m", "asepsis.runtime")
    try:
        frame = json.loads(answer)
    except ValueError:
        frame = None
    if not isinstance(frame, dict) or frame.get("type") != "error":
        return _Found("it does not start in an empty environment", ok=False, hint=hint)
    return _Found("it starts in an empty environment and refuses an empty order")


def _confinement() -> _Found:
    """What holds around a runtime, found by starting one; synthetic data at level 0 run with less."""
    from asepsis.bootstrap.runtimes import confinement_found

    found = confinement_found()
    if not found.missing:
        return _Found(found.summary)
    hint = "Install bubblewrap, allow user namespaces and Landlock; until then only synthetic data at level 0 run here."
    return _Found(f"{found.summary}; WITHOUT {', '.join(found.missing)}", hint=hint, noted=True)


def _disk(room: Path | None) -> _Found:
    place = next(
        path for path in ((room or Path.cwd()).absolute(), *(room or Path.cwd()).absolute().parents) if path.exists()
    )
    free = shutil.disk_usage(place).free
    hint = f"Free some space: at least {LEAST_FREE >> 30} GiB are needed."
    return _Found(f"{free / (1 << 30):.1f} GiB free", ok=free >= LEAST_FREE, hint=hint)


def _room(folder: Path) -> _Found:
    from asepsis.bootstrap.room import open_room

    room = open_room(folder)
    state = room.state
    found = (
        f"{room.origin}: {len(state.snapshots())} snapshots, {len(state.runs())} runs, {len(state.releases())} releases"
    )
    return _Found(found)


def _ledger(folder: Path) -> _Found:
    """The newest checkpoint is signed, cosigned by every owner, and is what the ledger holds."""
    from asepsis.bootstrap.room import open_room
    from asepsis.errors.ledger import CheckpointRefused
    from asepsis.ledger.checkpoint import verify_checkpoint
    from asepsis.services.audit import ledger_keys

    room = open_room(folder)
    keys = ledger_keys(room.contracts.contract())
    note, ledger = room.state.checkpoint(), room.state.ledger()
    if note is None:
        return _Found("no checkpoint is kept", ok=False, hint="Run 'asepsis ledger export': it asks every desk.")
    checkpoint = verify_checkpoint(note, log_key=keys.log, witness_keys=keys.witnesses, quorum=len(keys.witnesses))
    if checkpoint.size > ledger.size() or ledger.root(checkpoint.size) != checkpoint.root:
        raise CheckpointRefused
    witnesses = ", ".join(key.name for key in keys.witnesses)
    return _Found(f"{ledger.size()} entries, {checkpoint.size} of them cosigned by {witnesses}")


def _program(folder: Path) -> _Found:
    from asepsis.bootstrap.room import open_room

    measurement = _measurement()
    named = measurement in open_room(folder).contracts.contract().measurements
    hint = "The desks will grant nothing to it: install the agreed version, or let all parties sign this measurement."
    found = "is named by the contract" if named else "is not named by the contract"
    return _Found(f"measurement {measurement} {found}", ok=named, hint=hint)


def _measurement() -> str:
    """The measurement of the program as an isolated process finds it. Raises ProgramUnreadable."""
    from asepsis.errors.attest import ProgramUnreadable

    measured = _isolated("-c", _MEASURE).decode("ascii", "replace").strip()
    if not measured.isalnum():
        raise ProgramUnreadable
    return measured


def _isolated(*arguments: str) -> bytes:
    """What an isolated Python with an empty environment prints; its errors are dropped."""
    return subprocess.run(  # noqa: S603 - our own interpreter and constant arguments
        [sys.executable, "-I", *arguments],
        input=b"",
        capture_output=True,
        env={},
        cwd="/",
        timeout=_PATIENCE_SECONDS,
        check=False,
    ).stdout
