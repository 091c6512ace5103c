"""Signed statements about a contract: a suspension, a resumption or an end, verified against its parties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from asepsis.domain.documents import Document, Fields, encode_bytes
from asepsis.domain.statements import Statement, StatementKind, read_statement
from asepsis.errors.contract import StatementNotTrusted
from asepsis.errors.sealing import SignatureInvalid
from asepsis.sealing.agreement import Agreement
from asepsis.sealing.canonical import canonical
from asepsis.sealing.signing import Purpose, verify

PURPOSES: Final[Mapping[StatementKind, Purpose]] = {
    StatementKind.SUSPEND: Purpose.SUSPENSION,
    StatementKind.RESUME: Purpose.RESUMPTION,
    StatementKind.END: Purpose.ENDING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedStatement:
    """A statement with its party's signature over the canonical form."""

    statement: Statement
    signature: bytes

    def to_document(self) -> Document:
        """The document form that :func:`read_statements` reads."""
        return {"statement": self.statement.to_document(), "signature": encode_bytes(self.signature)}


def statement_payload(statement: Statement) -> bytes:
    """The bytes that a party signs, with the purpose that belongs to the statement's kind."""
    return canonical(statement.to_document())


def verify_statement(signed: SignedStatement, agreement: Agreement) -> Statement:
    """Check that a party of the contract made this statement about it. Raises StatementNotTrusted, UnknownParty."""
    statement = signed.statement
    key = agreement.contract.party(statement.party).signing_key
    payload, purpose = statement_payload(statement), PURPOSES[statement.kind]
    try:
        verify(key, purpose=purpose, payload=payload, signature=signed.signature)
    except SignatureInvalid:
        raise StatementNotTrusted(party=statement.party) from None
    if statement.contract != agreement.digest:
        raise StatementNotTrusted(party=statement.party)
    return statement


def read_statements(items: Iterable[object], agreement: Agreement) -> list[Statement]:
    """Read and verify signed statements. Raises DocumentMalformed, StatementNotTrusted or UnknownParty."""
    return [verify_statement(read_signed_statement(item), agreement) for item in items]


def read_signed_statement(item: object) -> SignedStatement:
    """Read a signed statement, without verifying it. Raises DocumentMalformed."""
    fields = Fields(item, document="statement")
    statement = read_statement(fields.anything("statement"))
    signature = fields.octets("signature", length=64)
    fields.close()
    return SignedStatement(statement=statement, signature=signature)
