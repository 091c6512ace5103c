from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asepsis.domain.catalogue import Catalogue, Column, ColumnType, Table, Use
from asepsis.engines.query.loading import LinkMap
from asepsis.engines.query.room import QueryRoom

Tables = dict[str, dict[str, list[dict[str, Any]]]]
OpenRoom = Callable[..., QueryRoom]

CODED = frozenset({Use.COMPARE, Use.GROUP})
ARROW = {
    ColumnType.INTEGER: pa.int64(),
    ColumnType.NUMBER: pa.float64(),
    ColumnType.DATE: pa.date32(),
    ColumnType.TEXT: pa.string(),
}


def column(name: str, kind: ColumnType, *uses: Use, bin_width: int | None = None) -> Column:
    return Column(name=name, type=kind, uses=frozenset(uses), bin_width=bin_width)


PERSON_ID = column("person_id", ColumnType.INTEGER, Use.UNIT)
CATALOGUE = Catalogue(
    tables=(
        Table(
            name="person",
            one_per_person=True,
            columns=(
                PERSON_ID,
                column("gender", ColumnType.INTEGER, *CODED),
                column("birth", ColumnType.INTEGER, *CODED),
                column("town", ColumnType.TEXT, *CODED),
            ),
        ),
        Table(
            name="visit",
            columns=(
                PERSON_ID,
                column("kind", ColumnType.INTEGER, *CODED),
                column("began", ColumnType.DATE, Use.DATE),
                column("ended", ColumnType.DATE, Use.DATE),
                column("cost", ColumnType.NUMBER, Use.AGGREGATE, bin_width=10),
                column("note", ColumnType.TEXT),
            ),
        ),
        Table(
            name="concept",
            key="concept_id",
            columns=(
                column("concept_id", ColumnType.INTEGER, *CODED),
                column("concept_name", ColumnType.TEXT, *CODED),
            ),
        ),
        Table(
            name="ancestor",
            columns=(
                column("ancestor", ColumnType.INTEGER, *CODED),
                column("descendant", ColumnType.INTEGER, *CODED),
            ),
        ),
    )
)


def write(path: Path, table: Table, rows: list[dict[str, Any]]) -> Path:
    columns = {item.name: pa.array([row.get(item.name) for row in rows], ARROW[item.type]) for item in table.columns}
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def catalogue() -> Catalogue:
    return CATALOGUE


@pytest.fixture
def open_room(tmp_path: Path) -> Iterator[OpenRoom]:
    """Opens a locked room from plain rows: table → owner → rows; ``links`` are (owner, person_id, link_id)."""
    opened: list[QueryRoom] = []

    def build(tables: Tables, links: list[tuple[str, int, int]] | None = None, **settings: Any) -> QueryRoom:
        folder = tmp_path / str(len(opened))
        folder.mkdir()
        room = QueryRoom(folder, threads=1, **settings)
        opened.append(room)
        path = None
        if links is not None:
            path = folder / "links.parquet"
            owners, persons, ids = zip(*links, strict=True) if links else ((), (), ())
            pq.write_table(
                pa.table(
                    {
                        "owner": pa.array(owners, pa.string()),
                        "person_id": pa.array(persons, pa.int64()),
                        "link_id": pa.array(ids, pa.int64()),
                    }
                ),
                path,
            )
        for table in CATALOGUE.tables:
            files = {
                owner: write(folder / f"{table.name}-{owner}.parquet", table, rows)
                for owner, rows in tables.get(table.name, {}).items()
            }
            room.load(table, files, None if path is None else LinkMap(path=path))
        room.lock()
        return room

    yield build
    for room in opened:
        room.close()
