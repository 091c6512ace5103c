"""Counts a finished latent-class run into its quality report. All numbers are raw and leave through the gate alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import duckdb
import pyarrow as pa

from asepsis.domain.linkage import GRADES, LEVELS, LinkMode, LinkRate, QualityReport
from asepsis.domain.names import PartyId
from asepsis.engines.linkage.blocking import KeyUse
from asepsis.engines.linkage.guard import one_number
from asepsis.engines.linkage.latent import Fitted
from asepsis.linkage import quality
from asepsis.linkage.best_first import Acceptable, Partition
from asepsis.linkage.tokens import TokenTable

_FIELDS: Final = ("given", "family", "birth", "sex", "street", "postal_code", "phone", "national_id")
_EXPECTED_FROM: Final = -10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What the steps of a run left."""

    owners: Sequence[PartyId]
    uses: Sequence[KeyUse]
    fitted: Fitted
    found: Acceptable
    partition: Partition


def make_report(
    connection: duckdb.DuckDBPyConnection,
    tables: Mapping[PartyId, TokenTable],
    done: Finished,
    mode: LinkMode,
    canaries: frozenset[tuple[PartyId, int]],
) -> QualityReport:
    """Read the tables of a finished run."""
    _register(connection, done)
    linked = _posteriors(connection)
    found_by: dict[int, float] = dict(connection.execute(_FOUND_BY.format(least=_EXPECTED_FROM)).fetchall())
    blocking = quality.blocking_recall(found_by)
    persons = one_number(connection, "SELECT count(DISTINCT cluster) FROM held")
    return QualityReport(
        grade=GRADES[mode],
        records=one_number(connection, "SELECT count(*) FROM node"),
        persons=persons,
        persons_in_several_owners=_in_several(connection, done.partition.cluster_of),
        links=one_number(connection, _PAIRS),
        compared=one_number(connection, "SELECT count(*) FROM candidate"),
        precision=quality.expected_precision([p for p, _ in linked]),
        recall=quality.expected_recall([p for p, _ in linked], all_expected=sum(found_by.values()), blocking=blocking),
        blocking_recall=blocking,
        calibration=quality.calibration(linked),
        rates=tuple(_rates(connection, done.owners)),
        weak={level: _in_several(connection, done.partition.at(quality.bits(level))) for level in LEVELS},
        refused=dict(done.partition.refused),
        impossible=_impossible(connection),
        canaries_planted=len({person for _, person in canaries}),
        canaries_found=_canaries(connection, done.owners, canaries),
        missing={name: one_number(connection, f"SELECT count(*) FROM rec WHERE {name} IS NULL") for name in _FIELDS},  # noqa: S608
        dropped=dict(sum((Counter(table.dropped) for table in tables.values()), Counter())),
        crowded_keys=sum(use.crowded for use in done.uses),
        shares=done.fitted.shares,
    )


def _register(connection: duckdb.DuckDBPyConnection, done: Finished) -> None:
    clusters = done.partition.cluster_of
    connection.register(
        "clusters",
        pa.table(
            {"node": pa.array(list(clusters), pa.int32()), "cluster": pa.array(list(clusters.values()), pa.int32())}
        ),
    )
    connection.execute(_HELD)
    connection.unregister("clusters")
    gain = done.found.gain
    edges = [(a, b, w + gain if (a, b) in done.found.clear else w) for a, b, w in done.found.edges]
    connection.register(
        "edges",
        pa.table(
            {
                "a": pa.array([a for a, _, _ in edges], pa.int32()),
                "b": pa.array([b for _, b, _ in edges], pa.int32()),
                "weight": pa.array([w for _, _, w in edges], pa.float64()),
            }
        ),
    )
    connection.execute(_LINKED)
    connection.unregister("edges")


def _posteriors(connection: duckdb.DuckDBPyConnection) -> list[tuple[float, bool | None]]:
    rows = connection.execute("SELECT weight, ids FROM linked").fetchall()
    return [(quality.posterior(weight), ids) for weight, ids in rows]


def _in_several(connection: duckdb.DuckDBPyConnection, clusters: Mapping[int, int]) -> int:
    owners: defaultdict[int, set[int]] = defaultdict(set)
    for node, owner in connection.execute(_TOGETHER).fetchall():
        if node in clusters:
            owners[clusters[node]].add(owner)
    return sum(len(names) > 1 for names in owners.values())


def _impossible(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    return {
        "sex": one_number(connection, "SELECT count(*) FROM linked WHERE sexes = false"),
        "national_id": one_number(connection, "SELECT count(*) FROM linked WHERE ids = false"),
    }


def _canaries(
    connection: duckdb.DuckDBPyConnection, owners: Sequence[PartyId], canaries: frozenset[tuple[PartyId, int]]
) -> int:
    number = {owner: at for at, owner in enumerate(owners)}
    clusters: defaultdict[int, list[int]] = defaultdict(list)
    for owner, person in sorted(canaries):
        row = connection.execute(
            "SELECT cluster FROM held WHERE owner = ? AND person_id = ?", [number.get(owner, -1), person]
        ).fetchone()
        clusters[person].append(-1 if row is None else row[0])
    return sum(len(found) > 1 and len(set(found)) == 1 and found[0] != -1 for found in clusters.values())


def _rates(connection: duckdb.DuckDBPyConnection, owners: Sequence[PartyId]) -> list[LinkRate]:
    return [
        LinkRate(owner=owners[owner], group=group, records=records, linked=linked)
        for owner, group, records, linked in connection.execute(_RATES).fetchall()
    ]


_PAIRS: Final = "SELECT sum(n * (n - 1) // 2) FROM (SELECT count(*) AS n FROM held GROUP BY cluster)"
_HELD: Final = """
CREATE TABLE held AS
SELECT node.*, coalesce(cluster, node.node) AS cluster FROM node LEFT JOIN clusters USING (node)
"""
_TOGETHER: Final = """
SELECT node, owner FROM held WHERE cluster IN (SELECT cluster FROM held GROUP BY cluster HAVING count(*) > 1)
"""
_LINKED: Final = """
CREATE TABLE linked AS
WITH one AS (
    SELECT node, min(national_id) AS id, min(sex) AS sex FROM rec GROUP BY node
)
SELECT weight, o.id = p.id AS ids, o.sex = p.sex AS sexes
FROM edges JOIN held x ON x.node = a JOIN held y ON y.node = b AND x.cluster = y.cluster
JOIN one o ON o.node = a JOIN one p ON p.node = b
"""
_FOUND_BY: Final = """
SELECT bit_count(keys)::INTEGER AS n, sum(1 / (1 + pow(2, -weight)))
FROM scored JOIN candidate USING (i, j) WHERE weight >= {least} AND NOT scored.is_late GROUP BY n
"""
_RATES: Final = """
WITH size AS (SELECT cluster, count(DISTINCT owner) > 1 AS is_linked FROM held GROUP BY cluster),
one AS (
    SELECT held.node, held.owner, is_linked, bool_or(national_id IS NOT NULL) AS has_id,
        bool_or(birth IS NOT NULL) AS has_birth, bool_or(phone IS NOT NULL) AS has_phone,
        bool_or(len(family_forms) > 1) AS is_formed
    FROM held JOIN size USING (cluster) JOIN rec ON rec.node = held.node GROUP BY ALL
), grouped AS (
    SELECT owner, is_linked, unnest([
        'all', CASE WHEN has_id THEN 'id_present' ELSE 'id_absent' END,
        CASE WHEN has_birth THEN 'birth_present' ELSE 'birth_absent' END,
        CASE WHEN has_phone THEN 'phone_present' ELSE 'phone_absent' END,
        CASE WHEN is_formed THEN 'several_names' ELSE 'one_name' END
    ]) AS name FROM one
)
SELECT owner, name, count(*), count_if(is_linked) FROM grouped GROUP BY owner, name ORDER BY owner, name
"""
