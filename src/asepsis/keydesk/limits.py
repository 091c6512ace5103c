"""What a desk takes from its clients: how many connections, how many questions, how long, how large.

A desk answers one room, whose questions are few. The limits keep a room that went wild, and strangers on the network,
from taking the desk's machine; what is over a limit is refused or hung up on, and never waited for.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from asepsis.domain.names import PartyId
from asepsis.errors.desk import DeskBusy

Monotonic = Callable[[], float]

_CLIENTS_KNOWN: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one desk; times are in seconds.

    ``per_second`` and ``burst`` count the questions of one client, ``at_once`` those that are being answered to it;
    ``connections`` holds for everybody together, ``per_address`` for one network address. ``patience`` is the longest
    silence, ``lasting`` the longest life of a connection.
    """

    per_second: float = 20.0
    burst: int = 60
    at_once: int = 8
    connections: int = 64
    per_address: int = 16
    patience: float = 15.0
    lasting: float = 60.0
    request_bytes: int = 8 << 20


@dataclass(slots=True)
class _Client:
    tokens: float
    seen: float
    open: int = 0


class Gate:
    """Counts the questions of each client: a bucket of tokens that fills with time, and how many are open."""

    def __init__(self, limits: Limits, *, owner: PartyId, clock: Monotonic) -> None:
        self._limits, self._owner, self._clock = limits, owner, clock
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def passing(self, client: str) -> Iterator[None]:
        """One question of a client. Raises DeskBusy where it asks too much."""
        known = self._enter(client)
        try:
            yield
        finally:
            with self._lock:
                known.open -= 1

    def _enter(self, client: str) -> _Client:
        limits, at = self._limits, self._clock()
        with self._lock:
            known = self._clients.setdefault(client, _Client(tokens=float(limits.burst), seen=at))
            self._clients.move_to_end(client)
            while len(self._clients) > _CLIENTS_KNOWN:
                self._clients.popitem(last=False)
            known.tokens = min(float(limits.burst), known.tokens + (at - known.seen) * limits.per_second)
            known.seen = at
            if known.tokens < 1 or known.open >= limits.at_once:
                raise DeskBusy(owner=self._owner)
            known.tokens -= 1
            known.open += 1
            return known


class Connections:
    """The open connections: how many, from where, since when."""

    def __init__(self, limits: Limits, *, clock: Monotonic) -> None:
        self._limits, self._clock = limits, clock
        self._open: dict[socket.socket, tuple[str, float]] = {}
        self._changed = threading.Condition()

    def take(self, connection: socket.socket, address: str) -> bool:
        """Count a new connection; says no where there are too many."""
        with self._changed:
            addresses = Counter(known for known, _ in self._open.values())
            if len(self._open) >= self._limits.connections or addresses[address] >= self._limits.per_address:
                return False
            self._open[connection] = (address, self._clock())
            return True

    def leave(self, connection: socket.socket) -> None:
        """A connection is over; one that was never taken changes nothing."""
        with self._changed:
            self._open.pop(connection, None)
            self._changed.notify_all()

    def overdue(self) -> list[socket.socket]:
        """The connections that last longer than they may."""
        latest = self._clock() - self._limits.lasting
        with self._changed:
            return [connection for connection, (_, since) in self._open.items() if since < latest]

    def wait(self, seconds: float) -> bool:
        """Wait until no connection is open; says whether that was so in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, timeout=seconds)
