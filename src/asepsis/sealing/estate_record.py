"""Signed records of a source's restore points: a line in which nothing can be left out, added or reordered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from asepsis.domain.documents import Document, Fields, encode_bytes
from asepsis.domain.estate_record import DOCUMENT, EstateRecord, read_record
from asepsis.domain.names import Digest
from asepsis.errors.estate import RecordAltered
from asepsis.errors.sealing import SignatureInvalid
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.signing import Purpose, verify

_SIGNATURE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRecord:
    """A record under the hospital's signature."""

    record: EstateRecord
    signature: bytes

    @property
    def digest(self) -> Digest:
        """By which the next record and the ledger name it."""
        return digest(self.to_document())

    def to_document(self) -> Document:
        """The document form that :func:`read_signed_record` reads."""
        return {"record": self.record.to_document(), "signature": encode_bytes(self.signature)}


def record_payload(record: EstateRecord) -> bytes:
    """The bytes that the hospital signs with ``Purpose.ESTATE_RECORD``."""
    return canonical(record.to_document())


def read_signed_record(value: object) -> SignedRecord:
    """Read a signed record, without verifying it. Raises DocumentMalformed."""
    fields = Fields(value, document=DOCUMENT)
    record, signature = read_record(fields.anything("record")), fields.octets("signature", length=_SIGNATURE)
    fields.close()
    return SignedRecord(record=record, signature=signature)


def verify_records(records: Sequence[SignedRecord], *, of: tuple[str, str, str], key: bytes) -> list[EstateRecord]:
    """The records of one source, if they are one unbroken line; ``of`` is the room, the party and the source.

    Raises RecordAltered.
    """
    previous = ""
    for number, signed in enumerate(records):
        record = signed.record
        if (record.room, record.party, record.source) != of or (record.number, record.previous) != (number, previous):
            raise RecordAltered(problem="a record is missing, added or out of order")
        try:
            verify(key, purpose=Purpose.ESTATE_RECORD, payload=record_payload(record), signature=signed.signature)
        except SignatureInvalid:
            raise RecordAltered(problem="the hospital did not sign a record") from None
        previous = signed.digest
    return [signed.record for signed in records]
