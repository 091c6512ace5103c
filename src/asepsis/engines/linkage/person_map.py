"""The link map with posteriors: one row for every record, linked or not, so that a row tells nothing.

``link_id`` says who is one person at the run's threshold, ``link_id_90`` and ``link_id_99`` at higher posteriors; a
finer identifier differs from ``link_id`` only where it splits a person. ``p_link`` is the highest level at which the
record is linked to any other (null where it is not): a band, so that no weight leaves the job.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from asepsis.domain.linkage import GRADES, LEVELS, LinkGrade, LinkMode
from asepsis.domain.names import PartyId
from asepsis.errors.linkage import RandomnessRefused
from asepsis.linkage.best_first import Partition
from asepsis.linkage.quality import bits

_BYTES: Final = 8
_BITS: Final = 62
_ATTEMPTS: Final = 8
PERSON_MAP: Final = pa.schema(
    [
        pa.field("owner", pa.string(), nullable=False),
        pa.field("person_id", pa.int64(), nullable=False),
        pa.field("link_id", pa.int64(), nullable=False),
        pa.field("p_link", pa.float64()),
        pa.field("grade", pa.string(), nullable=False),
        pa.field("link_id_90", pa.int64(), nullable=False),
        pa.field("link_id_99", pa.int64(), nullable=False),
    ],
)


def draw_ids(count: int, *, randomness: Callable[[int], bytes]) -> list[int]:
    """``count`` distinct random numbers of 62 bits. Raises RandomnessRefused."""
    drawn: dict[int, None] = {}
    for _ in range(_ATTEMPTS):
        missing = count - len(drawn)
        if not missing:
            break
        data = randomness(missing * _BYTES)
        if len(data) != missing * _BYTES:
            raise RandomnessRefused
        numbers = (int.from_bytes(data[at : at + _BYTES], "big") for at in range(0, len(data), _BYTES))
        drawn.update(dict.fromkeys(number >> (_BYTES * 8 - _BITS) for number in numbers))
    if len(drawn) != count:
        raise RandomnessRefused
    return list(drawn)


def write_person_map(
    connection: duckdb.DuckDBPyConnection,
    partition: Partition,
    *,
    owners: Sequence[PartyId],
    output: Path,
    mode: LinkMode,
    randomness: Callable[[int], bytes],
) -> None:
    """Draw the identifiers and write the map in one piece. Raises RandomnessRefused."""
    # An Arrow result may leave the order of ORDER BY where insertion order is not preserved: it is sorted here.
    nodes: pa.Table = connection.sql("FROM node").to_arrow_table()
    nodes = nodes.sort_by("node")
    count = len(nodes)
    clusters = [partition.cluster_of, *(partition.at(bits(level)) for level in LEVELS[1:])]
    names = _names(clusters, count)
    drawn = draw_ids(1 + max((max(each) for each in names if each), default=-1), randomness=randomness)
    ids = pa.array(drawn, pa.int64())
    columns = {
        "owner": pa.array(owners, pa.string()).take(nodes["owner"].combine_chunks()),
        "person_id": nodes["person_id"],
        "link_id": ids.take(pa.array(names[0], pa.int64())),
        "p_link": _levels(clusters, count) if GRADES[mode] is LinkGrade.A else pa.nulls(count, pa.float64()),
        "grade": pa.repeat(GRADES[mode].value, count),
        "link_id_90": ids.take(pa.array(names[1], pa.int64())),
        "link_id_99": ids.take(pa.array(names[2], pa.int64())),
    }
    content = io.BytesIO()
    pq.write_table(pa.table(columns, schema=PERSON_MAP), content, compression="zstd")
    output.write_bytes(content.getvalue())


def _names(clusters: Sequence[dict[int, int]], count: int) -> list[list[int]]:
    """The number of each node's identifier at each level; the part of a person with its least node keeps its number."""
    first = list(range(count))
    for node, name in clusters[0].items():
        first[node] = name
    names, fresh = [first], count
    for finer in clusters[1:]:
        level = list(first)
        given: dict[tuple[int, int], int] = {}
        holder: dict[int, tuple[int, int]] = {}
        for node in sorted(clusters[0]):
            part = (first[node], finer.get(node, -1 - node))
            if holder.setdefault(first[node], part) == part:
                continue
            if part not in given:
                given[part], fresh = fresh, fresh + 1
            level[node] = given[part]
        names.append(level)
    return names


def _levels(clusters: Sequence[dict[int, int]], count: int) -> pa.Array:
    levels: list[float | None] = [None] * count
    for level, cluster in zip(LEVELS, clusters, strict=True):
        for node in cluster:
            levels[node] = level
    return pa.array(levels, pa.float64())
