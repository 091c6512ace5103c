"""The contract of a desk's memory: what every implementation of the port keeps, and how."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.budget import Charge
from asepsis.domain.keydesk import GrantedRun, Head, IssuedNonce, KeptLinks, KeptSnapshot
from asepsis.domain.names import Digest, PartyId, RunId, SnapshotId
from asepsis.domain.snapshot import Label
from asepsis.domain.statements import Statement, StatementKind
from asepsis.errors.store import StoreUnavailable
from asepsis.services.keydesk.ports import DeskRecords, DeskState
from asepsis.store.desk_state import SqlDeskState

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
NORTH = PartyId("northgate")
ONE, TWO = Digest("1" * 64), Digest("2" * 64)


@pytest.fixture(params=["sqlite"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DeskState]:
    sqlite = SqlDeskState(tmp_path / "desk.db")
    yield sqlite
    sqlite.close()


def test_a_new_memory_is_empty(state: DeskState) -> None:
    with state.reading() as records:
        assert not records.is_stopped()
        assert records.head() is None
        assert records.contract(ONE) is None
        assert records.statements(ONE) == []
        assert records.snapshot(SnapshotId("s")) is None
        assert records.links(SnapshotId("s")) is None
        assert records.grants(RunId("r")) == []
        assert records.charged(ONE, owner=NORTH) == 0


def test_the_last_turn_of_the_switch_counts(state: DeskState) -> None:
    for stopped in (True, False, True):
        with state.writing() as records:
            records.switch(stopped=stopped, at=NOW, reason="because")
            assert records.is_stopped() is stopped


def test_a_nonce_is_used_up_by_its_first_use(state: DeskState) -> None:
    with state.writing() as records:
        records.add_nonce(b"n" * 32, at=NOW)
        assert records.use_nonce(b"m" * 32) is None
        assert records.use_nonce(b"n" * 32) == IssuedNonce(issued_at=NOW, used=False)
        assert records.use_nonce(b"n" * 32) == IssuedNonce(issued_at=NOW, used=True)
        records.add_nonce(b"o" * 32, at=NOW + timedelta(days=2))
        assert records.use_nonce(b"n" * 32) is None


def test_values_come_back_as_they_were_kept(state: DeskState) -> None:
    snapshot = KeptSnapshot(
        snapshot=SnapshotId("s"), dataset="d", manifest=ONE, label=Label.REAL, sealed_at=NOW, wrapped=b"\x00wrapped"
    )
    links = KeptLinks(
        snapshot=SnapshotId("l"),
        contract=ONE,
        manifest=TWO,
        label=Label.SYNTHETIC,
        sealed_at=NOW,
        wrapped=b"w",
        endorsement=b"e",
    )
    granted = GrantedRun(
        run=RunId("r"),
        job=ONE,
        contract=TWO,
        kind=AnalysisKind.LINKAGE,
        label=Label.SYNTHETIC,
        signing_key=b"k" * 32,
        lease_until=NOW,
    )
    with state.writing() as records:
        records.add_snapshot(snapshot)
        records.add_links(links)
        records.add_grant(granted)
        records.add_grant(granted)
        records.add_contract(ONE, lineage=ONE, text=b"a text")
    with state.reading() as records:
        assert records.snapshot(SnapshotId("s")) == snapshot
        assert records.links(SnapshotId("l")) == links
        assert records.grants(RunId("r")) == [granted, granted]
        assert records.contract(ONE) == b"a text"


def test_statements_and_approvals_are_kept_once(state: DeskState) -> None:
    statement = Statement(kind=StatementKind.SUSPEND, contract=ONE, party=NORTH, at=NOW)
    with state.writing() as records:
        assert [records.add_statement(statement) for _ in range(2)] == [True, False]
        assert [records.add_approval(TWO, contract=ONE) for _ in range(2)] == [True, False]
        assert records.statements(ONE) == [statement]
        assert records.statements(TWO) == []
        assert records.is_approved(TWO, contract=ONE)
        assert not records.is_approved(ONE, contract=ONE)
        assert not records.is_approved(TWO, contract=TWO)


def test_charges_are_counted_by_contract_and_owner(state: DeskState) -> None:
    charge = Charge(lineage=ONE, owner=NORTH, run=RunId("r"), job=TWO)
    with state.writing() as records:
        assert not records.is_charged(charge)
        records.add_charge(charge)
        assert records.is_charged(charge)
        assert records.charged(ONE, owner=NORTH) == 1
        assert records.charged(ONE, owner=PartyId("riverside")) == 0
        assert records.charged(TWO, owner=NORTH) == 0


def test_the_same_charge_or_snapshot_is_never_kept_twice(state: DeskState) -> None:
    charge = Charge(lineage=ONE, owner=NORTH, run=RunId("r"), job=TWO)
    with state.writing() as records:
        records.add_charge(charge)
    with pytest.raises(StoreUnavailable), state.writing() as records:
        records.add_charge(charge)
    with state.reading() as records:
        assert records.charged(ONE, owner=NORTH) == 1


def test_the_head_is_the_last_one_set(state: DeskState) -> None:
    for size in (3, 5):
        head = Head(room_key="k", origin="o", size=size, root=bytes(32))
        with state.writing() as records:
            records.set_head(head)
        with state.reading() as records:
            assert records.head() == head


def test_a_transaction_that_raises_leaves_no_trace(state: DeskState) -> None:
    with pytest.raises(TypeError), state.writing() as records:
        _switch_and_fail(records)
    with state.reading() as records:
        assert not records.is_stopped()


def _switch_and_fail(records: DeskRecords) -> None:
    records.switch(stopped=True, at=NOW, reason="")
    raise TypeError
