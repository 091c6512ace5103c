"""What a run leaves: paths of Parquet files, the books, and a sealed description that a later start can trust."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from blake3 import blake3

from asepsis.domain.books import Books, books_from_dict
from asepsis.domain.names import Digest, RunId

RESULT: Final = "result.json"
READING: Final = "reading.json"
WAITING: Final = "quarantined_records.parquet"
PERSONS: Final = "persons.parquet"
PARTNERS: Final = "partners.parquet"
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is: the stage, the file or table at hand, and records done so far in it."""

    stage: str
    subject: str
    records: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HarmonisedRun:
    """The outcome of a contribution.

    ``tables`` are clinical only; identities lie apart; all paths are Parquet. ``waiting`` (quarantined records as
    landed), ``persons``, ``partners`` (what is joined) and ``reading`` (JSON) are what a rerun needs besides.
    """

    run: RunId
    tables: Mapping[str, Path]
    identity: Path
    quarantine: Path
    excluded: Path
    merged: Path
    provenance: Path
    waiting: Path
    persons: Path
    partners: Path
    reading: Path
    books: Books
    row_counts: Mapping[str, int]
    mapping_digest: Digest
    label: str


def file_digest(path: Path) -> str:
    """BLAKE3 of a file, lower-case hex."""
    digest = blake3()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def write_result(folder: Path, *, seal: Mapping[str, Any], books: Books, row_counts: Mapping[str, int]) -> None:
    """Describe the finished outputs of ``folder`` next to them."""
    outputs = {path.name: file_digest(path) for path in (*sorted(folder.glob("*.parquet")), folder / READING)}
    value = {"seal": dict(seal), "books": books.as_dict(), "rows": dict(row_counts), "outputs": outputs}
    (folder / RESULT).write_text(json.dumps(value, sort_keys=True, indent=1), encoding="utf-8")


def read_result(folder: Path, *, seal: Mapping[str, Any]) -> HarmonisedRun | None:
    """The finished run in ``folder``, or ``None`` if it was made from other inputs or is not whole."""
    try:
        value = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        outputs: dict[str, str] = value["outputs"]
        if value["seal"] != dict(seal) or any(file_digest(folder / name) != known for name, known in outputs.items()):
            return None
        return _result(folder, value)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _result(folder: Path, value: Mapping[str, Any]) -> HarmonisedRun:
    apart = {"identity", "quarantine", "excluded", "merged", "provenance"}
    apart |= {Path(name).stem for name in (WAITING, PERSONS, PARTNERS)}
    names = sorted(Path(name).stem for name in value["outputs"] if name.endswith(".parquet"))
    books = books_from_dict(value["books"])
    return HarmonisedRun(
        run=books.run,
        tables={name: folder / f"{name}.parquet" for name in names if name not in apart},
        identity=folder / "identity.parquet",
        quarantine=folder / "quarantine.parquet",
        excluded=folder / "excluded.parquet",
        merged=folder / "merged.parquet",
        provenance=folder / "provenance.parquet",
        waiting=folder / WAITING,
        persons=folder / PERSONS,
        partners=folder / PARTNERS,
        reading=folder / READING,
        books=books,
        row_counts={str(name): int(count) for name, count in value["rows"].items()},
        mapping_digest=books.mapping,
        label=str(value["seal"]["label"]),
    )
