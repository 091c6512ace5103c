"""What of real files a mapping does not know: a run in a place of its own, of which only names and counts stay.

Invariant: what is returned are names of files, and codes and how often they occur; every other output of the run is
deleted again.
"""

# ruff: noqa: S608 - the SQL is written here from the names of columns; no data enters it

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import duckdb

from asepsis.engines.harmonise.guard import IN_MEMORY, connect, guarded
from asepsis.engines.harmonise.land import Opener
from asepsis.engines.harmonise.result import HarmonisedRun
from asepsis.engines.harmonise.run import harmonise
from asepsis.errors.source import SourceMissingError
from asepsis.harmonise.mapping import Mapping as SourceMapping
from asepsis.harmonise.omop import TARGETS

_NOBODYS_KEY: Final = bytes(32)
_CONCEPT: Final = "_concept_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmapped:
    """Codes of one column that its code maps do not have, with their rows, the most frequent first."""

    table: str
    column: str
    codes: Mapping[str, int]

    @property
    def rows(self) -> int:
        """How many rows carry one of them."""
        return sum(self.codes.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """What a mapping does not know of some files: those that no entry reads, and codes that no code map has."""

    files: tuple[str, ...] = ()
    codes: tuple[Unmapped, ...] = ()


def unknown_of(mapping: SourceMapping, files: Path) -> Unknown:
    """Run the files of a folder through a mapping; name those that no entry reads and count unknown codes.

    A column is looked at where the mapping also fills its ``_source_value``.

    Raises:
        SourceMissingError: the folder of the files is not there.
        HarmoniseFailed: what ``harmonise`` raises.
    """
    if not files.is_dir():
        raise SourceMissingError(uri=str(files))
    openers: dict[str, Opener] = {
        path.relative_to(files).as_posix(): partial(_open, path)
        for path in sorted(files.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
    with tempfile.TemporaryDirectory(prefix="asepsis-check-") as scratch:
        run = harmonise(mapping, openers, workdir=Path(scratch), run="check", person_key=_NOBODYS_KEY)
        connection = connect(IN_MEMORY, scratch=Path(scratch), memory="256MB", threads=1)
        try:
            return Unknown(files=run.books.uncovered, codes=tuple(_columns(connection, mapping, run)))
        finally:
            connection.close()


def _open(path: Path) -> BinaryIO:
    return path.open("rb")


def _columns(connection: duckdb.DuckDBPyConnection, mapping: SourceMapping, run: HarmonisedRun) -> Iterator[Unmapped]:
    known: dict[tuple[str, str], set[str]] = {}
    for spec in mapping.tables:
        for column in spec.fields:
            if column.code_map is not None:
                codes = {row.source_code for row in mapping.codes[column.code_map].rows}
                known.setdefault((spec.table, column.name), set()).update(codes)
    for (table, name), codes in sorted(known.items()):
        source = name.removesuffix(_CONCEPT) + "_source_value"
        if table not in run.tables or not name.endswith(_CONCEPT) or source not in TARGETS[table].columns:
            continue
        with guarded("check"):
            found = connection.execute(
                f"SELECT {source}, count(*) FROM read_parquet(?) WHERE coalesce({name}, 0) = 0 "
                f"AND {source} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1",
                [str(run.tables[table])],
            ).fetchall()
        left = {code: count for code, count in found if code not in codes}
        if left:
            yield Unmapped(table=table, column=name, codes=left)
