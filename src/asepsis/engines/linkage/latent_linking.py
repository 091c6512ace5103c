"""One latent-class linkage run over token tables: block, compare, fit, score, cluster, write the link map, count.

The partition depends on the tokens alone; only the identifiers depend on ``randomness``. Nothing is spilled to disk,
and no identifier, key or weight is in the link map: it knows three levels of posterior only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from asepsis.domain.linkage import LinkMode, QualityReport
from asepsis.domain.names import PartyId
from asepsis.engines.linkage import blocking, comparing, near, scoring, token_store
from asepsis.engines.linkage.guard import one_number, private_engine, withheld
from asepsis.engines.linkage.latent import Fitted
from asepsis.engines.linkage.latent_report import Finished, make_report
from asepsis.engines.linkage.person_map import write_person_map
from asepsis.linkage.best_first import Acceptable, Edge, Partition, acceptable, cluster_pairs
from asepsis.linkage.quality import bits
from asepsis.linkage.tokens import TokenTable

_LARGEST_COMPONENT: Final = 200
_FEW_PAIRS: Final = 100
_SURE: Final = 0.99
"""With fewer compared pairs than that nothing is estimated, only believed: a link must then be this sure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOptions:
    """What the contract says about a run."""

    mode: LinkMode = LinkMode.KEYED
    minimum: float = 0.5
    """The posterior from which a pair is a link."""
    duplicate_free: frozenset[PartyId] = frozenset()
    """Owners that list each person once."""
    canaries: frozenset[tuple[PartyId, int]] = frozenset()
    """Records of persons that do not exist, planted to measure; those with one ``person_id`` belong together."""
    may_be_one: bool = False
    """One owner alone may look for its own duplicates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What a run may use."""

    randomness: Callable[[int], bytes] = field(repr=False)
    threads: int
    memory_limit: int


def link_tokens(
    tables: Mapping[PartyId, TokenTable], *, output: Path, options: LinkOptions, engine: Engine
) -> QualityReport:
    """Find the records of one person among the token tables of all owners; write the link map to ``output``.

    In mode ``sealed`` the tables carry their texts, and names and addresses are compared as text.

    Raises:
        TokensNotComparable, TokensUnreadable, PersonIdMissing, OneOwnerOnly: the tables cannot be linked.
        LinkageExhausted: the memory limit was reached.
        LinkageFailed: the engine or the file system failed.
        RandomnessRefused: the source of randomness failed.
    """
    token_store.check_comparable(tables, may_be_one=options.may_be_one)
    owners = sorted(tables)
    records = sum(len(table.records) for table in tables.values())
    with private_engine(threads=engine.threads, memory_limit=engine.memory_limit) as connection:
        with withheld("loading the tokens", records=records):
            token_store.load(connection, tables, free=options.duplicate_free)
            nearness = _nearness(connection, tables, options.mode)
        with withheld("finding pairs", records=records):
            uses = blocking.find_candidates(connection, records=records, condition=_condition(owners, options))
        with withheld("comparing pairs", records=records):
            comparing.compare(connection, source="candidate", target="compared", near=nearness)
            fitted = scoring.fit_and_score(connection)
        with withheld("joining pairs", records=records):
            found, partition = _cluster(connection, fitted, nearness, options)
        with withheld("writing the link map", records=records):
            write_person_map(
                connection, partition, owners=owners, output=output, mode=options.mode, randomness=engine.randomness
            )
        with withheld("counting", records=records):
            finished = Finished(owners=owners, uses=uses, fitted=fitted, found=found, partition=partition)
            return make_report(connection, tables, finished, options.mode, options.canaries)


def _nearness(
    connection: duckdb.DuckDBPyConnection, tables: Mapping[PartyId, TokenTable], mode: LinkMode
) -> Callable[[duckdb.DuckDBPyConnection], None]:
    if mode is not LinkMode.SEALED:
        return near.near_by_variants
    near.load_texts(connection, [table.texts for table in tables.values() if table.texts is not None])
    return near.near_by_texts


def _condition(owners: list[PartyId], options: LinkOptions) -> str:
    """Which two lines may be one person."""
    several = [str(number) for number, owner in enumerate(owners) if owner not in options.duplicate_free]
    inside = f"l.owner IN ({', '.join(several)})" if several else "false"
    return f"l.node <> r.node AND (l.owner <> r.owner OR {inside})"


def _cluster(
    connection: duckdb.DuckDBPyConnection,
    fitted: Fitted,
    nearness: Callable[[duckdb.DuckDBPyConnection], None],
    options: LinkOptions,
) -> tuple[Acceptable, Partition]:
    owners = _column(connection, "SELECT owner FROM node ORDER BY node")
    free = frozenset(_column(connection, "SELECT DISTINCT owner FROM node WHERE is_free"))
    edges = _edges(connection, "scored")
    is_believed = one_number(connection, "SELECT count(*) FROM candidate") < _FEW_PAIRS
    least = max(options.minimum, _SURE) if is_believed else options.minimum
    found = acceptable(edges, owners=owners, free=free, threshold=bits(least))
    pairs = pa.array([], pa.int32()), pa.array([], pa.int32())
    weights: dict[tuple[int, int], float] = {}
    cross = list(_cross_pairs(found.edges))
    if cross:
        pairs = pa.array([a for a, _ in cross], pa.int32()), pa.array([b for _, b in cross], pa.int32())
        connection.register("cross_nodes", pa.table({"a": pairs[0], "b": pairs[1]}))
        connection.execute(_CROSS)
        connection.unregister("cross_nodes")
        comparing.compare(connection, source="cross_pair", target="cross_compared", near=nearness)
        scoring.score(connection, fitted, source="cross_compared", target="cross_scored", least=-1000.0)
        weights = {(left, right): weight for left, right, weight in _edges(connection, "cross_scored")}
    return found, cluster_pairs(found.edges, owners=owners, free=free, weights=weights)


def _edges(connection: duckdb.DuckDBPyConnection, table: str) -> list[Edge]:
    """The pairs of nodes with the most bits of their lines, smaller node first."""
    found = connection.execute(
        f"SELECT least(a, b) AS x, greatest(a, b) AS y, max(weight) AS w FROM {table} "  # noqa: S608 - a constant
        "WHERE weight >= -10 OR NOT is_late GROUP BY x, y ORDER BY x, y"
    ).fetchall()
    return [(left, right, max(-1000.0, min(1000.0, weight))) for left, right, weight in found]


def _cross_pairs(edges: list[Edge]) -> Iterator[tuple[int, int]]:
    """All pairs inside the groups of three records or more that the edges connect."""
    whole = Partition()
    for edge in edges:
        if whole.cluster_of.get(edge[0], edge[0]) != whole.cluster_of.get(edge[1], edge[1]):
            whole.join(edge)
    for members in whole.members.values():
        if 2 < len(members) <= _LARGEST_COMPONENT:  # noqa: PLR2004 - two records have one pair
            yield from combinations(sorted(members), 2)


def _column(connection: duckdb.DuckDBPyConnection, query: str) -> list[int]:
    return [row[0] for row in connection.execute(query).fetchall()]


_CROSS: Final = """
CREATE OR REPLACE TABLE cross_pair AS
SELECT l.line AS i, r.line AS j, false AS is_late
FROM cross_nodes JOIN rec l ON l.node = a JOIN rec r ON r.node = b
"""
