"""What every test may rely on: no network, stable property tests, and the folder of shared material."""

import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# `ci` gives the same examples in every run, `thorough` (make test-all) twice as many; HYPOTHESIS_PROFILE=explore looks
# for new ones.
for name, most in {"ci": 50, "thorough": 100}.items():
    settings.register_profile(
        name,
        deadline=None,
        derandomize=True,
        max_examples=most,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.register_profile("explore", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


class NetworkUsedError(AssertionError):
    """A test tried to reach another machine."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how to repeat the order of a run that failed."""
    seed = config.getoption("randomly_seed", default=None)
    if terminalreporter.stats.get("failed") and isinstance(seed, int):
        terminalreporter.write_line(f"the same order again: make test ARGS=--randomly-seed={seed}")


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    """Only loopback addresses and Unix sockets can be reached from this process."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        patch.setattr(socket, "getaddrinfo", _guarded_lookup(socket.getaddrinfo))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of shared material (`ASEPSIS_SHARED`, else `../shared` beside the checkout)."""
    folder = (ROOT / os.environ.get("ASEPSIS_SHARED", "../shared")).resolve()
    if not folder.is_dir():
        pytest.skip("the shared material is not here; set ASEPSIS_SHARED to its folder")
    return folder


@pytest.fixture(scope="session")
def repository_root() -> Path:
    """The root of the checkout."""
    return ROOT


def _guarded(call: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, *arguments: Any) -> Any:
        address = arguments[-1]
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise NetworkUsedError
        return call(self, *arguments)

    return guarded


def _guarded_lookup(lookup: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(host: Any, *arguments: Any, **options: Any) -> Any:
        if host is not None and not _is_loopback(host):
            raise NetworkUsedError
        return lookup(host, *arguments, **options)

    return guarded


def _is_loopback(host: str | bytes) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    if name in {"", "localhost"}:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
