"""Statements: one party suspends, resumes or ends a contract, and everything under it stops or goes on.

Stopping needs one party, going on needs every party that stopped: a suspension is lifted only by the party
that made it, and an end is final. A statement counts by its own time, so that showing an old one again
changes nothing; where two of one party carry the same time, the one that stops counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from asepsis.domain.contract import Contract
from asepsis.domain.contract_state import ContractStatus
from asepsis.domain.documents import Document, Fields, encode_time
from asepsis.domain.names import Digest, PartyId
from asepsis.errors.contract import ContractNotInForce


class StatementKind(StrEnum):
    """What a party states about a contract."""

    SUSPEND = "suspend"
    RESUME = "resume"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One party's word about one contract text, valid from ``at`` (UTC)."""

    kind: StatementKind
    contract: Digest
    party: PartyId
    at: datetime

    def to_document(self) -> Document:
        """The document whose canonical form the party signs; :func:`read_statement` reads it."""
        return {"kind": self.kind.value, "contract": self.contract, "party": self.party, "at": encode_time(self.at)}


def read_statement(value: object) -> Statement:
    """Read a statement. Raises DocumentMalformed."""
    fields = Fields(value, document="statement")
    statement = Statement(
        kind=fields.choice("kind", StatementKind),
        contract=Digest(fields.text("contract")),
        party=PartyId(fields.name("party")),
        at=fields.time("at"),
    )
    fields.close()
    return statement


def standing(statements: Iterable[Statement]) -> ContractStatus:
    """Where verified statements about one contract leave it: in force, suspended or ended."""
    latest: dict[PartyId, Statement] = {}
    for statement in statements:
        if statement.kind is StatementKind.END:
            return ContractStatus.ENDED
        known = latest.get(statement.party)
        if known is None or _later(statement, known):
            latest[statement.party] = statement
    suspended = any(statement.kind is StatementKind.SUSPEND for statement in latest.values())
    return ContractStatus.SUSPENDED if suspended else ContractStatus.IN_FORCE


def require_not_stopped(statements: Iterable[Statement], *, contract: Contract) -> None:
    """Raise ContractNotInForce if verified statements about the contract suspend or end it."""
    status = standing(statements)
    if status is not ContractStatus.IN_FORCE:
        raise ContractNotInForce(contract=contract.name, status=status.value)


def _later(statement: Statement, known: Statement) -> bool:
    return (statement.at, statement.kind is StatementKind.SUSPEND) > (known.at, known.kind is StatementKind.SUSPEND)
