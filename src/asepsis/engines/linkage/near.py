"""Near values: pairs of different values that share a variant (tokens), or whose texts are alike (mode ``sealed``).

Only pairs of values that candidates bring together are looked at. Fills one table ``near_<domain>`` (l, r, level)
per domain; tokens know one level of nearness only, which is level 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import duckdb
import pyarrow as pa

from asepsis.linkage.token_fields import NUMBER_OF, Domain

_PAIRS: Final[Mapping[Domain, tuple[str, ...]]] = {
    Domain.NAME: (
        "SELECT ag, bg FROM pair WHERE ag <> bg AND NOT nick",
        "SELECT af, bf FROM pair WHERE af <> bf",
        "SELECT ag, bf FROM pair WHERE af = bg AND ag <> bf",
        "SELECT af, bg FROM pair WHERE ag = bf AND af <> bg",
    ),
    Domain.BIRTH: ("SELECT ad, bd FROM pair WHERE ad <> bd AND NOT other_century",),
    Domain.STREET: (
        "SELECT ast, bst FROM pair WHERE ast <> bst AND (an = bn OR ac = bc OR ap = bp)",
        "SELECT ast, b2 FROM pair WHERE ast <> b2 AND ast <> bst AND (an = bn OR ac = bc OR ap = bp)",
        "SELECT a2, bst FROM pair WHERE a2 <> bst AND ast <> bst AND (an = bn OR ac = bc OR ap = bp)",
        "SELECT a2, b2 FROM pair WHERE a2 <> b2",
    ),
    Domain.CITY: ("SELECT ac, bc FROM pair WHERE ac <> bc",),
    Domain.POSTAL_CODE: ("SELECT ap, bp FROM pair WHERE ap <> bp",),
    Domain.PHONE: ("SELECT aph, bph FROM pair WHERE aph <> bph",),
    Domain.NATIONAL_ID: ("SELECT aid, bid FROM pair WHERE aid <> bid",),
}


def near_by_variants(connection: duckdb.DuckDBPyConnection) -> None:
    """Fill the near tables from ``pair`` and from the table ``variant`` (domain, value, variant)."""
    for domain, pairs in _PAIRS.items():
        connection.execute(_DISTINCT.format(pairs=" UNION ALL ".join(pairs)))
        connection.execute(_BY_VARIANTS.format(domain=domain.value, number=NUMBER_OF[domain]))


def load_texts(connection: duckdb.DuckDBPyConnection, texts: Sequence[pa.Table]) -> None:
    """Fill the table ``text`` (domain, value, text), all owners together."""
    connection.register("texts", pa.concat_tables(texts))
    connection.execute(_TEXTS)
    connection.unregister("texts")


def near_by_texts(connection: duckdb.DuckDBPyConnection) -> None:
    """Fill the near tables from ``pair`` and ``text``; names have three levels of nearness."""
    for domain, pairs in _PAIRS.items():
        similarity, close, far, least = _SIMILARITY[domain]
        connection.execute(_DISTINCT.format(pairs=" UNION ALL ".join(pairs)))
        connection.execute(
            _BY_TEXTS.format(
                domain=domain.value,
                number=NUMBER_OF[domain],
                similarity=similarity,
                near=close,
                far=far,
                least=least,
            )
        )


_DISTINCT: Final = "CREATE OR REPLACE TEMP TABLE differ AS SELECT DISTINCT * FROM ({pairs}) t(l, r)"
_BY_VARIANTS: Final = """
CREATE OR REPLACE TEMP TABLE near_{domain} AS
WITH v AS MATERIALIZED (SELECT DISTINCT value, variant FROM variant WHERE domain = {number}),
    of_left AS MATERIALIZED (SELECT l, r, variant FROM differ JOIN v ON v.value = l)
SELECT DISTINCT l, r, 3::TINYINT AS level
FROM of_left SEMI JOIN v ON v.value = of_left.r AND v.variant = of_left.variant
"""
_TEXTS: Final = "CREATE TABLE text AS SELECT DISTINCT domain, value, text FROM texts"
_BY_TEXTS: Final = """
CREATE OR REPLACE TEMP TABLE near_{domain} AS
WITH t AS (SELECT value, text FROM text WHERE domain = {number}),
    both_ AS (SELECT l, r, {similarity} AS alike FROM differ JOIN t x ON x.value = l JOIN t y ON y.value = r)
SELECT l, r, (CASE WHEN alike >= {near} THEN 3 WHEN alike >= {far} THEN 2 ELSE 1 END)::TINYINT AS level
FROM both_ WHERE alike >= {least}
"""
_JARO_WINKLER: Final = "jaro_winkler_similarity(x.text, y.text)"
_EDITS: Final = "1 - levenshtein(x.text, y.text) / 10.0"
_SIMILARITY: Final[Mapping[Domain, tuple[str, float, float, float]]] = {
    Domain.NAME: (_JARO_WINKLER, 0.92, 0.85, 0.7),
    Domain.STREET: (_JARO_WINKLER, 0.88, 0.88, 0.88),
    Domain.CITY: (_JARO_WINKLER, 0.9, 0.9, 0.9),
    Domain.BIRTH: ("1 - hamming(x.text, y.text) / 10.0", 0.9, 0.9, 0.9),
    Domain.POSTAL_CODE: (_EDITS, 0.9, 0.9, 0.9),
    Domain.PHONE: (_EDITS, 0.9, 0.9, 0.9),
    Domain.NATIONAL_ID: (_EDITS, 0.9, 0.9, 0.9),
}
"""How texts are compared, and from where on they are near, far and least alike."""
