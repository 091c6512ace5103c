"""One linkage run: load, find pairs, cluster, draw identifiers, write the link map, count.

Identifiers live in the memory of the runtime for the length of the run and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from asepsis.domain.linkage import Grade, LinkageReport
from asepsis.domain.names import PartyId
from asepsis.engines.linkage import faces, link_map, pairs, report
from asepsis.engines.linkage.guard import one_number, private_engine, withheld
from asepsis.linkage.cluster import Clusters, Member, Node, Pair, cluster
from asepsis.linkage.rules import RULES
from asepsis.linkage.traits import Traits

_ORDER_KEY: Final = b"asepsis linkage order v1"
_MEMBERS: Final = """
SELECT face.node, face.owner, node.person_id, national_id, family_forms, given, given_every, given_canonical,
    birth, birth_swapped, year, sex, address
FROM face JOIN node USING (node)
WHERE face.node IN (SELECT l FROM pair UNION SELECT r FROM pair)
ORDER BY face.node
"""


def link(
    identities: Mapping[PartyId, Path],
    *,
    output: Path,
    randomness: Callable[[int], bytes],
    threads: int,
    memory_limit: int,
) -> LinkageReport:
    """Find the records of one person among the identity tables of all owners; write the link map to ``output``.

    The partition depends on the records alone; only the identifiers depend on ``randomness``. ``memory_limit``
    is in bytes and bounds the engine, not the clustering of the pairs that it finds.

    Raises:
        IdentityUnreadable, IdentityColumnRefused, PersonIdMissing: an identity table cannot be used.
        LinkageExhausted: the memory limit was reached.
        LinkageFailed: the engine or the file system failed.
        RandomnessRefused: the source of randomness failed.
    """
    owners = sorted(identities)
    with private_engine(threads=threads, memory_limit=memory_limit) as connection:
        with withheld("normalising the records", records=0):
            dropped = faces.load(connection, identities)
        records = one_number(connection, "SELECT count(*) FROM node")
        with withheld("finding pairs", records=records):
            crowded = pairs.find_pairs(connection, RULES)
            overruled = _overrule(connection)
        with withheld("joining pairs", records=records):
            clusters = cluster(_members(connection, owners), _pairs(connection), grades=[rule.grade for rule in RULES])
        with withheld("writing the link map", records=records):
            _write(connection, clusters, owners, output, randomness)
        with withheld("counting", records=records):
            finished = report.Outcome(clusters=clusters, dropped=dropped, crowded=crowded, overruled=overruled)
            return report.make_report(connection, owners, finished)


def _overrule(connection: duckdb.DuckDBPyConnection) -> int:
    """Take from pairs with different national ids the rules that are too weak to stand against that."""
    strong = report.bits(rule for rule in RULES if rule.grade is Grade.STRONG)
    connection.execute(
        "CREATE TABLE candidate AS SELECT l, r, is_across, id_state, name_state, rules AS found, "  # noqa: S608 - a constant
        f"CASE WHEN id_state = 1 THEN rules & {strong} ELSE rules END AS rules FROM pair",
    )
    return one_number(connection, "SELECT count(*) FROM candidate WHERE found <> 0 AND rules = 0")


def _members(connection: duckdb.DuckDBPyConnection, owners: list[PartyId]) -> dict[Node, Member]:
    rows = connection.execute(_MEMBERS).fetchall()
    return {
        node: Member(
            owner=group[0][1],
            order=_order(owners[group[0][1]], group[0][2]),
            traits=tuple(_traits(row[3:]) for row in group),
        )
        for node, group in ((node, list(lines)) for node, lines in groupby(rows, key=itemgetter(0)))
    }


def _traits(row: tuple[Any, ...]) -> Traits:
    national_id, forms, given, every, canonical, birth, swapped, year, sex, address = row
    return Traits(
        national_id=national_id,
        families=frozenset(forms),
        given=given,
        given_every=every,
        given_canonical=canonical,
        birth=birth,
        birth_swapped=swapped,
        year=year,
        sex=sex,
        address=address,
    )


def _order(owner: PartyId, person_id: int) -> bytes:
    """A place that neither the order of rows nor the order of owners can change."""
    return blake2b(f"{owner}\x1f{person_id}".encode(), key=_ORDER_KEY, digest_size=16).digest()


def _pairs(connection: duckdb.DuckDBPyConnection) -> list[Pair]:
    rows = connection.execute("SELECT l, r, rules FROM candidate WHERE rules <> 0").fetchall()
    return [Pair(left=left, right=right, rules=rules) for left, right, rules in rows]


def _write(
    connection: duckdb.DuckDBPyConnection,
    clusters: Clusters,
    owners: list[PartyId],
    output: Path,
    randomness: Callable[[int], bytes],
) -> None:
    rows = connection.execute("SELECT owner, person_id FROM node ORDER BY node").fetchall()
    names = [clusters.find(node) for node in range(len(rows))]
    distinct = list(dict.fromkeys(names))
    drawn = dict(zip(distinct, link_map.draw_ids(len(distinct), randomness=randomness), strict=True))
    link_map.write(
        output,
        owners=[owners[owner] for owner, _ in rows],
        person_ids=[person_id for _, person_id in rows],
        link_ids=[drawn[name] for name in names],
    )
    connection.register(
        "names", pa.table({"node": pa.array(range(len(names)), pa.int64()), "name": pa.array(names, pa.int64())})
    )
    connection.execute("CREATE TABLE link AS SELECT node.*, name FROM node JOIN names USING (node)")
    connection.unregister("names")
