"""Loading a vocabulary: every line of every file is loaded or refused with a reason, and the books of it are kept.

Invariant: nothing is visible under the name of the output before all files are loaded and their books balance.
"""

# ruff: noqa: S608 - the SQL is written here from the names of tables; no data enters it

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Final

import duckdb
import pyarrow as pa

from asepsis.engines.harmonise.guard import connect, guarded
from asepsis.engines.vocabulary.members import Member, members_of
from asepsis.errors.vocabulary import VocabularyKept, VocabularyMalformed, VocabularyMissing, VocabularyUnwritable
from asepsis.harmonise.vocabulary.tables import (
    LICENSED,
    TABLES,
    FileBooks,
    Heading,
    Kind,
    VocabularyTable,
    read_heading,
    unquoted,
)

MANIFEST: Final = "vocabulary.json"
_CHUNK: Final = 8 << 20
_LONGEST_LINE: Final = 1 << 20
_NOT_UTF8: Final = "not_utf8"
_FIELDS: Final = "wrong_number_of_values"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What was loaded. ``version`` is that of the whole release; ``digest`` covers every byte of every file."""

    version: str
    digest: str
    files: tuple[FileBooks, ...]
    absent: tuple[str, ...]
    ignored: tuple[str, ...]
    concepts: int
    licences: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """The manifest of the vocabulary."""
        return {"format": "asepsis-vocabulary/1", **asdict(self)}


def load_vocabulary(place: Path, out: Path, *, progress: Callable[[str, int], None] | None = None) -> Loaded:
    """Load an Athena download into ``out``: a DuckDB file where it ends in ``.duckdb``, else a folder of Parquet.

    Raises:
        VocabularyMissing: CONCEPT or CONCEPT_RELATIONSHIP is not there.
        VocabularyMalformed: a file is no table of a vocabulary, or a line would be lost.
        VocabularyKept: there is something under the name of the output.
        VocabularyUnwritable: the output cannot be written.
    """
    if out.exists():
        raise VocabularyKept(path=str(out))
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True, mode=0o700)
    except OSError:
        raise VocabularyUnwritable(path=str(out)) from None
    try:
        with members_of(place) as members:
            loaded = _load(members, place, partial, progress)
        _publish(partial, out, loaded)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return loaded


def _load(
    members: dict[str, Member], place: Path, partial: Path, progress: Callable[[str, int], None] | None
) -> Loaded:
    missing = [table.name for table in TABLES.values() if table.needed and table.name not in members]
    if missing:
        raise VocabularyMissing(file=f"{missing[0].upper()}.csv", path=str(place))
    connection = connect(partial / "work.duckdb", scratch=partial / "scratch", memory="1GB", threads=2)
    try:
        books, digest = [], hashlib.sha256(b"asepsis vocabulary 1\0")
        for table in TABLES.values():
            member = members.get(table.name)
            _create(connection, table)
            if member is not None:
                one, content = _File(connection, table, member, progress).load()
                one.check()
                books.append(one)
                digest.update(f"{table.name}\0{content}\n".encode())
        return _described(connection, members, tuple(books), digest.hexdigest())
    finally:
        connection.close()


def _described(
    connection: duckdb.DuckDBPyConnection, members: dict[str, Member], books: tuple[FileBooks, ...], digest: str
) -> Loaded:
    with guarded("vocabulary"):
        found = connection.execute("SELECT vocabulary_version FROM vocabulary WHERE vocabulary_id = 'None'").fetchone()
        used = {name for (name,) in connection.execute("SELECT DISTINCT vocabulary_id FROM concept").fetchall()}
        concepts = connection.execute("SELECT count(*) FROM concept").fetchone()
    if "concept_cpt4" in members:
        used.add("CPT4")
    return Loaded(
        version=str(found[0]) if found and found[0] else "not stated",
        digest=digest,
        files=books,
        absent=tuple(name for name in TABLES if name not in members),
        ignored=tuple(sorted(member.name for stem, member in members.items() if stem not in TABLES)),
        concepts=concepts[0] if concepts else 0,
        licences=tuple(f"{name} {words}" for name, words in LICENSED.items() if name in used),
    )


def _create(connection: duckdb.DuckDBPyConnection, table: VocabularyTable) -> None:
    columns = ", ".join(f"{name} {kind}" for name, kind in table.columns.items())
    with guarded("vocabulary"):
        connection.execute(f"CREATE TABLE {table.name} ({columns})")
        connection.execute("CREATE TABLE IF NOT EXISTS refused (table_name VARCHAR, line BIGINT, reason VARCHAR)")


class _File:
    """Loads one file in bounded memory."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: VocabularyTable,
        member: Member,
        progress: Callable[[str, int], None] | None,
    ) -> None:
        self._connection = connection
        self._table = table
        self._member = member
        self._progress = progress
        self._digest = hashlib.sha256()
        self._lines = 0

    def load(self) -> tuple[FileBooks, str]:
        """The books of the file, and the digest of its bytes."""
        with guarded("vocabulary"):
            self._connection.execute("DROP TABLE IF EXISTS raw")
            kept = ", ".join(f"{name} {kind}" for name, kind in self._table.columns.items())
            self._connection.execute(f"CREATE TEMP TABLE raw (line BIGINT, reason VARCHAR, {kept})")
        heading: Heading | None = None
        try:
            with self._member.open() as stream:
                for lines in self._blocks(stream):
                    if heading is None:
                        heading = self._heading(lines.pop(0))
                    self._insert(lines, heading)
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error):
            raise VocabularyMalformed(file=self._member.name, problem="it cannot be read to its end") from None
        if heading is None:
            raise VocabularyMalformed(file=self._member.name, problem="it is empty")
        return self._settle(), self._digest.hexdigest()

    def _heading(self, line: bytes) -> Heading:
        return read_heading(line.decode("utf-8", "replace"), file=self._member.name, table=self._table)

    def _blocks(self, stream: IO[bytes]) -> Iterator[list[bytes]]:
        """The lines of the file without their ends, many at a time."""
        rest = b""
        while chunk := stream.read(_CHUNK):
            self._digest.update(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                raise VocabularyMalformed(file=self._member.name, problem="a line is too long")
            if lines:
                yield lines
        if rest:
            yield [rest]

    def _insert(self, lines: list[bytes], heading: Heading) -> None:
        if not lines:
            return
        texts, bad = _decoded(lines)
        if not heading.is_athena:
            texts = [unquoted(text) for text in texts]
        reasons = pa.array([_NOT_UTF8 if index in bad else None for index in range(len(texts))], pa.string())
        first = self._lines + 1
        self._lines += len(lines)
        numbers = pa.array(range(first, first + len(lines)), pa.int64())
        block = pa.table({"line": numbers, "text": pa.array(texts, pa.string()), "bad": reasons})
        with guarded("vocabulary"):
            self._connection.register("block", block)
            self._connection.execute(f"INSERT INTO raw {self._typed(heading)}")
            self._connection.unregister("block")
        if self._progress is not None:
            self._progress(self._member.name, self._lines)

    def _typed(self, heading: Heading) -> str:
        """A line's values with their types; the first value that does not fit is its reason."""
        count = f"CASE WHEN len(v) <> {len(heading.names)} THEN '{_FIELDS}' END"
        columns, reasons = [], ["bad", count]
        for name, kind in self._table.columns.items():
            value = f"nullif(v[{heading.names.index(name) + 1}], '')"
            typed = _cast(value, kind)
            columns.append(f"{typed} AS {name}")
            if kind is not Kind.TEXT:
                reasons.append(f"CASE WHEN {value} IS NOT NULL AND {typed} IS NULL THEN 'malformed_{name}' END")
            if name in self._table.filled:
                reasons.append(f"CASE WHEN {value} IS NULL THEN 'missing_{name}' END")
        split = f"SELECT line, bad, string_split(rtrim(text, chr(13)), '{heading.separator}') AS v FROM block"
        return f"SELECT line, coalesce({', '.join(reasons)}) AS reason, {', '.join(columns)} FROM ({split})"

    def _settle(self) -> FileBooks:
        table = self._table
        names = ", ".join(table.columns)
        with guarded("vocabulary"):
            if table.key is not None:
                first = f"SELECT {table.key}, min(line) AS line FROM raw WHERE reason IS NULL GROUP BY 1"
                self._connection.execute(
                    f"UPDATE raw SET reason = 'repeated_{table.key}' FROM ({first}) f "
                    f"WHERE raw.{table.key} = f.{table.key} AND raw.line > f.line AND raw.reason IS NULL"
                )
            self._connection.execute(f"INSERT INTO {table.name} SELECT {names} FROM raw WHERE reason IS NULL")
            self._connection.execute(
                f"INSERT INTO refused SELECT '{table.name}', line, reason FROM raw WHERE reason IS NOT NULL"
            )
            loaded = self._connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()
            refused = self._connection.execute(
                f"SELECT reason, count(*) FROM refused WHERE table_name = '{table.name}' GROUP BY 1 ORDER BY 1"
            ).fetchall()
            self._connection.execute("DROP TABLE raw")
        return FileBooks(
            file=self._member.name,
            table=table.name,
            lines=self._lines,
            loaded=loaded[0] if loaded else 0,
            refused=dict(Counter(dict(refused))),
        )


def _decoded(lines: list[bytes]) -> tuple[list[str], set[int]]:
    """Lines as text, and the places of those that are not UTF-8 (which are refused; their text is not kept)."""
    try:
        return b"\n".join(lines).decode("utf-8").split("\n"), set()
    except UnicodeDecodeError:
        texts = [line.decode("utf-8", "replace") for line in lines]
        return texts, {index for index, line in enumerate(lines) if not _is_utf8(line)}


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _cast(value: str, kind: Kind) -> str:
    if kind is Kind.TEXT:
        return value
    if kind is Kind.DATE:
        return f"coalesce(try_strptime({value}, '%Y%m%d'), try_strptime({value}, '%Y-%m-%d'))::DATE"
    return f"try_cast({value} AS {kind})"


def _publish(partial: Path, out: Path, loaded: Loaded) -> None:
    """Write the tables and the manifest, then give them their name."""
    made = partial / "made"
    made.mkdir()
    target = made / "vocabulary.duckdb" if out.suffix == ".duckdb" else made
    connection = connect(partial / "work.duckdb", scratch=partial / "scratch", memory="1GB", threads=2)
    manifest = json.dumps(loaded.as_dict(), indent=1, sort_keys=True)
    try:
        with guarded("vocabulary"):
            connection.execute("PRAGMA force_compression = 'auto'")
            if target.suffix == ".duckdb":
                connection.execute(f"ATTACH '{_quoted(target)}' AS made")
                for name in (*TABLES, "refused"):
                    connection.execute(f"CREATE TABLE made.{name} AS SELECT * FROM {_ordered(name)}")
                connection.execute("CREATE TABLE made.manifest (document VARCHAR)")
                connection.execute("INSERT INTO made.manifest VALUES (?)", [manifest])
                connection.execute("DETACH made")
            else:
                for name in (*TABLES, "refused"):
                    path = _quoted(target / f"{name}.parquet")
                    connection.execute(f"COPY (SELECT * FROM {_ordered(name)}) TO '{path}' (FORMAT parquet)")
                (made / MANIFEST).write_text(manifest, encoding="utf-8")
    finally:
        connection.close()
    target.replace(out)


def _ordered(name: str) -> str:
    """Sorted by what is asked for, so that a question reads little."""
    orders = {
        "concept": "vocabulary_id, concept_code, concept_id",
        "concept_relationship": "relationship_id, concept_id_1, concept_id_2",
    }
    return f"{name} ORDER BY {orders[name]}" if name in orders else name


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
