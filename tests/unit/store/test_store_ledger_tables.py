"""The ledger on tables: it only grows, agrees with the tree in memory, and says when it was edited."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, MetaData

from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import PartyId
from asepsis.errors.ledger import InclusionRefused, TreeRangeRefused
from asepsis.errors.store import LedgerDamaged, StoreUnavailable, StoreUnsafe
from asepsis.ledger.entry import entry_hash
from asepsis.ledger.tree import MemoryNodes, consistency_proof, inclusion_proof, root, verify_inclusion
from asepsis.store.database import open_database, reading, writing
from asepsis.store.ledger_tables import LedgerTables, add_ledger_tables

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def entry(number: int) -> LedgerEntry:
    return LedgerEntry(at=NOW, actor=PartyId("host"), act=Act.RUN_STARTED, subject=f"run-{number}")


def database(path: Path) -> Engine:
    tables = MetaData()
    add_ledger_tables(tables)
    return open_database(path, tables=tables)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = database(tmp_path / "ledger.db")
    yield engine
    engine.dispose()


def fill(engine: Engine, count: int) -> list[LedgerEntry]:
    entries = [entry(number) for number in range(count)]
    with writing(engine) as connection:
        LedgerTables(connection).append(entries)
    return entries


@settings(max_examples=12)
@given(sizes=st.lists(st.integers(0, 7), max_size=4))
def test_roots_and_proofs_are_those_of_the_tree(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    engine = database(tmp_path_factory.mktemp("ledger") / "ledger.db")
    nodes, total = MemoryNodes(), 0
    for size in sizes:
        entries = [entry(total + number) for number in range(size)]
        with writing(engine) as connection:
            assert LedgerTables(connection).append(entries) == range(total, total + size)
        for one in entries:
            nodes.append(entry_hash(one))
        total += size
    with reading(engine) as connection:
        ledger = LedgerTables(connection)
        assert ledger.size() == total
        assert [one.subject for one in ledger.entries(0, total)] == [f"run-{number}" for number in range(total)]
        for size in range(total + 1):
            assert ledger.root(size) == root(nodes, size=size)
            assert ledger.consistency(size, total) == consistency_proof(nodes, old_size=size, new_size=total)
        for index in range(total):
            assert ledger.inclusion(index, total) == inclusion_proof(nodes, index=index, size=total)
    engine.dispose()


def test_entries_of_a_rolled_back_transaction_are_gone(engine: Engine) -> None:
    fill(engine, 3)

    def act_and_fail() -> None:
        with writing(engine) as connection:
            LedgerTables(connection).append([entry(3)])
            raise KeyError

    with pytest.raises(KeyError):
        act_and_fail()
    with reading(engine) as connection:
        assert LedgerTables(connection).size() == 3


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_entries SET entry = x'00' WHERE position = 1",
        "UPDATE ledger_entries SET position = 9 WHERE position = 2",
        "DELETE FROM ledger_entries WHERE position = 2",
        "DELETE FROM ledger_entries",
        "INSERT INTO ledger_entries VALUES (5, x'00')",
        "INSERT OR REPLACE INTO ledger_entries VALUES (1, x'00')",
        "INSERT OR IGNORE INTO ledger_entries VALUES (1, x'00')",
        "UPDATE ledger_nodes SET hash = zeroblob(32) WHERE level = 0",
        "DELETE FROM ledger_nodes",
        "INSERT OR REPLACE INTO ledger_nodes VALUES (0, 1, zeroblob(32))",
    ],
)
def test_a_ledger_can_only_grow(engine: Engine, statement: str) -> None:
    fill(engine, 3)
    with reading(engine) as connection:
        before = LedgerTables(connection).root()
    with pytest.raises(StoreUnavailable), writing(engine) as connection:
        connection.exec_driver_sql(statement)
    with reading(engine) as connection:
        assert LedgerTables(connection).root() == before
        assert len(list(LedgerTables(connection).entries(0, 3))) == 3


def test_an_entry_that_was_edited_past_the_triggers_does_not_verify(engine: Engine) -> None:
    fill(engine, 5)
    with reading(engine) as connection:
        before = LedgerTables(connection).root()
    with writing(engine) as connection:
        connection.exec_driver_sql("DROP TRIGGER ledger_entries_no_UPDATE")
        connection.exec_driver_sql(
            "UPDATE ledger_entries SET entry = CAST(replace(CAST(entry AS TEXT), 'run-3', 'run-x') AS BLOB)"
        )
    with reading(engine) as connection:
        ledger = LedgerTables(connection)
        edited = next(ledger.entries(3, 4))
        proof = ledger.inclusion(3, 5)
    with pytest.raises(InclusionRefused):
        verify_inclusion(entry_hash(edited), index=3, size=5, proof=proof, root=before)


def test_a_missing_or_broken_entry_is_named(engine: Engine) -> None:
    fill(engine, 4)
    with writing(engine) as connection:
        connection.exec_driver_sql("DROP TRIGGER ledger_entries_no_DELETE")
        connection.exec_driver_sql("DROP TRIGGER ledger_entries_no_UPDATE")
        connection.exec_driver_sql("DROP TRIGGER ledger_nodes_no_DELETE")
        connection.exec_driver_sql("UPDATE ledger_entries SET entry = x'00' WHERE position = 0")
        connection.exec_driver_sql("DELETE FROM ledger_entries WHERE position = 2")
        connection.exec_driver_sql("DELETE FROM ledger_nodes WHERE level = 1")
    with reading(engine) as connection:
        ledger = LedgerTables(connection)
        for start in (0, 2):
            with pytest.raises(LedgerDamaged):
                list(ledger.entries(start, 4))
        with pytest.raises(LedgerDamaged):
            ledger.root(3)
        with pytest.raises(TreeRangeRefused):
            ledger.root(9)


def test_the_database_is_durable_private_and_read_only_for_readers(engine: Engine, tmp_path: Path) -> None:
    fill(engine, 1)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    with reading(engine) as connection:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        values = [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in pragmas]
    assert values == ["wal", 2, 1, 30_000]
    with pytest.raises(StoreUnavailable), reading(engine) as connection:
        LedgerTables(connection).append([entry(1)])
    fill(engine, 1)


def test_writers_come_one_after_the_other_and_lose_nothing(engine: Engine) -> None:
    def write(writer: int) -> None:
        for number in range(10):
            with writing(engine) as connection:
                LedgerTables(connection).append([entry(writer * 100 + number)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    with reading(engine) as connection:
        ledger = LedgerTables(connection)
        subjects = {one.subject for one in ledger.entries(0, ledger.size())}
    assert len(subjects) == 40


@pytest.mark.parametrize("mode", [0o644, 0o660])
def test_a_database_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "open.db"
    path.touch(mode=mode)
    path.chmod(mode)
    with pytest.raises(StoreUnsafe):
        database(path)


def test_a_file_that_is_no_database_is_refused_without_quoting_it(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_text("canary " * 1000)
    path.chmod(0o600)
    with pytest.raises(StoreUnavailable) as caught:
        database(path)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(StoreUnavailable):
        database(tmp_path / "no" / "folder.db")


def test_no_value_of_a_statement_appears_in_an_error(engine: Engine) -> None:
    with pytest.raises(StoreUnavailable) as caught, writing(engine) as connection:
        connection.exec_driver_sql("INSERT INTO ledger_entries VALUES (7, ?)", (b"canary-smith",))
    assert "canary" not in str(caught.value)
    assert caught.value.__suppress_context__
