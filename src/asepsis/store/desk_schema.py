"""The tables of a key desk's memory, and the statements that are made of them.

Statements are built once: building an expression costs several times what SQLite needs to answer it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from asepsis.store.epoch_tables import add_epoch_table
from asepsis.store.erasure_tables import add_erasure_table
from asepsis.store.hold_tables import add_hold_table
from asepsis.store.ledger_tables import add_ledger_tables
from asepsis.store.list_tables import add_list_table

TABLES: Final = MetaData()
add_ledger_tables(TABLES)
add_erasure_table(TABLES)
add_hold_table(TABLES)
add_epoch_table(TABLES)
add_list_table(TABLES)
SWITCH: Final = Table(
    "switch",
    TABLES,
    Column("turn", Integer, primary_key=True),
    Column("at", Integer, nullable=False),
    Column("stopped", Boolean, nullable=False),
    Column("reason", String, nullable=False),
)
NONCES: Final = Table(
    "nonces",
    TABLES,
    Column("nonce", LargeBinary, primary_key=True),
    Column("issued_at", Integer, nullable=False, index=True),
    Column("used", Boolean, nullable=False),
)
CONTRACTS: Final = Table(
    "contracts",
    TABLES,
    Column("contract", String, primary_key=True),
    Column("document", LargeBinary, nullable=False),
)
VERSIONS: Final = Table(
    "versions",
    TABLES,
    Column("number", Integer, primary_key=True),
    Column("contract", String, nullable=False, unique=True),
    Column("lineage", String, nullable=False, index=True),
)
STATEMENTS: Final = Table(
    "statements",
    TABLES,
    Column("contract", String, primary_key=True),
    Column("party", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("at", Integer, primary_key=True, autoincrement=False),
)
APPROVALS: Final = Table(
    "approvals",
    TABLES,
    Column("contract", String, primary_key=True),
    Column("analysis", String, primary_key=True),
)
SNAPSHOTS: Final = Table(
    "snapshots",
    TABLES,
    Column("snapshot", String, primary_key=True),
    Column("dataset", String, nullable=False),
    Column("manifest", String, nullable=False),
    Column("label", String, nullable=False),
    Column("sealed_at", Integer, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
)
LINKS: Final = Table(
    "links",
    TABLES,
    Column("snapshot", String, primary_key=True),
    Column("contract", String, nullable=False),
    Column("manifest", String, nullable=False),
    Column("label", String, nullable=False),
    Column("sealed_at", Integer, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("endorsement", LargeBinary, nullable=False),
)
MEMORIES: Final = Table(
    "memories",
    TABLES,
    Column("lineage", String, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("root", String, nullable=False),
    Column("size", Integer, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
)
CHARGES: Final = Table(
    "charges",
    TABLES,
    Column("lineage", String, primary_key=True),
    Column("owner", String, primary_key=True),
    Column("run", String, primary_key=True),
    Column("job", String, primary_key=True),
)
LOSSES: Final = Table(
    "losses",
    TABLES,
    Column("dataset", String, primary_key=True),
    Column("run", String, primary_key=True),
    Column("job", String, primary_key=True),
    Column("contract", String, nullable=False),
    Column("micro_rho", Integer, nullable=False),
    Column("pico_delta", Integer, nullable=False),
)
GRANTS: Final = Table(
    "grants",
    TABLES,
    Column("number", Integer, primary_key=True),
    Column("run", String, nullable=False, index=True),
    Column("job", String, nullable=False),
    Column("contract", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("label", String, nullable=False),
    Column("signing_key", LargeBinary, nullable=False),
    Column("lease_until", Integer, nullable=False),
)
HEAD: Final = Table(
    "head",
    TABLES,
    Column("only", Integer, primary_key=True, autoincrement=False),
    Column("room_key", String, nullable=False),
    Column("origin", String, nullable=False),
    Column("size", Integer, nullable=False),
    Column("root", LargeBinary, nullable=False),
)

BY_KEY: Final[Mapping[str, Select[Any]]] = {
    table.name: select(table).where(*(column == bindparam(column.name) for column in table.primary_key))
    for table in TABLES.sorted_tables
}
INSERT: Final = {table.name: insert(table) for table in TABLES.sorted_tables}
LAST_TURN: Final = select(SWITCH.c.stopped).order_by(SWITCH.c.turn.desc()).limit(1)
FORGET_NONCES: Final = delete(NONCES).where(NONCES.c.issued_at < bindparam("before"))
USE_NONCE: Final = update(NONCES).where(NONCES.c.nonce == bindparam("used_up")).values(used=True)
SIGNED: Final = select(CONTRACTS.c.contract).where(CONTRACTS.c.contract == bindparam("contract"))
VERSIONS_OF: Final = (
    select(VERSIONS.c.contract).where(VERSIONS.c.lineage == bindparam("lineage")).order_by(VERSIONS.c.number)
)
ABOUT: Final = select(STATEMENTS).where(STATEMENTS.c.contract == bindparam("contract"))
CHARGED: Final = select(func.count()).where(
    CHARGES.c.lineage == bindparam("lineage"), CHARGES.c.owner == bindparam("owner")
)
LOST: Final = select(func.sum(LOSSES.c.micro_rho), func.sum(LOSSES.c.pico_delta)).where(
    LOSSES.c.dataset == bindparam("dataset")
)
LINEAGES: Final = select(VERSIONS.c.lineage).distinct().order_by(VERSIONS.c.lineage)
OF_RUN: Final = select(GRANTS).where(GRANTS.c.run == bindparam("run")).order_by(GRANTS.c.number)
