"""Links by exact rules over tokens (mode ``rules``) and by imported filters (mode ``import-clk``): no posteriors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from asepsis.domain.linkage import GRADES, LEVELS, LinkMode, RulesReport
from asepsis.domain.names import PartyId
from asepsis.engines.linkage import token_store
from asepsis.engines.linkage.guard import private_engine, withheld
from asepsis.engines.linkage.latent_linking import Engine, LinkOptions
from asepsis.engines.linkage.person_map import write_person_map
from asepsis.errors.linkage import FilterRefused, OneOwnerOnly, RuleProfileUnknown
from asepsis.linkage.best_first import ALONE, Clusters, Edge, Edges, cluster_pairs
from asepsis.linkage.profiles import PROFILES
from asepsis.linkage.quality import bits
from asepsis.linkage.tokens import TokenTable

_WORD: Final = 8
_MOST_COMPARISONS: Final = 2_000_000_000


def link_by_rules(
    tables: Mapping[PartyId, TokenTable], *, profile: str, output: Path, options: LinkOptions, engine: Engine
) -> RulesReport:
    """Join records that some rule of ``profile`` finds equal; write the link map with grade B.

    More rules are better; ties and duplicate-free owners are treated as in the other modes. Raises
    RuleProfileUnknown and what :func:`asepsis.engines.linkage.latent_linking.link_tokens` raises.
    """
    if profile not in PROFILES:
        raise RuleProfileUnknown(profile=profile, known=", ".join(sorted(PROFILES)))
    token_store.check_comparable(tables, may_be_one=options.may_be_one)
    records = sum(len(table.records) for table in tables.values())
    parts = [
        f"SELECT l.node AS a, r.node AS b, {at} AS rule FROM rec l JOIN rec r ON "  # noqa: S608 - columns are constants
        + " AND ".join(f"l.{column} = r.{column}" for column in rule)
        + " AND l.node < r.node"
        for at, rule in enumerate(PROFILES[profile])
    ]
    query = f"SELECT a, b, count(DISTINCT rule) FROM ({' UNION ALL '.join(parts)}) GROUP BY a, b ORDER BY a, b"  # noqa: S608
    with private_engine(threads=engine.threads, memory_limit=engine.memory_limit) as connection:
        with withheld("loading the tokens", records=records):
            token_store.load(connection, tables, free=options.duplicate_free)
        with withheld("joining pairs", records=records):
            edges = [(a, b, float(rules)) for a, b, rules in connection.execute(query).fetchall()]
            return _finish(connection, edges, sorted(tables), output, LinkMode.RULES, engine)


def link_filters(
    filters: Mapping[PartyId, pa.Table], *, threshold: float, output: Path, options: LinkOptions, engine: Engine
) -> RulesReport:
    """Join records whose filters have a Dice similarity of at least ``threshold``; write the link map with grade C.

    ``filters`` has the columns ``person_id`` and ``filter`` (binary, all of one length that is a multiple of eight
    bytes). Dice is twice the common bits over all bits; source: Schnell, Bachteler and Reiher, BMC Medical
    Informatics 9:41 (2009). Raises FilterRefused, OneOwnerOnly and the errors of the engine.
    """
    owners = sorted(filters)
    words = _words(filters)
    with private_engine(threads=engine.threads, memory_limit=engine.memory_limit) as connection:
        records = sum(len(table) for table in filters.values())
        with withheld("loading the filters", records=records):
            _load_filters(connection, filters, words, options)
        with withheld("joining pairs", records=records):
            common = " + ".join(f"bit_count(l.w{at} & r.w{at})::INTEGER" for at in range(words))
            query = f"""
            WITH alike AS (
                SELECT l.node AS a, r.node AS b, 2.0 * ({common}) / (l.ones + r.ones) AS dice
                FROM rec l JOIN rec r ON l.owner < r.owner AND l.ones BETWEEN r.ones * ? AND r.ones * ?
            ) SELECT a, b, dice FROM alike WHERE dice >= ? ORDER BY a, b
            """  # noqa: S608 - numbers
            least = threshold / (2 - threshold)
            found = connection.execute(query, [least, 1 / least, threshold]).fetchall()
            edges = [(a, b, 100.0 * dice) for a, b, dice in found]
            return _finish(connection, edges, owners, output, LinkMode.IMPORT_CLK, engine)


def _finish(
    connection: duckdb.DuckDBPyConnection,
    edges: list[Edge],
    owners: list[PartyId],
    output: Path,
    mode: LinkMode,
    engine: Engine,
) -> RulesReport:
    # An Arrow result may leave the order of ORDER BY where insertion order is not preserved: it is sorted here.
    nodes = connection.sql("FROM node").to_arrow_table().sort_by("node")
    owner_of = nodes["owner"].to_pylist()
    free = frozenset(nodes.filter(nodes["is_free"])["owner"].to_pylist())
    kept = Edges.of(edge for edge in edges if owner_of[edge[0]] != owner_of[edge[1]] or owner_of[edge[0]] not in free)
    partition = cluster_pairs(kept, owners=owner_of, free=free, weights={})
    linked = partition.clusters(nodes=len(owner_of))
    clusters = {level: partition.at(bits(level), nodes=len(owner_of)) for level in LEVELS}
    named = pa.table(
        {
            "owner": pa.array(owners, pa.string()).take(nodes["owner"].combine_chunks()),
            "person_id": nodes["person_id"],
        }
    )
    write_person_map(named, linked, clusters, output=output, mode=mode, randomness=engine.randomness)
    return _report(linked, owner_of, mode)


def _report(linked: Clusters, owner_of: Sequence[int], mode: LinkMode) -> RulesReport:
    members: defaultdict[int, list[int]] = defaultdict(list)
    for node, cluster in enumerate(linked.tolist()):
        members[node if cluster == ALONE else cluster].append(node)
    return RulesReport(
        grade=GRADES[mode],
        records=len(owner_of),
        persons=len(members),
        persons_in_several_owners=sum(len({owner_of[node] for node in nodes}) > 1 for nodes in members.values()),
        links=sum(len(nodes) * (len(nodes) - 1) // 2 for nodes in members.values()),
    )


def _words(filters: Mapping[PartyId, pa.Table]) -> int:
    """How many 64-bit words every filter has."""
    lengths = set()
    compared = 1
    for owner, table in sorted(filters.items()):
        if not {"person_id", "filter"} <= set(table.schema.names) or table["person_id"].null_count:
            raise FilterRefused(owner=owner, what="a column or a person_id is missing")
        if table["filter"].null_count or not all(any(bits) for bits in table["filter"].to_pylist()):
            raise FilterRefused(owner=owner, what="a record has no filter")
        lengths |= {len(bits) for bits in table["filter"].to_pylist()}
        if len(lengths) > 1 or any(length == 0 or length % _WORD for length in lengths):
            raise FilterRefused(owner=owner, what="the filters have different or odd lengths")
        compared *= max(1, len(table))
    if sum(len(table) > 0 for table in filters.values()) < 2:  # noqa: PLR2004 - a pair
        raise OneOwnerOnly(count=sum(len(table) > 0 for table in filters.values()))
    if compared > _MOST_COMPARISONS:
        raise FilterRefused(owner="all owners", what="there are too many records to compare every pair")
    return lengths.pop() // _WORD


def _load_filters(
    connection: duckdb.DuckDBPyConnection, filters: Mapping[PartyId, pa.Table], words: int, options: LinkOptions
) -> None:
    parts = []
    for number, owner in enumerate(sorted(filters)):
        data = b"".join(filters[owner]["filter"].to_pylist())
        flat = pa.Array.from_buffers(pa.uint64(), len(data) // _WORD, [None, pa.py_buffer(data)])
        columns = {f"w{at}": flat.take(pa.array(range(at, len(flat), words), pa.int64())) for at in range(words)}
        count = len(filters[owner])
        base = {
            "owner": pa.repeat(pa.scalar(number, pa.uint8()), count),
            "person_id": filters[owner]["person_id"].cast(pa.int64()),
            "is_free": pa.repeat(pa.scalar(owner in options.duplicate_free, pa.bool_()), count),
        }
        parts.append(pa.table(base | columns))
    connection.register("loaded", pa.concat_tables(parts))
    ones = " + ".join(f"bit_count(w{at})::INTEGER" for at in range(words))
    connection.execute(
        "CREATE TABLE rec AS SELECT (row_number() OVER (ORDER BY owner, person_id) - 1)::INTEGER AS node, *, "  # noqa: S608
        f"{ones} AS ones FROM loaded"
    )
    connection.execute("CREATE TABLE node AS SELECT node, owner, person_id, is_free FROM rec")
    connection.unregister("loaded")
