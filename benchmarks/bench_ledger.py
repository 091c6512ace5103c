"""The ledger: durable appends alone and in groups as a ratio to a raw loop of write and fsync, and the full audit.

The baseline of appends writes the same bytes to a file and calls fsync for each group, on the same disk, in turns with
ours; no durable record can be faster. The baseline of the audit is two SHA-256 per entry, which nobody can leave out.
Appends are wall-clock time, which a disk takes; the audit is CPU time.

Run: python benchmarks/bench_ledger.py [entries of the audit]
"""

from __future__ import annotations

import hashlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, MetaData

from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import PartyId
from asepsis.ledger.bundle import verify_bundle, write_bundle
from asepsis.ledger.checkpoint import Checkpoint, cosign, sign_checkpoint
from asepsis.ledger.entry import entry_bytes
from asepsis.ledger.note import Algorithm, VerifierKey, add_signature
from asepsis.ledger.tree import Fold, leaf_hash
from asepsis.store.database import open_database, writing
from asepsis.store.ledger_tables import LedgerTables, add_ledger_tables

ENTRIES = 100_000
ROUNDS = 5
START = datetime(2026, 1, 1, tzinfo=UTC)
LOG_PRIVATE, WITNESS_PRIVATE = bytes([1]) * 32, bytes([2]) * 32
TARGETS = {1: 200, 100: 5_000}
AUDIT_TARGET = 150_000


def entry(number: int) -> LedgerEntry:
    """One entry as a run makes it, about 400 bytes."""
    facts: dict[str, str | int] = {"contract": "a" * 64, "job": f"{number:064x}", "remaining": number}
    at = START + timedelta(milliseconds=number)
    return LedgerEntry(at=at, actor=PartyId("northgate"), act=Act.BUDGET_CHARGED, subject=f"run-{number}", facts=facts)


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES
    with tempfile.TemporaryDirectory(dir=os.environ.get("ASEPSIS_BENCH_DISK")) as folder:
        for group, rounds in ((1, 60), (10, 20), (100, 8), (1_000, 2)):
            appends(Path(folder), group=group, rounds=rounds)
    audit(count)


def appends(folder: Path, *, group: int, rounds: int) -> None:
    """Ours and the raw loop in turns; medians of the rate over a few repetitions."""
    ours, raw, busy = [], [], []
    data = b"".join(entry_bytes(entry(number)) for number in range(group))
    engine = database(folder / f"{group}.db")
    with (folder / f"{group}.raw").open("wb", buffering=0) as file:
        for repetition in range(ROUNDS):
            start, before = repetition * rounds * group, time.process_time()
            ours.append(rate(group * rounds, lambda start=start: appended(engine, start, group=group, rounds=rounds)))
            busy.append((time.process_time() - before) / (group * rounds))
            raw.append(rate(group * rounds, lambda: synced(file.fileno(), data, rounds=rounds)))
    engine.dispose()
    mine, theirs = statistics.median(ours), statistics.median(raw)
    target = f"  target {TARGETS[group]:,}/s" if group in TARGETS else ""
    print(
        f"durable appends, {group:>5} in one commit: {mine:>9,.0f} entries/s; write and fsync {theirs:>9,.0f}/s;"
        f" ratio {mine / theirs:.2f}; our CPU alone allows {1 / min(busy):,.0f}/s{target}"
    )


def appended(engine: Engine, start: int, *, group: int, rounds: int) -> None:
    """Transactions of one group each."""
    for number in range(rounds):
        first = start + number * group
        with writing(engine) as connection:
            LedgerTables(connection).append([entry(first + one) for one in range(group)])


def synced(descriptor: int, data: bytes, *, rounds: int) -> None:
    """The same bytes, made durable as often."""
    for _ in range(rounds):
        os.write(descriptor, data)
        os.fsync(descriptor)


def audit(count: int) -> None:
    """Verify an exported ledger with public keys only: every entry read, checked and hashed."""
    entries = [entry(number) for number in range(count)]
    fold = Fold()
    for one in entries:
        fold.add(leaf_hash(entry_bytes(one)))
    log = VerifierKey(name="room.example/bench", public_key=public(LOG_PRIVATE))
    witness = VerifierKey(name="northgate", public_key=public(WITNESS_PRIVATE), algorithm=Algorithm.COSIGNATURE)
    checkpoint = Checkpoint(origin=log.name, size=count, root=fold.root())
    note = sign_checkpoint(checkpoint, private_key=LOG_PRIVATE)
    note = add_signature(note, line=cosign(checkpoint, name="northgate", private_key=WITNESS_PRIVATE, at=START))
    bundle = write_bundle(entries, checkpoint_note=note, log_key=log, witness_keys=[witness])
    lines = bundle.split(b"\n")[1:-2]
    hashing = best(lambda: hashed(lines))
    tree = best(lambda: folded(lines))
    whole = best(lambda: verify_bundle(bundle, log_key=log, witness_keys=[witness], quorum=1))
    for name, seconds in (("tree computed anew", tree), ("full audit of an export", whole)):
        print(
            f"{name}: {count / seconds:>9,.0f} entries/s; ratio to two SHA-256 each {seconds / hashing:.1f}"
            f"  target {AUDIT_TARGET:,}/s"
        )


def hashed(lines: list[bytes]) -> None:
    """Two hashes for each entry: a leaf and, on average, one node."""
    for line in lines:
        hashlib.sha256(hashlib.sha256(line).digest()).digest()


def folded(lines: list[bytes]) -> bytes:
    """The root over all entries."""
    fold = Fold()
    for line in lines:
        fold.add(leaf_hash(line))
    return fold.root()


def database(path: Path) -> Engine:
    """A database with a ledger, as the room's and the desks' are."""
    tables = MetaData()
    add_ledger_tables(tables)
    return open_database(path, tables=tables)


def rate(count: int, work: Callable[[], object]) -> float:
    """Entries in a second of wall-clock time."""
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def best(work: Callable[[], object]) -> float:
    """Least CPU seconds of a few rounds."""
    seconds = []
    for _ in range(ROUNDS - 2):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def public(private: bytes) -> bytes:
    """The public half of an Ed25519 key."""
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


if __name__ == "__main__":
    main()
