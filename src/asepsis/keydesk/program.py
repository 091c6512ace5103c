"""The desk as a running program: it listens, says so in one line, answers, and ends in order when it is told to.

On SIGTERM or SIGINT it takes no new connection, gives the answers that are being made, and ends. Nothing has to be
saved then: every answer is durable before it leaves.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from asepsis.desk_home import DeskHome
from asepsis.errors.server import PortUnavailable
from asepsis.keydesk.limits import Limits
from asepsis.keydesk.server import DeskServer, Door
from asepsis.logs import configure, get_logger

ENDING_SECONDS: Final = 5.0
"""How long the end waits for open answers; a silent connection is not waited for longer."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

Announce = Callable[[str], None]
"""Tells whoever started the desk the address at which it answers."""


def run(home: DeskHome, *, limits: Limits, announce: Announce, log_level: str) -> bool:
    """Serve until a signal comes; says whether every open answer was given before the end.

    Raises:
        RoomNotAdmitted: the owner has not yet said which room is served.
        PortUnavailable: another program listens there, or the certificates cannot be used.
        KekUnavailable, SecretMissing, PassphraseRefused: the owner's key cannot be used.
    """
    configure(level=log_level)
    home.owner_key.check()
    with _told_to_end() as ended:
        server = listen(home, limits=limits)
        thread = threading.Thread(target=server.serve_forever, name="desk")
        thread.start()
        try:
            get_logger().info("desk.listening", party=home.owner, port=server.port)
            announce(replace(home.listening, port=server.port).address)
            ended.wait()
        finally:
            server.shutdown()
            thread.join()
            in_order = server.drain(min(limits.patience, ENDING_SECONDS))
            server.server_close()
    get_logger().info("desk.ended", party=home.owner)
    return in_order


def listen(home: DeskHome, *, limits: Limits) -> DeskServer:
    """The server of a desk's folder. Raises RoomNotAdmitted or PortUnavailable."""
    authority, pin = home.room()
    identity = home.identity
    door = Door(
        host=home.listening.host,
        port=home.listening.port,
        certificate=identity.certificate,
        key=identity.key,
        authority=authority,
        room=pin,
        limits=limits,
    )
    try:
        return DeskServer(home.desk, home.owner, door)
    except OSError:
        raise PortUnavailable(port=home.listening.port) from None


@contextmanager
def _told_to_end() -> Iterator[threading.Event]:
    """An event that SIGTERM or SIGINT sets."""
    event = threading.Event()
    before = {number: signal.signal(number, lambda *_: event.set()) for number in _SIGNALS}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
