"""Limits of a desk: questions in time, at once, connections, and how long one may last."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from asepsis.domain.names import PartyId
from asepsis.errors.desk import DeskBusy
from asepsis.keydesk.limits import Connections, Gate, Limits

OWNER = PartyId("northgate")
ONE, OTHER = "a" * 64, "b" * 64


class Watch:
    """A clock that a test can turn."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def gate(watch: Watch, **limits: float) -> Gate:
    return Gate(Limits(**limits), owner=OWNER, clock=watch)  # type: ignore[arg-type]


def ask(one: Gate, client: str = ONE) -> None:
    with one.passing(client):
        pass


def test_a_client_may_ask_a_burst_and_then_as_fast_as_the_bucket_fills() -> None:
    watch = Watch()
    one = gate(watch, per_second=2.0, burst=3)
    for _ in range(3):
        ask(one)
    with pytest.raises(DeskBusy):
        ask(one)
    watch.now += 0.5
    ask(one)
    with pytest.raises(DeskBusy):
        ask(one)


def test_a_client_that_waits_long_gets_no_more_than_a_burst() -> None:
    watch = Watch()
    one = gate(watch, per_second=2.0, burst=3)
    ask(one)
    watch.now += 1000
    for _ in range(3):
        ask(one)
    with pytest.raises(DeskBusy):
        ask(one)


def test_one_client_does_not_spend_what_another_may_ask() -> None:
    one = gate(Watch(), per_second=1.0, burst=1)
    ask(one)
    ask(one, OTHER)
    with pytest.raises(DeskBusy):
        ask(one)


def test_only_so_many_questions_are_open_at_once() -> None:
    one = gate(Watch(), at_once=2)
    with one.passing(ONE), one.passing(ONE):
        with pytest.raises(DeskBusy):
            ask(one)
        ask(one, OTHER)
    ask(one)


def test_a_question_that_failed_is_no_longer_open() -> None:
    one = gate(Watch(), at_once=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="x"), one.passing(ONE):
            raise ValueError("x")
    ask(one)


def test_strangers_do_not_fill_the_memory() -> None:
    one = gate(Watch())
    for number in range(3000):
        ask(one, f"{number:064}")
    assert len(one._clients) <= 1024


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(socket.socket()) for _ in range(5)]


def test_connections_are_counted_for_everybody_and_for_each_address(sockets: list[socket.socket]) -> None:
    known = Connections(Limits(connections=3, per_address=2), clock=Watch())
    assert known.take(sockets[0], "192.0.2.1")
    assert known.take(sockets[1], "192.0.2.1")
    assert not known.take(sockets[2], "192.0.2.1")
    assert known.take(sockets[2], "192.0.2.2")
    assert not known.take(sockets[3], "192.0.2.3")
    known.leave(sockets[3])
    assert not known.take(sockets[3], "192.0.2.3")
    known.leave(sockets[0])
    assert known.take(sockets[3], "192.0.2.3")


def test_a_connection_that_lasts_too_long_is_named_and_the_end_waits_for_the_others(
    sockets: list[socket.socket],
) -> None:
    watch = Watch()
    known = Connections(Limits(lasting=10.0), clock=watch)
    known.take(sockets[0], "192.0.2.1")
    watch.now += 8
    known.take(sockets[1], "192.0.2.1")
    watch.now += 3
    assert known.overdue() == [sockets[0]]
    assert not known.wait(0.01)
    known.leave(sockets[0])
    known.leave(sockets[1])
    assert known.wait(0.01)
