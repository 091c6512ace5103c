"""Erasure: an owner's signed word that keys of a contract's data were destroyed: which, when, under which clause.

Keys are destroyed, not copies of ciphertext: a sealed file whose key is gone is noise, wherever a copy of it lies.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from asepsis.domain.documents import Document, Fields, encode_time
from asepsis.domain.names import Digest, PartyId

FORMAT: Final = "asepsis/erasure/1"


class Clause(StrEnum):
    """Why data may not be kept any longer."""

    ENDED = "ended"
    """A party ended the contract."""

    EXPIRED = "valid.until"
    """The contract's time is over."""

    RETENTION = "retention_days"
    """The data were sealed longer ago than the contract keeps them; it goes on with newer ones."""

    EPOCH = "linkage"
    """The linkage that tokens and a share of a link key were made for is over; the contract goes on."""


class KeyKind(StrEnum):
    """What a destroyed key had opened."""

    SNAPSHOT = "snapshot"
    LINKS = "links"
    MEMORY = "memory"
    SHARE = "link-share"


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyedKey:
    """One key: what it opened, by its id, and the digests of the manifest and of the destroyed secret.

    A memory or a share has no manifest. ``secret`` is empty where the secret was gone before.
    """

    kind: KeyKind
    id: str
    dataset: str
    manifest: str
    secret: str

    def to_document(self) -> Document:
        """The document form."""
        return {
            "kind": self.kind.value,
            "id": self.id,
            "dataset": self.dataset,
            "manifest": self.manifest,
            "secret": self.secret,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SparedKey:
    """A snapshot that another contract of the owner, by its digest, still lets be used."""

    id: str
    contract: Digest

    def to_document(self) -> Document:
        """The document form."""
        return {"id": self.id, "contract": self.contract}


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What one owner's desk destroyed under one contract, at ``at`` (UTC).

    ``leases_until`` is the end of the last lease that the desk had granted under the contract: until then, and no
    longer, a runtime may have held such a key. It is the time of the erasure where all leases were over.
    """

    owner: PartyId
    contract: Digest
    lineage: Digest
    clause: Clause
    at: datetime
    leases_until: datetime
    keys: tuple[DestroyedKey, ...]
    spared: tuple[SparedKey, ...] = ()

    def to_document(self) -> Document:
        """The document whose canonical form the owner's desk signs; :func:`read_erasure` reads it."""
        return {
            "format": FORMAT,
            "owner": self.owner,
            "contract": self.contract,
            "lineage": self.lineage,
            "clause": self.clause.value,
            "at": encode_time(self.at),
            "leases_until": encode_time(self.leases_until),
            "keys": [key.to_document() for key in self.keys],
            "spared": [key.to_document() for key in self.spared],
        }

    def ids(self, kind: KeyKind) -> list[str]:
        """The ids of destroyed keys of one kind."""
        return [key.id for key in self.keys if key.kind is kind]


def read_erasure(value: object) -> Erasure:
    """Read an erasure. Raises DocumentMalformed."""
    fields = Fields(value, document="erasure")
    if fields.text("format") != FORMAT:
        raise fields.malformed("format", f"'{FORMAT}' is needed")
    erasure = Erasure(
        owner=PartyId(fields.name("owner")),
        contract=Digest(fields.text("contract")),
        lineage=Digest(fields.text("lineage")),
        clause=fields.choice("clause", Clause),
        at=fields.time("at"),
        leases_until=fields.time("leases_until"),
        keys=tuple(_keys(fields.items("keys"))),
        spared=tuple(_spared(fields.items("spared"))),
    )
    fields.close()
    return erasure


def _keys(items: Iterable[object]) -> Iterable[DestroyedKey]:
    for item in items:
        fields = Fields(item, document="erasure", place="keys")
        yield DestroyedKey(
            kind=fields.choice("kind", KeyKind),
            id=fields.text("id"),
            dataset=fields.text("dataset"),
            manifest=fields.text("manifest", default=""),
            secret=fields.text("secret", default=""),
        )
        fields.close()


def _spared(items: Iterable[object]) -> Iterable[SparedKey]:
    for item in items:
        fields = Fields(item, document="erasure", place="spared")
        yield SparedKey(id=fields.text("id"), contract=Digest(fields.text("contract")))
        fields.close()
