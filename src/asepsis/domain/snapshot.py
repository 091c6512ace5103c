"""Snapshots: one immutable, sealed version of a dataset, and the manifest that says what it consists of.

A manifest names every sealed file with its lengths, row count and BLAKE3 root. Its document form is a
closed schema: what is unknown, missing or of another type is refused, so that two readers of one signed
manifest can never understand different things.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from asepsis.domain.names import Digest, PartyId, RestorePointId, SnapshotId
from asepsis.errors.sealing import ManifestMalformed

FORMAT: Final = "asepsis/manifest/1"

_MANIFEST_KEYS: Final = frozenset(
    {"format", "owner", "dataset", "snapshot", "label", "created_at", "origin", "files"},
)
_ORIGIN_KEYS: Final = frozenset({"source_kind", "restore_point", "mapping", "books"})
_FREE_TEXT: Final = "free_text"
_TAKEN_AT: Final = "taken_at"
_FILE_KEYS: Final = frozenset({"id", "table", "rows", "length", "sealed_length", "root"})
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")
_FILE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_HEX_256: Final = re.compile(r"[0-9a-f]{64}")
_LONGEST_TEXT: Final = 200
_LARGEST_NUMBER: Final = 2**53 - 1
"""Largest whole number that JSON carries exactly everywhere (RFC 8259, section 6)."""


class Label(StrEnum):
    """What the rows of a snapshot are; keys of real data need a stronger level of evidence."""

    REAL = "real"
    SYNTHETIC = "synthetic"


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedFile:
    """One sealed file of a snapshot.

    ``length`` counts plaintext bytes, ``sealed_length`` the bytes of the container, and ``root`` is the
    BLAKE3 hash of the container in lower-case hex. The id is safe as a file name on every system.
    """

    id: str
    table: str
    rows: int
    length: int
    sealed_length: int
    root: str

    def __post_init__(self) -> None:
        """Refuse what the schema does not allow; raises `ManifestMalformed`."""
        _match(_FILE_ID, self.id, "files.id")
        _match(_NAME, self.table, "files.table")
        _count(self.rows, "files.rows")
        _count(self.length, "files.length")
        _count(self.sealed_length, "files.sealed_length")
        _match(_HEX_256, self.root, "files.root")

    def to_document(self) -> dict[str, object]:
        """Plain JSON values under the names of the schema."""
        return {
            "id": self.id,
            "table": self.table,
            "rows": self.rows,
            "length": self.length,
            "sealed_length": self.sealed_length,
            "root": self.root,
        }

    @classmethod
    def from_document(cls, document: object) -> SealedFile:
        """Read the document form; raises `ManifestMalformed`."""
        fields = _closed(document, _FILE_KEYS, "files")
        return cls(
            id=_text(fields["id"], "files.id"),
            table=_text(fields["table"], "files.table"),
            rows=_count(fields["rows"], "files.rows"),
            length=_count(fields["length"], "files.length"),
            sealed_length=_count(fields["sealed_length"], "files.sealed_length"),
            root=_text(fields["root"], "files.root"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a snapshot came from: the kind of source, the restore point, and digests of mapping and books.

    ``free_text`` names the columns in which it has scrubbed texts; where there are none, the document does not say so.
    ``taken_at`` is when the restore point was taken, which is what the data are as of; older manifests do not say it.
    """

    source_kind: str
    restore_point: RestorePointId
    mapping: Digest
    books: Digest
    free_text: tuple[str, ...] = ()
    taken_at: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse what the schema does not allow; raises `ManifestMalformed`."""
        _match(_NAME, self.source_kind, "origin.source_kind")
        _text(self.restore_point, "origin.restore_point")
        _match(_HEX_256, self.mapping, "origin.mapping")
        _match(_HEX_256, self.books, "origin.books")
        for column in self.free_text:
            _match(_NAME, column, "origin.free_text")
        if list(self.free_text) != sorted(set(self.free_text)):
            raise ManifestMalformed(place="origin.free_text")
        if self.taken_at is not None and self.taken_at.utcoffset() != timedelta(0):
            raise ManifestMalformed(place="origin.taken_at")

    def to_document(self) -> dict[str, object]:
        """Plain JSON values under the names of the schema."""
        return {
            "source_kind": self.source_kind,
            "restore_point": self.restore_point,
            "mapping": self.mapping,
            "books": self.books,
            **({_FREE_TEXT: list(self.free_text)} if self.free_text else {}),
            **({} if self.taken_at is None else {_TAKEN_AT: _spell(self.taken_at)}),
        }

    @classmethod
    def from_document(cls, document: object) -> Origin:
        """Read the document form; raises `ManifestMalformed`."""
        said = {_FREE_TEXT, _TAKEN_AT} & set(document) if isinstance(document, dict) else set()
        fields, has_text = _closed(document, _ORIGIN_KEYS | said, "origin"), _FREE_TEXT in said
        texts = fields.get(_FREE_TEXT, [])
        if not isinstance(texts, list) or (has_text and not texts):
            raise ManifestMalformed(place="origin.free_text")
        return cls(
            source_kind=_text(fields["source_kind"], "origin.source_kind"),
            restore_point=RestorePointId(_text(fields["restore_point"], "origin.restore_point")),
            mapping=Digest(_text(fields["mapping"], "origin.mapping")),
            books=Digest(_text(fields["books"], "origin.books")),
            free_text=tuple(_text(text, "origin.free_text") for text in texts),
            taken_at=_instant(fields[_TAKEN_AT], "origin.taken_at") if _TAKEN_AT in said else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an owner signs when a snapshot is sealed: whose it is, what it is, where from, and every file."""

    owner: PartyId
    dataset: str
    snapshot: SnapshotId
    label: Label
    created_at: datetime
    origin: Origin
    files: tuple[SealedFile, ...]

    def __post_init__(self) -> None:
        """Refuse what the schema does not allow, and a file id that occurs twice; raises `ManifestMalformed`."""
        _match(_NAME, self.owner, "owner")
        _match(_NAME, self.dataset, "dataset")
        _match(_NAME, self.snapshot, "snapshot")
        if self.created_at.utcoffset() != timedelta(0):
            raise ManifestMalformed(place="created_at")
        if len({file.id for file in self.files}) != len(self.files):
            raise ManifestMalformed(place="files.id")

    def file(self, file_id: str) -> SealedFile:
        """The sealed file with this id; raises `ManifestMalformed` if the manifest does not list it."""
        for file in self.files:
            if file.id == file_id:
                return file
        raise ManifestMalformed(place="files.id")

    def to_document(self) -> dict[str, object]:
        """Plain JSON values under the names of the schema; files keep their order."""
        return {
            "format": FORMAT,
            "owner": self.owner,
            "dataset": self.dataset,
            "snapshot": self.snapshot,
            "label": self.label.value,
            "created_at": _spell(self.created_at),
            "origin": self.origin.to_document(),
            "files": [file.to_document() for file in self.files],
        }

    @classmethod
    def from_document(cls, document: object) -> Manifest:
        """Read the document form.

        Raises:
            ManifestMalformed: a key is unknown or missing, or a value is not of its type or form.
        """
        fields = _closed(document, _MANIFEST_KEYS, "manifest")
        files = fields["files"]
        if fields["format"] != FORMAT or not isinstance(files, list):
            raise ManifestMalformed(place="format" if isinstance(files, list) else "files")
        return cls(
            owner=PartyId(_text(fields["owner"], "owner")),
            dataset=_text(fields["dataset"], "dataset"),
            snapshot=SnapshotId(_text(fields["snapshot"], "snapshot")),
            label=_label(fields["label"]),
            created_at=_instant(fields["created_at"], "created_at"),
            origin=Origin.from_document(fields["origin"]),
            files=tuple(SealedFile.from_document(file) for file in files),
        )


def _closed(document: object, keys: frozenset[str], place: str) -> Mapping[str, object]:
    if not isinstance(document, dict) or document.keys() != keys:
        raise ManifestMalformed(place=place)
    return document


def _text(value: object, place: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TEXT or not value.isprintable():
        raise ManifestMalformed(place=place)
    return value


def _match(pattern: re.Pattern[str], value: str, place: str) -> None:
    if pattern.fullmatch(_text(value, place)) is None:
        raise ManifestMalformed(place=place)


def _count(value: object, place: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST_NUMBER:
        raise ManifestMalformed(place=place)
    return value


def _label(value: object) -> Label:
    for label in Label:
        if value == label.value:
            return label
    raise ManifestMalformed(place="label")


def _instant(value: object, place: str) -> datetime:
    text = _text(value, place)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ManifestMalformed(place=place) from None
    if _spell(instant) != text:  # ISO 8601 has several spellings of one instant; here only one is read
        raise ManifestMalformed(place=place)
    return instant


def _spell(instant: datetime) -> str:
    return instant.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
