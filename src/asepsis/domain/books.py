"""Books: the reconciliation of every landed record of a contribution.

Invariant: per file, landed = header + context + residue + accepted + merged + quarantined + excluded, the landed bytes
are the bytes of the file, and every accepted record became at least one row. ``Books.balance`` raises where not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from asepsis.domain.names import Digest, RunId
from asepsis.errors.harmonise import BooksDoNotBalance

_COLUMNS: Final = ("landed", "accepted", "merged", "quarantined", "excluded", "header", "context", "residue")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileBooks:
    """The account of one file; all numbers are records except ``size`` and ``landed_bytes`` (bytes).

    ``digest`` is BLAKE3 of the file as it is stored.
    ``header`` are records that belong to the format itself (headers, terminators), ``context`` are read together with
    other records (the patient segment of a message), ``residue`` are bytes outside any record, kept in quarantine.
    ``emitted`` counts rows per target table: one record may become several rows. ``declared`` is what the source says
    it holds; ``counted`` is what was found of that, where it is not the number of data records (messages of a batch).
    """

    path: str
    digest: Digest
    size: int
    landed_bytes: int
    landed: int
    accepted: int
    merged: int
    quarantined: int
    excluded: int
    header: int
    residue: int
    context: int = 0
    accepted_without_row: int = 0
    declared: int | None = None
    counted: int | None = None
    emitted: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    exclusions: Mapping[str, int] = field(default_factory=dict)
    flags: Mapping[str, int] = field(default_factory=dict)
    repairs: Mapping[str, int] = field(default_factory=dict)

    def balance(self) -> None:
        """Check the invariant of this file.

        Raises:
            BooksDoNotBalance: bytes or records are missing, counted twice, or accepted without becoming a row.
        """
        settled = sum(getattr(self, name) for name in _COLUMNS[1:])
        if self.landed != settled:
            raise BooksDoNotBalance(file=self.path, problem=f"{self.landed} records landed, {settled} settled")
        if self.landed_bytes != self.size:
            raise BooksDoNotBalance(file=self.path, problem=f"{self.size} bytes read, {self.landed_bytes} landed")
        if self.accepted_without_row:
            raise BooksDoNotBalance(file=self.path, problem=f"{self.accepted_without_row} accepted without a row")

    @property
    def meets_declared_count(self) -> bool | None:
        """Whether the source holds as many records as it declares; ``None`` where it declares nothing."""
        if self.declared is None:
            return None
        data = self.landed - self.header - self.context - self.residue
        return self.declared == (data if self.counted is None else self.counted)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextBooks:
    """The account of one column of free text (``table.column``): numbers of texts, and of what was replaced.

    ``withheld`` texts are kept out because no contract asks for them, ``unnamed`` ones because no name of their person
    is known that could be looked for. ``changed`` ones had something replaced; ``replaced`` counts by label.
    """

    column: str
    texts: int
    withheld: int = 0
    unnamed: int = 0
    changed: int = 0
    replaced: Mapping[str, int] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        """The texts that stand in the table."""
        return self.texts - self.withheld - self.unnamed


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The account of one run over all its files. ``uncovered`` are files of the source that no entry reads."""

    run: RunId
    mapping: Digest
    files: tuple[FileBooks, ...]
    uncovered: tuple[str, ...] = ()
    texts: tuple[TextBooks, ...] = ()

    def balance(self) -> None:
        """Check every file.

        Raises:
            BooksDoNotBalance: for the first file whose account does not close.
        """
        for file in self.files:
            file.balance()

    def as_dict(self) -> dict[str, Any]:
        """The books as plain JSON values, in a stable order."""
        return {
            "run": self.run,
            "mapping": self.mapping,
            "files": [_plain(file) for file in self.files],
            "uncovered": list(self.uncovered),
            **({"texts": [_plain(text) for text in self.texts]} if self.texts else {}),
        }

    def as_text(self) -> str:
        """The books as a table of fixed width, one line per file, then what was found in each."""
        width = max([len(file.path) for file in self.files] + [len("file")])
        head = "file".ljust(width) + "".join(name.rjust(13) for name in _COLUMNS)
        body = [
            file.path.ljust(width) + "".join(f"{getattr(file, name):,}".rjust(13) for name in _COLUMNS)
            for file in self.files
        ]
        details = [line for file in self.files for line in _details(file)]
        details += [f"  not read by any entry of the mapping: {path}" for path in self.uncovered]
        return "\n".join([head, *body, *details, *map(_text_line, self.texts)])


def books_from_dict(value: Mapping[str, Any]) -> Books:
    """Read books back from ``Books.as_dict``."""
    return Books(
        run=RunId(value["run"]),
        mapping=Digest(value["mapping"]),
        files=tuple(FileBooks(**file) for file in value["files"]),
        uncovered=tuple(value["uncovered"]),
        texts=tuple(TextBooks(**text) for text in value.get("texts", ())),
    )


def _text_line(text: TextBooks) -> str:
    counts = {"texts": text.texts, "withheld": text.withheld, "unnamed": text.unnamed, "changed": text.changed}
    counts |= dict(sorted(text.replaced.items()))
    said = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
    return f"  free text {text.column}: {said}"


def _plain(file: FileBooks | TextBooks) -> dict[str, Any]:
    values = {item.name: getattr(file, item.name) for item in fields(file)}
    return {name: dict(sorted(item.items())) if isinstance(item, Mapping) else item for name, item in values.items()}


def _details(file: FileBooks) -> Iterator[str]:
    if file.meets_declared_count is False:
        yield f"  {file.path} declares {file.declared:,}, which it does not hold"
    for title in ("emitted", "reasons", "exclusions", "flags", "repairs"):
        counts: Mapping[str, int] = getattr(file, title)
        if counts:
            yield f"  {file.path} {title}: " + ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
