"""Compares candidates: one level of agreement per comparison, packed into a pattern.

A pattern has three bits per comparison, in the order of ``COMPARISONS``: the level plus one, zero for missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import duckdb

from asepsis.engines.linkage.guard import one_number
from asepsis.linkage.classes import COMPARISONS

BITS: Final = 3
CHUNK: Final = 2_000_000
"""Pairs compared at a time; it bounds the memory."""


def compare(
    connection: duckdb.DuckDBPyConnection,
    *,
    source: str,
    target: str,
    near: Callable[[duckdb.DuckDBPyConnection], None],
) -> None:
    """Fill ``target`` (i, j, is_late, pattern, given, family) from the pairs (i, j, is_late) of ``source``.

    ``near`` fills the near tables for the values of the table ``pair``.
    """
    packed = " + ".join(
        f"(({comparison.name}_level + 1)::UINTEGER << {BITS * at})" for at, comparison in enumerate(COMPARISONS)
    )
    connection.execute(_TARGET.format(target=target))
    pairs = one_number(connection, f"SELECT count(*) FROM {source}")  # noqa: S608 - a constant
    for start in range(0, pairs, CHUNK):
        connection.execute(_PAIRS.format(source=source, start=start, end=start + CHUNK))
        near(connection)
        connection.execute(f"INSERT INTO {target} {_LEVELS.format(packed=packed)}")


def patterns(connection: duckdb.DuckDBPyConnection, *, source: str) -> tuple[list[int], list[int]]:
    """The distinct patterns of ``source``, and how often each occurs among the pairs that are not late."""
    rows = connection.execute(
        f"SELECT pattern, count_if(NOT is_late) FROM {source} GROUP BY pattern ORDER BY pattern"  # noqa: S608
    ).fetchall()
    return [row[0] for row in rows], [row[1] for row in rows]


def unpacked(pattern: int) -> tuple[int, ...]:
    """The levels of a pattern, -1 for missing."""
    return tuple((pattern >> (BITS * at) & (1 << BITS) - 1) - 1 for at in range(len(COMPARISONS)))


_TARGET: Final = """
CREATE OR REPLACE TABLE {target} (
    i INTEGER, j INTEGER, is_late BOOLEAN, pattern UINTEGER, given UBIGINT, family UBIGINT
)
"""
_PAIRS: Final = """
CREATE OR REPLACE TEMP TABLE pair AS
SELECT i, j, is_late, a.given AS ag, b.given AS bg, a.family AS af, b.family AS bf,
        a.given_canonical = b.given_canonical AS nick, a.given_sound = b.given_sound AS given_sounds,
        a.given_initial = b.given_initial AS initials, a.is_initial OR b.is_initial AS one_initial,
        a.family_sound = b.family_sound AS family_sounds, a.family_four = b.family_four AS family_begins,
        a.given_forms AS agf, b.given_forms AS bgf, a.family_forms AS aff, b.family_forms AS bff,
        a.birth AS ad, b.birth AS bd,
        a.birth_short_year IS NULL OR b.birth_short_year IS NULL AS no_birth,
        a.year IS NOT NULL AND b.year IS NOT NULL AND a.year <> b.year AS other_century,
        coalesce(a.birth_short_year = b.birth_short_year, false) AS same_year,
        coalesce(a.birth_year_month = b.birth_year_month, false) AS same_year_month,
        coalesce(a.birth_year_day = b.birth_year_day, false) AS same_year_day,
        coalesce(a.birth_month_day = b.birth_month_day, false) AS same_month_day,
        coalesce(a.birth_sorted = b.birth_sorted, false) AS same_sorted,
        a.sex AS ax, b.sex AS bx, a.number AS an, b.number AS bn, a.street AS ast, b.street AS bst,
        a.second_line AS a2, b.second_line AS b2, a.city AS ac, b.city AS bc,
        a.postal_code AS ap, b.postal_code AS bp, a.state AS asta, b.state AS bsta,
        a.phone AS aph, b.phone AS bph, a.national_id AS aid, b.national_id AS bid
    FROM (FROM {source} WHERE rowid >= {start} AND rowid < {end}) JOIN rec a ON a.line = i JOIN rec b ON b.line = j
"""
_LEVELS: Final = """
WITH near AS (
    SELECT pair.*,
        CASE WHEN ag IS NULL OR bg IS NULL THEN -1 WHEN ag = bg THEN 4 WHEN nick THEN 3
            WHEN ng.level = 3 OR (agf IS NOT NULL OR bgf IS NOT NULL)
                AND list_has_any(coalesce(agf, [ag]), coalesce(bgf, [bg])) THEN 3
            WHEN one_initial THEN CASE WHEN initials THEN 2 ELSE 0 END
            WHEN given_sounds OR ng.level = 2 THEN 2 WHEN initials OR ng.level = 1 THEN 1 ELSE 0 END AS g,
        CASE WHEN af IS NULL OR bf IS NULL THEN -1 WHEN af = bf THEN 4
            WHEN nf.level = 3 OR (aff IS NOT NULL OR bff IS NOT NULL)
                AND list_has_any(coalesce(aff, [af]), coalesce(bff, [bf])) THEN 3
            WHEN family_sounds OR nf.level = 2 THEN 2 WHEN family_begins OR nf.level = 1 THEN 1 ELSE 0 END AS f,
        CASE WHEN ag = bf THEN 4 WHEN x1.level = 3 THEN 3 ELSE 0 END AS gx,
        CASE WHEN af = bg THEN 4 WHEN x2.level = 3 THEN 3 ELSE 0 END AS fx,
        CASE WHEN no_birth THEN -1 WHEN ad = bd AND NOT other_century THEN 5
            WHEN other_century AND coalesce(ad = bd, false) THEN 1
            WHEN ad IS NULL OR bd IS NULL THEN CASE WHEN same_year_month THEN 2 WHEN same_year THEN 1 ELSE 0 END
            WHEN same_sorted THEN 4 WHEN nd.level IS NOT NULL THEN 3
            WHEN same_year_month OR same_year_day OR same_month_day THEN 2 WHEN same_year THEN 1 ELSE 0 END AS d,
        CASE WHEN ast IS NULL OR bst IS NULL THEN -1 WHEN ast = bst THEN 2 WHEN nst.level IS NOT NULL THEN 1
            WHEN ast = b2 OR a2 = bst OR n12.level IS NOT NULL OR n21.level IS NOT NULL THEN 1 ELSE 0 END AS street,
        greatest(
            CASE WHEN ap IS NULL OR bp IS NULL THEN -1 WHEN ap = bp THEN 2 WHEN np.level IS NOT NULL THEN 1 ELSE 0 END,
            CASE WHEN ac IS NULL OR bc IS NULL THEN -1 WHEN ac = bc THEN 2 WHEN nc.level IS NOT NULL THEN 1 ELSE 0 END
        ) AS area,
        coalesce(an = bn, false) AS number,
        CASE WHEN a2 IS NULL OR b2 IS NULL THEN -1 WHEN a2 = b2 THEN 2 WHEN n22.level IS NOT NULL THEN 1
            WHEN ast = b2 OR a2 = bst OR n12.level IS NOT NULL OR n21.level IS NOT NULL THEN 1 ELSE 0 END AS second,
        CASE WHEN aph IS NULL OR bph IS NULL THEN -1 WHEN aph = bph THEN 2
            WHEN nph.level IS NOT NULL THEN 1 ELSE 0 END AS phone_level,
        CASE WHEN aid IS NULL OR bid IS NULL THEN -1 WHEN aid = bid THEN 2
            WHEN nid.level IS NOT NULL THEN 1 ELSE 0 END AS national_id_level
    FROM pair
    LEFT JOIN near_name ng ON ng.l = ag AND ng.r = bg
    LEFT JOIN near_name nf ON nf.l = af AND nf.r = bf
    LEFT JOIN near_name x1 ON x1.l = ag AND x1.r = bf
    LEFT JOIN near_name x2 ON x2.l = af AND x2.r = bg
    LEFT JOIN near_birth nd ON nd.l = ad AND nd.r = bd
    LEFT JOIN near_street nst ON nst.l = ast AND nst.r = bst
    LEFT JOIN near_street n12 ON n12.l = ast AND n12.r = b2
    LEFT JOIN near_street n21 ON n21.l = a2 AND n21.r = bst
    LEFT JOIN near_street n22 ON n22.l = a2 AND n22.r = b2
    LEFT JOIN near_city nc ON nc.l = ac AND nc.r = bc
    LEFT JOIN near_postal_code np ON np.l = ap AND np.r = bp
    LEFT JOIN near_phone nph ON nph.l = aph AND nph.r = bph
    LEFT JOIN near_national_id nid ON nid.l = aid AND nid.r = bid
), crossed AS (
    SELECT *, g < 2 AND f < 2 AND gx >= 3 AND fx >= 3 AS is_crossed FROM near
), levels AS (
    SELECT i, j, is_late, ag, af, is_crossed, CASE WHEN is_crossed THEN gx ELSE g END AS given_level,
        CASE WHEN is_crossed THEN fx ELSE f END AS family_level, d AS birth_level,
        CASE WHEN ax IS NULL OR bx IS NULL THEN -1 WHEN ax = bx THEN 1 ELSE 0 END AS sex_level,
        CASE WHEN street = -1 AND area = -1 THEN -1 WHEN street = 2 AND number AND area = 2 THEN 5
            WHEN street = 2 AND number AND area >= 1 THEN 4 WHEN street >= 1 AND (number OR area >= 1) THEN 3
            WHEN street >= 1 OR (number AND area = 2) THEN 2 WHEN area >= 1 THEN 1 ELSE 0 END AS address_level,
        phone_level, second AS second_line_level,
        CASE WHEN asta IS NULL OR bsta IS NULL THEN -1 WHEN asta = bsta THEN 1 ELSE 0 END AS state_level,
        national_id_level
    FROM crossed
)
SELECT i, j, is_late, ({packed})::UINTEGER AS pattern,
    CASE WHEN given_level = 4 AND NOT is_crossed THEN ag END AS given,
    CASE WHEN family_level = 4 AND NOT is_crossed THEN af END AS family
FROM levels
"""
