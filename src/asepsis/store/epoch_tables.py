"""What a desk remembers of epochs of linkage; nothing of a share is left once its epoch is over."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Column, Connection, Integer, LargeBinary, MetaData, Row, String, Table, select
from sqlalchemy.dialects.sqlite import insert

from asepsis.domain.epoch import EpochName, KeptEpoch, commitments_document, read_commitments
from asepsis.domain.names import Digest, RunId, SnapshotId
from asepsis.sealing.canonical import canonical, parse_canonical

EPOCHS: Final = "epochs"


def add_epoch_table(tables: MetaData) -> Table:
    """Add the table of epochs to a desk's tables."""
    return Table(
        EPOCHS,
        tables,
        Column("contract", String, primary_key=True),
        Column("number", Integer, primary_key=True, autoincrement=False),
        Column("commitment", LargeBinary, nullable=False),
        Column("wrapped", LargeBinary, nullable=False),
        Column("agreed", LargeBinary, nullable=False),
        Column("tokens", String, nullable=False),
        Column("run", String, nullable=False),
    )


class EpochTables:
    """Epochs, seen and changed through one open transaction."""

    def __init__(self, connection: Connection, tables: MetaData) -> None:
        self._connection, self._epochs = connection, tables.tables[EPOCHS]

    def all(self) -> list[KeptEpoch]:
        """Every epoch, by contract and number."""
        rows = self._connection.execute(select(self._epochs).order_by(self._epochs.c.contract, self._epochs.c.number))
        return [_kept(row) for row in rows]

    def put(self, kept: KeptEpoch) -> None:
        """Remember an epoch, in the place of what was remembered of it."""
        key = {"contract": kept.name.contract, "number": kept.name.number}
        values = {
            "commitment": kept.commitment,
            "wrapped": kept.wrapped,
            "agreed": canonical(commitments_document(kept.agreed)),
            "tokens": " ".join(kept.tokens),
            "run": kept.run,
        }
        statement = insert(self._epochs).values(**key, **values)
        self._connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))


def _kept(row: Row[Any]) -> KeptEpoch:
    return KeptEpoch(
        name=EpochName(contract=Digest(row.contract), number=row.number),
        commitment=row.commitment,
        wrapped=row.wrapped,
        agreed=read_commitments(parse_canonical(row.agreed)),
        tokens=tuple(SnapshotId(name) for name in row.tokens.split()),
        run=RunId(row.run),
    )
