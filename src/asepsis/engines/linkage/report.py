"""Counts a finished linkage run. All numbers are raw; they leave only through the disclosure gate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import duckdb

from asepsis.domain.linkage import Conflict, LinkageReport, LinkRate, RuleCount, counted
from asepsis.domain.names import PartyId
from asepsis.engines.linkage.guard import one_number
from asepsis.engines.linkage.pairs import STATE
from asepsis.linkage.cluster import Clusters
from asepsis.linkage.estimate import Evidence, estimate
from asepsis.linkage.rules import RULES, Rule, Witness


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the earlier steps of a run counted."""

    clusters: Clusters
    dropped: Mapping[str, int]
    crowded: int
    overruled: int


def bits(rules: Iterable[Rule]) -> int:
    """The rules as bits of the column ``rules``."""
    return sum(1 << RULES.index(rule) for rule in rules)


def make_report(connection: duckdb.DuckDBPyConnection, owners: Sequence[PartyId], outcome: Outcome) -> LinkageReport:
    """Read the tables ``link``, ``candidate`` and ``face`` of a finished run."""
    connection.execute(_SIZES)
    across = one_number(connection, "SELECT sum(across) FROM size")
    compared, agreeing = _chance(connection)
    return LinkageReport(
        records=one_number(connection, "SELECT count(*) FROM link"),
        persons=one_number(connection, "SELECT count(*) FROM size"),
        persons_in_several_owners=one_number(connection, "SELECT count(*) FROM size WHERE owners > 1"),
        linked_pairs=across,
        duplicate_pairs=one_number(connection, "SELECT sum(n * (n - 1) // 2 - across) FROM size"),
        rules=tuple(_rule_counts(connection, outcome.clusters)),
        conflicts=_conflicts(outcome.clusters),
        overruled_pairs=outcome.overruled,
        crowded_keys=outcome.crowded,
        defaults=outcome.dropped,
        chance_compared=compared,
        chance_agreeing=agreeing,
        rates=tuple(_rates(connection, owners)),
        estimate=estimate(_evidence(connection), chance=agreeing / compared if compared else 0.0),
    )


def _conflicts(clusters: Clusters) -> dict[Conflict, int]:
    """Only pairs that stayed apart: a pair refused at one rule may be joined at a later, by way of others."""
    return counted(
        reason for (left, right), reason in clusters.refused.items() if clusters.find(left) != clusters.find(right)
    )


def _rule_counts(connection: duckdb.DuckDBPyConnection, clusters: Clusters) -> list[RuleCount]:
    terms = []
    for number, rule in enumerate(RULES):
        found, state = f"(found >> {number}) & 1 = 1", STATE[rule.witness]
        terms += [f"count_if({found} AND {state} >= {least})" for least in range(3)]
    row = connection.execute(f"SELECT {', '.join(terms)} FROM candidate WHERE is_across").fetchone() or ()  # noqa: S608
    numbers = [int(number or 0) for number in row]
    return [
        RuleCount(
            rule=rule.name,
            grade=rule.grade,
            candidates=numbers[3 * at],
            witnessed=numbers[3 * at + 1],
            agreeing=numbers[3 * at + 2],
            linked=clusters.linked[at],
            ambiguous=clusters.ambiguous[at],
        )
        for at, rule in enumerate(RULES)
    ]


def _chance(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    row = connection.execute(_CHANCE).fetchone()
    return (int(row[0] or 0), int(row[1] or 0)) if row else (0, 0)


def _rates(connection: duckdb.DuckDBPyConnection, owners: Sequence[PartyId]) -> list[LinkRate]:
    return [
        LinkRate(owner=owners[owner], group=group, records=records, linked=linked)
        for owner, group, records, linked in connection.execute(_RATES).fetchall()
    ]


def _evidence(connection: duckdb.DuckDBPyConnection) -> Evidence:
    with_id = bits(rule for rule in RULES if rule.witness is Witness.NAMES)
    without_id = bits(rule for rule in RULES if rule.witness is Witness.NATIONAL_ID)
    row = connection.execute(
        f"""
        SELECT count_if(same AND id_state = 2), count_if(same AND id_state = 1), count_if(same AND id_state = 0),
            count_if(found & {without_id} <> 0 AND id_state > 0),
            count_if(found & {without_id} <> 0 AND id_state = 2),
            count_if(found & {with_id} <> 0 AND name_state <> 1),
            count_if(found & {with_id} <> 0 AND name_state <> 1 AND found & {without_id} <> 0),
            count_if(found & {with_id} <> 0 AND name_state <> 1 AND same)
        FROM (
            SELECT candidate.*, a.name = b.name AS same
            FROM candidate JOIN link a ON a.node = l JOIN link b ON b.node = r
            WHERE is_across
        )
        """,  # noqa: S608 - constants
    ).fetchone()
    names = (
        "ids_agree",
        "ids_differ",
        "ids_silent",
        "judged",
        "judged_alike",
        "silver",
        "silver_found",
        "silver_linked",
    )
    return Evidence(**dict(zip(names, (number or 0 for number in row or [0] * len(names)), strict=True)))


_SIZES: Final = """
CREATE TABLE size AS
WITH part AS (SELECT name, owner, count(*) AS n FROM link GROUP BY name, owner)
SELECT name, count(*) AS owners, sum(n)::BIGINT AS n, ((sum(n) * sum(n) - sum(n * n)) // 2)::BIGINT AS across
FROM part GROUP BY name
"""
_CHANCE: Final = """
WITH held AS (SELECT node, min(national_id) AS id FROM face WHERE national_id IS NOT NULL GROUP BY node),
    drawn AS (SELECT id, lead(id) OVER (ORDER BY hash(node), node) AS other FROM held)
SELECT count(*), count_if(damerau_levenshtein(id, other) <= 1) FROM drawn WHERE other IS NOT NULL
"""
_RATES: Final = """
WITH held AS (
    SELECT link.node, link.owner, any_value(size.owners > 1) AS is_linked, min(sex) AS sex, min(national_id) AS id
    FROM link JOIN size USING (name) JOIN face ON face.node = link.node
    GROUP BY link.node, link.owner
), grouped AS (
    SELECT owner, is_linked, unnest([
        'all', 'sex_' || coalesce(lower(sex), 'unknown'), CASE WHEN id IS NULL THEN 'id_absent' ELSE 'id_present' END
    ]) AS name FROM held
)
SELECT owner, name, count(*), count_if(is_linked) FROM grouped GROUP BY owner, name ORDER BY owner, name
"""
