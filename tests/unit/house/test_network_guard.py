"""The guard of tests/conftest.py itself: other machines are out of reach, this one is not."""

import socket

import pytest

ELSEWHERE = "192.0.2.1"  # TEST-NET-1 of RFC 5737: an address of no machine


def test_another_machine_is_out_of_reach() -> None:
    with socket.socket() as out, pytest.raises(AssertionError):
        out.connect((ELSEWHERE, 9))


def test_a_datagram_to_another_machine_is_refused() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as out, pytest.raises(AssertionError):
        out.sendto(b"", (ELSEWHERE, 9))


def test_no_name_of_another_machine_is_looked_up() -> None:
    with pytest.raises(AssertionError):
        socket.getaddrinfo("registry.invalid", 443)


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()
