"""Compiles the rules into joins and collects the pairs that they find, with the rules as bits.

Sets only, no loop over records. A key value that more records share than ``LARGEST_BLOCK`` is left out and
counted, so that a common value cannot make the number of pairs explode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import duckdb

from asepsis.domain.linkage import Grade
from asepsis.engines.linkage.guard import one_number
from asepsis.linkage.rules import LARGEST_BLOCK, Condition, Rule, Trait, Witness

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
    Condition.BIRTH_ONE_DIGIT: "hamming(l.birth, r.birth) = 1",
    Condition.BIRTH_NEAR: "(l.birth = r.birth_swapped OR hamming(l.birth, r.birth) = 1)",
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
    crowded = sum(_apply(connection, number, rule) for number, rule in enumerate(rules))
    connection.execute(_COMPARED)
    connection.execute("DROP TABLE hit")
    return crowded


def _apply(connection: duckdb.DuckDBPyConnection, number: int, rule: Rule) -> int:
    for side, position in (("side_l", 0), ("side_r", 1)):
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {side} AS {_side(rule, position)}")
    connection.execute(_CROWDED)
    conditions = " AND ".join(["true", *(CONDITIONS[condition] for condition in rule.conditions)])
    owners = "true" if rule.grade is Grade.STRONG else "l.owner <> r.owner"
    connection.execute(
        f"""
        INSERT INTO hit
        SELECT DISTINCT least(l.node, r.node), greatest(l.node, r.node), {number}
        FROM side_l l JOIN side_r r ON l.key = r.key
        WHERE l.node <> r.node AND {owners} AND {conditions} AND l.key NOT IN (SELECT key FROM crowded)
        """,  # noqa: S608 - compiled from the constants of the rules
    )
    return one_number(connection, "SELECT count(*) FROM crowded")


def _side(rule: Rule, position: int) -> str:
    traits = [pair[position] for pair in rule.key]
    source = "face_form" if Trait.FAMILY_FORM in traits else "face"
    present = " AND ".join(f"{trait} IS NOT NULL" for trait in traits)
    key = ", ".join(traits)
    return f"SELECT concat_ws(chr(31), {key}) AS key, * FROM {source} WHERE {present}"  # noqa: S608 - as above


_CROWDED: Final = f"""
CREATE OR REPLACE TEMP TABLE crowded AS
SELECT key FROM side_l GROUP BY key HAVING count(DISTINCT node) > {LARGEST_BLOCK}
UNION
SELECT key FROM side_r GROUP BY key HAVING count(DISTINCT node) > {LARGEST_BLOCK}
"""  # noqa: S608 - as above
