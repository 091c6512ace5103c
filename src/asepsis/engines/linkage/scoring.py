"""Scores compared pairs: the log odds that they are one person, from the fitted classes and the rarity of names.

That two records have the same common name is what a coincidence class expects; that they have the same rare name it
must explain. So the frequency of the agreeing value moves the coincidence classes alone. Weights are in bits.
"""

from __future__ import annotations

from typing import Final

import duckdb
import pyarrow as pa

from asepsis.engines.linkage.comparing import BITS, patterns, unpacked
from asepsis.engines.linkage.guard import one_number
from asepsis.engines.linkage.latent import Fitted, fit, weigh
from asepsis.linkage.classes import CLASSES, COMPARISONS

LEAST: Final = -20.0
"""Pairs below this many bits are not kept."""
HANDICAP: Final = 6.0
"""Bits that a pair needs besides where only late keys found it: its like were not counted when fitting."""
UNLIKE_BIRTH: Final = 10.0
"""Bits that a pair needs besides where names and home are equal, the birth dates wholly different, and nothing else
speaks for it: father and son share name and home. It holds where the owners know phones or national ids at all."""


def fit_and_score(connection: duckdb.DuckDBPyConnection) -> Fitted:
    """Fit the classes to ``compared`` and fill ``scored`` (i, j, a, b, is_late, weight): lines, their nodes, bits."""
    for column in ("given", "family"):
        connection.execute(_RARITY.format(column=column))
    packed, counts = patterns(connection, source="compared")
    seen = [(pattern, count) for pattern, count in zip(packed, counts, strict=True) if count]
    fitted = fit([unpacked(pattern) for pattern, _ in seen], [count for _, count in seen], comparisons=COMPARISONS)
    score(connection, fitted, source="compared", target="scored", least=LEAST)
    return fitted


def score(connection: duckdb.DuckDBPyConnection, fitted: Fitted, *, source: str, target: str, least: float) -> None:
    """Fill ``target`` with the pairs of ``source`` (as ``compared``) that have at least ``least`` bits."""
    packed, _ = patterns(connection, source=source)
    logs = weigh(fitted, [unpacked(pattern) for pattern in packed], comparisons=COMPARISONS)
    columns = {name.value: logs[:, at] for at, name in enumerate(CLASSES)}
    connection.register("fitted", pa.table({"pattern": pa.array(packed, pa.uint32()), **columns}))
    connection.execute("CREATE OR REPLACE TABLE pattern AS FROM fitted")
    connection.unregister("fitted")
    unlike = _unlike_birth(connection)
    text = _SCORED.format(source=source, least=least, handicap=HANDICAP, unlike_birth=unlike)
    connection.execute(f"CREATE OR REPLACE TABLE {target} AS {text}")


def _unlike_birth(connection: duckdb.DuckDBPyConnection) -> str:
    known = one_number(connection, "SELECT count(coalesce(phone, national_id)) FROM rec")
    if not known:
        return "0"
    at = {comparison.name: BITS * number for number, comparison in enumerate(COMPARISONS)}
    level = {name: f"(((pattern >> {shift}) & {(1 << BITS) - 1})::INTEGER - 1)" for name, shift in at.items()}
    terms = [f"{level['given']} = 4", f"{level['family']} = 4", f"{level['address']} >= 4", f"{level['birth']} = 0"]
    terms += [f"{level[name]} < 2" for name in ("phone", "national_id")]
    return f"CASE WHEN {' AND '.join(terms)} THEN {UNLIKE_BIRTH} ELSE 0 END"


_RARITY: Final = """
CREATE OR REPLACE TABLE rarity_{column} AS
WITH counted AS (SELECT {column} AS value, count(*)::DOUBLE AS n FROM rec WHERE {column} IS NOT NULL GROUP BY ALL),
    whole AS (SELECT sum(n) AS total, sum(n * n) AS squares FROM counted)
SELECT value, greatest(-6, least(3, ln(n * total / squares))) AS shift FROM counted, whole
"""
_SCORED: Final = """
WITH possible AS (
    FROM pattern
    WHERE (match - greatest(household, address, twin, namesake - 12, area - 6, birth_date - 12)) / ln(2) >= {least}
), shifted AS (
    SELECT i, j, is_late, possible.*,
        coalesce(g.shift, 0) AS given_shift, coalesce(f.shift, 0) AS family_shift
    FROM {source} AS compared JOIN possible USING (pattern)
    LEFT JOIN rarity_given g ON g.value = compared.given
    LEFT JOIN rarity_family f ON f.value = compared.family
), weighed AS (
    SELECT i, j, is_late, -ln(exp(household - match)
        + exp(namesake + given_shift + family_shift - match)
        + exp(area + given_shift - match) + exp(birth_date + given_shift + family_shift - match)
        + exp(address - match) + exp(twin - match)) / ln(2)
        - CASE WHEN is_late THEN {handicap} ELSE 0 END - {unlike_birth} AS weight
    FROM shifted
)
SELECT w.*, l.node AS a, r.node AS b FROM weighed w JOIN rec l ON l.line = w.i JOIN rec r ON r.line = w.j
WHERE weight >= {least}
"""
