"""The link map with posteriors: one row for every record, linked or not, so that a row tells nothing.

``link_id`` says who is one person at the run's threshold, ``link_id_90`` and ``link_id_99`` at higher posteriors; a
finer identifier differs from ``link_id`` only where it splits a person. ``p_link`` is the highest level at which the
record is linked to any other (null where it is not): a band, so that no weight leaves the job.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from asepsis.domain.linkage import GRADES, LEVELS, LinkGrade, LinkMode
from asepsis.engines.linkage.blocks import distinct
from asepsis.errors.linkage import RandomnessRefused
from asepsis.linkage.best_first import ALONE, Clusters, alone_as

_BYTES: Final = 8
_BITS: Final = 62
_ATTEMPTS: Final = 8
Ids = npt.NDArray[np.int64]
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


def draw_ids(count: int, *, randomness: Callable[[int], bytes]) -> Ids:
    """``count`` distinct random numbers of 62 bits. Raises RandomnessRefused."""
    drawn = np.array([], dtype=np.int64)
    for _ in range(_ATTEMPTS):
        missing = count - len(drawn)
        if not missing:
            break
        data = randomness(missing * _BYTES)
        if len(data) != missing * _BYTES:
            raise RandomnessRefused
        numbers = np.frombuffer(data, dtype=">u8") >> np.uint64(_BYTES * 8 - _BITS)
        drawn = np.concatenate([drawn, numbers.astype(np.int64)])
        # An ascending order would tell the order of the identifiers; so the first of each is kept where it stands.
        if len(drawn) != len(distinct(drawn.copy())):
            drawn = drawn[np.sort(np.unique(drawn, return_index=True)[1])]
    if len(drawn) != count:
        raise RandomnessRefused
    return drawn


def write_person_map(
    nodes: pa.Table,
    linked: Clusters,
    clusters: Mapping[float, Clusters],
    *,
    output: Path,
    mode: LinkMode,
    randomness: Callable[[int], bytes],
) -> None:
    """Draw the identifiers and write the map in one piece. Raises RandomnessRefused.

    ``nodes`` has owner and person of every node, ``linked`` the clusters of the run and ``clusters`` those at each of
    ``LEVELS``, finer the higher the level.
    """
    count = len(nodes)
    names = _names(linked, [clusters[level] for level in LEVELS[1:]])
    ids = draw_ids(1 + max((int(each.max(initial=-1)) for each in names), default=-1), randomness=randomness)
    columns = {
        "owner": nodes["owner"],
        "person_id": nodes["person_id"],
        "link_id": ids[names[0]],
        "p_link": _levels(linked, clusters) if GRADES[mode] is LinkGrade.A else pa.nulls(count, pa.float64()),
        "grade": pa.repeat(GRADES[mode].value, count),
        "link_id_90": ids[names[1]],
        "link_id_99": ids[names[2]],
    }
    content = io.BytesIO()
    # Identifiers are random: a dictionary of them is work for nothing.
    pq.write_table(pa.table(columns, schema=PERSON_MAP), content, compression="zstd", use_dictionary=["owner", "grade"])
    output.write_bytes(content.getvalue())


def _names(linked: Clusters, finer: Sequence[Clusters]) -> list[Ids]:
    """The number of each node's identifier at each level; the part of a person with its least node keeps its number."""
    count = len(linked)
    numbers = np.arange(count, dtype=np.int64)
    first = alone_as(linked, numbers)
    nodes = np.flatnonzero(linked != ALONE)
    person = first[nodes]
    least = np.empty(count, dtype=np.int64)
    least[person[::-1]] = nodes[::-1]  # the last one stays
    names, fresh = [first], count
    for level in finer:
        part = alone_as(level, -1 - numbers)
        moved = nodes[part[nodes] != part[least[person]]]
        apart, number = np.unique(first[moved] * 2 * count + part[moved] + count, return_inverse=True)
        named = first.copy()
        named[moved] = fresh + number
        names.append(named)
        fresh += len(apart)
    return names


def _levels(linked: Clusters, clusters: Mapping[float, Clusters]) -> pa.Array:
    levels = np.full(len(linked), np.nan)
    levels[linked != ALONE] = LEVELS[0]
    for level in LEVELS[1:]:
        levels[clusters[level] != ALONE] = level
    return pa.array(levels, pa.float64(), mask=np.isnan(levels))
