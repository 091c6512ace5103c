"""Compiles the rules into joins and collects the pairs that they find, with the rules as bits.

Sets only, no loop over records. A key value that more records share than ``LARGEST_BLOCK`` is left out and
counted, so that a common value cannot make the number of pairs explode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import duckdb

from asepsis.domain.linkage import Grade
from asepsis.linkage.rules import LARGEST_BLOCK, Condition, Rule, Trait, Witness

_ONE_DIGIT: Final = "hamming(l.birth, r.birth) = 1 AND coalesce(l.year[:2] = r.year[:2], true)"
CONDITIONS: Final[Mapping[Condition, str]] = {
    Condition.YEARS_AGREE: "(l.year IS NULL OR r.year IS NULL OR l.year = r.year)",
    Condition.SEXES_AGREE: "(l.sex IS NULL OR r.sex IS NULL OR l.sex = r.sex)",
    Condition.SAME_HOME: "(coalesce(l.address = r.address, false) OR coalesce(l.phone = r.phone, false))",
    Condition.FEMALE: "(l.sex = 'F' AND r.sex = 'F')",
    Condition.FAMILY_NEAR: "jaro_winkler_similarity(l.family, r.family) >= 0.88",
    Condition.GIVEN_NEAR: (
        "(length(l.given) >= 4 AND length(r.given) >= 4"
        " AND (damerau_levenshtein(l.given, r.given) <= 1 OR l.given_sound = r.given_sound))"
    ),
    Condition.ONE_IS_INITIAL: "(length(l.given) = 1 OR length(r.given) = 1)",
    Condition.BIRTH_ONE_DIGIT: f"({_ONE_DIGIT})",
    Condition.BIRTH_NEAR: f"({_ONE_DIGIT} OR l.birth = r.birth_swapped AND coalesce(l.year = r.year, true))",
    Condition.NO_TWIN: "NOT (l.has_twin OR r.has_twin)",
}
_FOUND: Final = "CREATE OR REPLACE TABLE hit (l BIGINT, r BIGINT, rule UTINYINT)"
_COMPARED: Final = """
CREATE OR REPLACE TABLE pair AS
WITH joined AS (SELECT l, r, bit_or(1::BIGINT << rule::BIGINT) AS rules FROM hit GROUP BY l, r)
SELECT joined.l, joined.r, any_value(joined.rules) AS rules, any_value(a.owner <> b.owner) AS is_across,
    max(CASE
        WHEN a.national_id IS NULL OR b.national_id IS NULL THEN 0
        WHEN a.national_id = b.national_id THEN 2
        WHEN damerau_levenshtein(a.national_id, b.national_id) <= 1 THEN 2
        ELSE 1 END) AS id_state,
    max(CASE
        WHEN a.family IS NULL OR b.family IS NULL OR a.given IS NULL OR b.given IS NULL THEN 0
        WHEN a.given_canonical = b.given_canonical OR list_has_any(a.family_forms, b.family_forms) THEN 2
        WHEN jaro_winkler_similarity(a.family, b.family) >= 0.88 THEN 2
        ELSE 1 END) AS name_state
FROM joined JOIN face a ON a.node = joined.l JOIN face b ON b.node = joined.r
GROUP BY joined.l, joined.r
"""
STATE: Final[Mapping[Witness, str]] = {Witness.NATIONAL_ID: "id_state", Witness.NAMES: "name_state"}
"""Column of table ``pair`` for each witness: 0 silent, 1 differs, 2 agrees."""


def find_pairs(connection: duckdb.DuckDBPyConnection, rules: Sequence[Rule]) -> int:
    """Fill the table ``pair`` from the tables ``face`` and ``node``; return how many key values were too crowded."""
    connection.execute(_FOUND)
    crowded = connection.execute(" UNION ALL BY NAME ".join(_crowded_count(*item) for item in enumerate(rules)))
    numbers: dict[int, int] = dict(crowded.fetchall())
    for number, rule in enumerate(rules):
        connection.execute(_join(number, rule, is_crowded=numbers[number] > 0))
    connection.execute(_COMPARED)
    connection.execute("DROP TABLE hit")
    return sum(numbers.values())


def _join(number: int, rule: Rule, *, is_crowded: bool) -> str:
    source = _source(rule)
    terms = [f"l.{left} = r.{right}" for left, right in rule.key]
    terms += [CONDITIONS[condition] for condition in rule.conditions]
    terms.append("l.node < r.node" if _is_symmetrical(rule) else "l.node <> r.node")
    if rule.grade is not Grade.STRONG:
        terms.append("l.owner <> r.owner")
    if is_crowded:
        terms += [f"{_key(rule, side)} NOT IN (FROM crowded)" for side in ("l", "r")]
    return (
        f"INSERT INTO hit WITH crowded AS ({_crowded(rule)}) "  # noqa: S608 - compiled from the constants of the rules
        f"SELECT DISTINCT least(l.node, r.node), greatest(l.node, r.node), {number} "
        f"FROM {source} l JOIN {source} r ON {' AND '.join(terms)}"
    )


def _crowded_count(number: int, rule: Rule) -> str:
    return f"SELECT {number} AS rule, count(*) AS keys FROM ({_crowded(rule)})"  # noqa: S608 - as above


def _source(rule: Rule) -> str:
    is_formed = any(Trait.FAMILY_FORM in pair for pair in rule.key)
    return "face_form" if is_formed else "face"


def _is_symmetrical(rule: Rule) -> bool:
    return all(left == right for left, right in rule.key)


def _key(rule: Rule, side: str) -> str:
    """The key of one side as a number: two keys that fall together could only leave out, never join."""
    traits = (pair["lr".index(side)] for pair in rule.key)
    return f"hash({', '.join(f'{side}.{trait}' for trait in traits)})"


def _crowded(rule: Rule) -> str:
    """The keys that too many records share, on either side."""
    return " UNION ".join(_crowded_side(rule, side) for side in ("l" if _is_symmetrical(rule) else "lr"))


def _crowded_side(rule: Rule, side: str) -> str:
    present = " AND ".join(f"{side}.{pair['lr'.index(side)]} IS NOT NULL" for pair in rule.key)
    return (
        f"SELECT {_key(rule, side)} AS key FROM {_source(rule)} {side} WHERE {present} "  # noqa: S608 - as above
        f"GROUP BY key HAVING count(*) > {LARGEST_BLOCK}"
    )
