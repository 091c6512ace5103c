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

NO_LUCK = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
"""How busy the machine is decides nothing; and a folder or a world that all examples of a test share is meant so."""

# `ci` gives the same examples in every run, `thorough` (make test-all) twice as many; HYPOTHESIS_PROFILE=explore looks
# for new ones.
for name, most in {"ci": 50, "thorough": 100}.items():
    settings.register_profile(
        name,
        deadline=None,
        derandomize=True,
        max_examples=most,
        print_blob=True,
        suppress_health_check=NO_LUCK,
    )
settings.register_profile("explore", deadline=None, max_examples=1000, print_blob=True, suppress_health_check=NO_LUCK)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


# Seconds of processor time of the files that take most of it, measured on a busy machine: only their order matters.
LONGEST = {
    "journey/test_demo.py": 31,
    "journey/test_bad_input.py": 30,
    "attack/test_room_tampering.py": 28,
    "attack/test_room_refuses.py": 28,
    "attack/test_room_memory.py": 24,
    "attack/test_room_canary.py": 22,
    "unit/harmonise/test_two_hospitals_truth.py": 20,
    "attack/test_recovery_tampering.py": 17,
    "attack/test_room_killed.py": 17,
    "attack/test_room_answers.py": 17,
    "attack/test_host_in_full_control.py": 16,
    "attack/test_room_continuity_forged.py": 15,
    "unit/house/test_layers.py": 14,
    "unit/quality/test_quality_checks.py": 14,
    "attack/test_room_rerun.py": 14,
    "unit/linkage/test_linkage_engine.py": 13,
    "attack/test_room_keyed.py": 13,
    "journey/test_desk_program.py": 13,
    "unit/harmonise/test_rerun_of_quarantine.py": 12,
    "unit/engines/test_query_differential.py": 12,
    "unit/web/test_server_command.py": 12,
    "attack/test_harmonise_every_file.py": 11,
    "contract/test_keys_kek.py": 11,
    "unit/harmonise/test_joins.py": 11,
    "attack/test_room_runtime.py": 10,
    "unit/recovery/test_estate_scan.py": 10,
    "journey/test_mapping_commands.py": 10,
    "contract/test_sources_tables.py": 9,
    "contract/test_sources_contract.py": 9,
    "attack/test_attestation_cases.py": 9,
    "unit/harmonise/test_fhir_two_ways.py": 9,
    "unit/harmonise/test_several_rows.py": 9,
    "attack/test_room_private.py": 9,
    "attack/test_harmonise_transcripts_hostile.py": 9,
    "unit/vocabulary/test_vocabulary_loading.py": 9,
    "attack/test_disclosure_memory.py": 8,
    "attack/test_room_free_text.py": 8,
    "unit/house/test_source_habits.py": 8,
    "unit/web/test_door_and_tokens.py": 8,
    "attack/test_disclosure_suite.py": 8,
    "unit/vocabulary/test_code_matching.py": 8,
    "unit/importing/test_carrot_import.py": 8,
}


class NetworkUsedError(AssertionError):
    """A test tried to reach another machine."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how to repeat the order of a run that failed."""
    seed = config.getoption("randomly_seed", default=None)
    if terminalreporter.stats.get("failed") and isinstance(seed, int):
        terminalreporter.write_line(f"the same order again: make test ARGS=--randomly-seed={seed}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest files first, so that all workers end together; the others keep their random order.

    A file goes to one worker, and the last one to start decides when all is done (``--no-loadscope-reorder``: by itself
    the plugin would begin with the files that have most tests, and end with the few long ones).
    """
    items.sort(key=lambda item: -LONGEST.get(item.path.relative_to(ROOT / "tests").as_posix(), 0))


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
