"""Blocking: which pairs of records are compared at all.

Two records are a candidate where they share a key; a key value that many records share says little and costs much,
so every key has a budget of pairs that its smallest blocks are taken into first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import duckdb

from asepsis.engines.linkage.guard import one_number

LARGEST_BLOCK: Final = 126
"""Records that may share one key value: 63 of one owner and 63 of another make 4,000 pairs."""
PAIRS_PER_RECORD: Final = 1.5
SECONDARY_PAIRS_PER_RECORD: Final = 0.3
FLOOR: Final = 100_000
"""Pairs that every key may have, however few the records."""
SMALL: Final = 100_000
"""Records up to which the late keys are used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Columns that are equal in two records; ``other`` are those of the second record where they are not the same."""

    columns: tuple[str, ...]
    other: tuple[str, ...] | None = None
    is_secondary: bool = False
    is_late: bool = False
    """For small sets only. Its pairs are scored, with a handicap, but the classes are not fitted to them."""


def _primary(*columns: str) -> Key:
    return Key(columns=columns)


def _secondary(*columns: str) -> Key:
    return Key(columns=columns, is_secondary=True)


def _late(*columns: str) -> Key:
    return Key(columns=columns, is_secondary=True, is_late=True)


KEYS: Final = (
    _primary("birth", "given_initial"),
    _primary("birth", "family_sound"),
    _primary("birth", "postal_code"),
    _primary("birth", "city"),
    _primary("given", "family"),
    _primary("family", "given_three"),
    _primary("given", "family_four"),
    _primary("given_sound", "family_sound", "birth_sorted_days"),
    _primary("family", "postal_code"),
    _primary("street", "number"),
    _primary("street", "given_three"),
    _primary("city", "number", "given_three"),
    _primary("postal_code", "number"),
    _primary("phone"),
    _primary("national_id"),
    Key(columns=("given", "family"), other=("family", "given")),
    _secondary("given", "postal_code"),
    _secondary("birth", "number"),
    _secondary("city", "family_sound"),
    _secondary("city", "given_sound"),
    _secondary("birth_year_month", "given_three"),
    _secondary("birth_year_day", "given_three"),
    _secondary("birth_short_year", "birth_sorted_days", "given_three"),
    _late("birth"),
    _late("family", "birth_short_year"),
    _late("given", "birth_short_year"),
    _late("family_sound", "birth_sorted_days"),
    _late("street"),
    _late("second_line"),
    _late("postal_code", "birth_short_year"),
    _late("city", "birth_sorted_days"),
    _late("city", "birth_short_year"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """What one key gave: its pairs, the largest block that was taken, and how many blocks were left out."""

    key: Key
    pairs: int
    largest: int
    crowded: int


def find_candidates(connection: duckdb.DuckDBPyConnection, *, records: int, condition: str) -> list[KeyUse]:
    """Fill the table ``candidate`` (i, j, keys, is_late) from ``rec``; ``condition`` says which pairs are looked at.

    ``keys`` holds the keys that found the pair, as bits in the order of ``KEYS``.
    """
    connection.execute("CREATE TABLE found (i INTEGER, j INTEGER, key UTINYINT)")
    keys = [(number, key) for number, key in enumerate(KEYS) if records <= SMALL or not key.is_late]
    uses = [_use(connection, number, key, records, condition) for number, key in keys]
    early = sum(1 << number for number, key in enumerate(KEYS) if not key.is_late)
    connection.execute(_CANDIDATES.format(early=early))
    connection.execute("DROP TABLE found")
    return uses


def _use(connection: duckdb.DuckDBPyConnection, number: int, key: Key, records: int, condition: str) -> KeyUse:
    connection.execute(_keyed(key))
    sizes = connection.execute("SELECT n, count(*) FROM keyed_size GROUP BY n ORDER BY n").fetchall()
    share = SECONDARY_PAIRS_PER_RECORD if key.is_secondary else PAIRS_PER_RECORD
    budget = max(FLOOR, records * share)
    largest, crowded = _largest(sizes, budget)
    before = one_number(connection, "SELECT count(*) FROM found")
    if largest:
        order = "l.line < r.line AND " if key.other is None else ""
        connection.execute(
            f"INSERT INTO found SELECT least(l.line, r.line), greatest(l.line, r.line), {number} "  # noqa: S608
            "FROM (SELECT keyed.* FROM keyed SEMI JOIN (FROM keyed_size WHERE n <= ?) USING (k)) l "
            f"JOIN {'keyed' if key.other is None else 'keyed_other'} r ON l.k = r.k AND {order}{condition}",
            [largest],
        )
    pairs = one_number(connection, "SELECT count(*) FROM found") - before
    return KeyUse(key=key, pairs=pairs, largest=largest, crowded=crowded)


def _keyed(key: Key) -> str:
    first, other = _hashed(key.columns), _hashed(key.other or key.columns)
    union = "keyed" if key.other is None else "(FROM keyed UNION ALL FROM keyed_other)"
    return f"""
    CREATE OR REPLACE TEMP TABLE keyed AS {first};
    CREATE OR REPLACE TEMP TABLE keyed_other AS {other if key.other is not None else first + " LIMIT 0"};
    CREATE OR REPLACE TEMP TABLE keyed_size AS
    SELECT k, count(*) AS n FROM {union} GROUP BY k HAVING count(*) > 1;
    """  # noqa: S608 - columns are constants


def _hashed(columns: Sequence[str]) -> str:
    present = " AND ".join(f"{column} IS NOT NULL" for column in columns)
    return f"SELECT hash({', '.join(columns)}) AS k, line, node, owner FROM rec WHERE {present}"  # noqa: S608


def _largest(sizes: Sequence[tuple[int, int]], budget: float) -> tuple[int, int]:
    """The largest block that the budget allows, and how many blocks are larger. Pairs are those of two owners."""
    pairs, largest, taken = 0.0, 0, 0
    for size, blocks in sizes:
        pairs += blocks * size * size / 4
        if size > LARGEST_BLOCK or pairs > budget:
            break
        largest, taken = size, taken + blocks
    return largest, sum(blocks for _, blocks in sizes) - taken


_CANDIDATES: Final = """
CREATE TABLE candidate AS
SELECT i, j, bit_or(1::UBIGINT << key::UBIGINT) AS keys, keys & {early} = 0 AS is_late FROM found GROUP BY i, j
"""
