# ruff: noqa: S608 - quoted names
"""One snapshot judged by itself: what its tables say about each other, and what a list of digests beside them says."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, permutations
from pathlib import Path
from typing import BinaryIO, Final

import duckdb

from asepsis.engines.forensics.session import open_session
from asepsis.engines.forensics.tables import open_views, relation, table_files
from asepsis.engines.query.guard import guarded
from asepsis.integrity.records.alone import Agreement, AloneEvidence, Containment, DateOrder, Spelling
from asepsis.integrity.records.facts_sql import as_date, facts_sql, read_facts
from asepsis.integrity.records.layout import ColumnFacts, Family
from asepsis.integrity.records.ledger_sql import quoted

_LISTS: Final = ("SHA256SUMS", "SHA256SUMS.txt", "sha256sums.txt", "checksums.sha256")
_LINE: Final = re.compile(r"^([0-9a-fA-F]{64})[ \t]+\*?(.+)$")
_SHARED: Final = re.compile(r"_id$|^id$|_nr$|_no$", re.IGNORECASE)
_DEATH: Final = re.compile(r"death|dod|decease|tod_", re.IGNORECASE)
_PIECE: Final = 1 << 20
_WITNESSES: Final = 3
"""Every table is held against so many of the largest ones, not against all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    connection: duckdb.DuckDBPyConnection
    types: Mapping[str, Mapping[str, str]]
    facts: Mapping[str, Mapping[str, ColumnFacts]]

    def counts(self, text: str) -> tuple[int, ...]:
        row = guarded(lambda: self.connection.execute(text).fetchone()) or ()
        return tuple(int(value or 0) for value in row)


def look_alone(folder: Path, *, scratch: Path, memory: str = "2GB") -> AloneEvidence:
    """Measure one snapshot. Raises SnapshotEmpty, SnapshotTableUnreadable, EngineError."""
    connection = open_session(scratch, threads=2, memory=memory)
    try:
        types = open_views(connection, "newer", folder)
        facts = {table: _facts(connection, table, columns) for table, columns in types.items()}
        opened = _Opened(connection=connection, types=types, facts=facts)
        wrong, missing = _digests(folder)
        return AloneEvidence(
            tables={table: max((fact.rows for fact in own.values()), default=0) for table, own in facts.items()},
            digests_wrong=wrong,
            digests_missing=missing,
            containments=tuple(_containments(opened)),
            agreements=tuple(_agreements(opened)),
            orders=tuple(_deaths(opened)),
            spellings=tuple(_spellings(opened)),
        )
    finally:
        connection.close()


def _facts(connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str]) -> dict[str, ColumnFacts]:
    row = guarded(lambda: connection.execute(facts_sql(relation("newer", table), columns)).fetchone()) or ()
    return {fact.name: fact for fact in read_facts(row, columns)}


def _digests(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tables (else file names) whose content is not what the list of digests says, and names that are not there."""
    listed = next((folder / name for name in _LISTS if (folder / name).is_file()), None)
    if listed is None:
        return (), ()
    tables = {path: table for table, path in table_files(folder).items()}
    wrong, missing = [], []
    for line in listed.read_text("utf-8", errors="replace").splitlines():
        if (match := _LINE.match(line.strip())) is None:
            continue
        name = Path(match.group(2)).name
        path = next((folder / own for own in (name, f"{name}.gz") if (folder / own).is_file()), None)
        if path is None:
            missing.append(name)
        elif match.group(1).lower() not in _digests_of(path):
            wrong.append(tables.get(path, name))
    return tuple(wrong), tuple(missing)


def _digests_of(path: Path) -> set[str]:
    """The digest of a file as it lies, and of what is packed in it."""
    with path.open("rb") as stream:
        found = {_sha256(stream)}
    if path.suffix == ".gz":
        try:
            with gzip.open(path) as unpacked:
                found.add(_sha256(unpacked))  # type: ignore[arg-type]
        except (OSError, EOFError):
            return found
    return found


def _sha256(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while piece := stream.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()


def _containments(opened: _Opened) -> Iterator[Containment]:
    """For columns of one name: the table in which it is unique, and how much of the others' values it has."""
    names = {name for own in opened.facts.values() for name in own if _SHARED.search(name) and name != "row_id"}
    for name in sorted(names):
        having = [table for table, own in opened.facts.items() if name in own and own[name].filled]
        owners = [table for table in having if _is_unique(opened, table, name)]
        for owner in owners if len(having) > len(owners) else []:
            for table in having:
                if table != owner:
                    rows, held = opened.counts(
                        f"SELECT count(*), count(*) FILTER (v IN (SELECT {_text(name)} "
                        f"FROM {relation('newer', owner)})) FROM (SELECT {_text(name)} AS v "
                        f"FROM {relation('newer', table)}) WHERE v IS NOT NULL"
                    )
                    yield Containment(column=name, owner=owner, table=table, rows=rows, held=held)


def _is_unique(opened: _Opened, table: str, name: str) -> bool:
    fact = opened.facts[table][name]
    if fact.filled < fact.rows or fact.distinct < 0.9 * fact.rows:
        return False
    (distinct,) = opened.counts(f"SELECT count(DISTINCT {quoted(name)}) FROM {relation('newer', table)}")
    return distinct == fact.rows


def _agreements(opened: _Opened) -> Iterator[Agreement]:
    """Two tables that both say which second id belongs to a first one: how often they say the same."""
    ids = {
        table: [name for name in own if _SHARED.search(name) and name != "row_id"]
        for table, own in opened.facts.items()
    }
    names = sorted({name for own in ids.values() for name in own})
    for first, second in permutations(names, 2):
        having = [table for table in sorted(opened.facts) if {first, second} <= set(ids[table])]
        having = [t for t in having if opened.facts[t][first].distinct > opened.facts[t][second].distinct]
        largest = sorted(having, key=lambda table: -opened.facts[table][first].rows)[:_WITNESSES]
        for one, other in combinations(having, 2):
            if one in largest or other in largest:
                rows, same = opened.counts(
                    f"SELECT count(*), count(*) FILTER (a.s = b.s) FROM {_mapping(one, first, second)} AS a "
                    f"JOIN {_mapping(other, first, second)} AS b ON a.f = b.f"
                )
                yield Agreement(first=first, second=second, tables=(one, other), rows=rows, same=same)


def _mapping(table: str, first: str, second: str) -> str:
    return (
        f"(SELECT {_text(first)} AS f, any_value({_text(second)}) AS s "
        f"FROM {relation('newer', table)} WHERE {quoted(first)} IS NOT NULL AND {quoted(second)} IS NOT NULL "
        f"GROUP BY 1 HAVING count(DISTINCT {quoted(second)}) = 1)"
    )


def _text(column: str) -> str:
    return f"CAST({quoted(column)} AS VARCHAR)"


def _deaths(opened: _Opened) -> Iterator[DateOrder]:
    """Rows in which something happened on a day after the death."""
    for table, own in opened.facts.items():
        dates = [name for name, fact in own.items() if fact.family is Family.DATE]
        for death in (name for name in dates if _DEATH.search(name)):
            for other in (name for name in dates if not _DEATH.search(name)):
                x, y = (as_date(quoted(name), opened.types[table][name]) for name in (death, other))
                rows, late = opened.counts(
                    f"SELECT count(*), count(*) FILTER (CAST({y} AS DATE) > CAST({x} AS DATE) + 1) "
                    f"FROM {relation('newer', table)} WHERE {x} IS NOT NULL AND {y} IS NOT NULL"
                )
                yield DateOrder(table=table, death=death, other=other, rows=rows, late=late)


def _spellings(opened: _Opened) -> Iterator[Spelling]:
    """Date columns that are text: whether they are spelled as ISO 8601 says."""
    for table, own in opened.facts.items():
        for name, fact in own.items():
            if fact.family is Family.DATE and opened.types[table][name] == "VARCHAR" and fact.filled:
                (iso,) = opened.counts(
                    f"SELECT count(*) FILTER (regexp_matches({quoted(name)}, '^\\d{{4}}-\\d\\d-\\d\\d')) "
                    f"FROM {relation('newer', table)}"
                )
                yield Spelling(table=table, column=name, rows=fact.filled, iso=iso)
