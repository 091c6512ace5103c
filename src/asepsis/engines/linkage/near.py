"""Near values: different values of one domain that share a variant (tokens), or whose texts are alike (``sealed``).

Tokens know one level of nearness only, which is ``NEAR``; names in clear have three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from asepsis.engines.linkage.blocks import Blocks, Hashes, distinct, repeated, slot_bits, slots
from asepsis.engines.linkage.lines import Ids, Lines
from asepsis.linkage.stretches import starts
from asepsis.linkage.token_fields import NUMBER_OF, VARIANTS, Domain

NEAR: Final = 3
_ALIKE: Final = 2
"""The level of names in clear that share a variant and are not near by their texts: a short form, mistyped."""
MOST_SHARING: Final = 1_000
"""Values that may share one variant; a variant of more says nothing."""
_SLOTS: Final = 2
Levels = npt.NDArray[np.int8]
Keys = npt.NDArray[np.int64]


class Nearness(Protocol):
    """How near two values are."""

    @property
    def at_once(self) -> int:
        """How many pairs are best asked for at a time."""
        ...

    def is_table(self, domain: Domain) -> bool:
        """Whether the level of any pair of a domain lies in a table: then a pair may have a missing or equal value."""
        ...

    def __call__(self, domain: Domain, left: Ids, right: Ids) -> Levels:
        """The level of every pair of values, ``NEAR`` at most; 0 where they are not near."""
        ...


class NearPairs:
    """Near pairs of one domain, for many lookups.

    A small table of bits says of most pairs that they are not here. The others are looked for in a table of slots with
    one pair each, and among the pairs that had none.
    """

    def __init__(self, keys: Keys, levels: Levels | None = None) -> None:
        """``keys`` ascend, each once; without ``levels`` all are ``NEAR``."""
        self._keys, self._levels = keys, levels
        bits = slot_bits(len(keys) * _SLOTS)
        self._fine = slot_bits(len(keys) * _SLOTS * _FINER)
        self._coarser = self._fine - bits
        at, number = slots(keys, bits=self._fine), np.arange(1, len(keys) + 1, dtype=np.int32)
        is_taken = np.zeros(1 << self._fine, dtype=np.bool_)
        is_taken[at] = True
        self._taken = np.packbits(is_taken, bitorder="little")
        at >>= self._coarser
        self._held = np.zeros(1 << bits, dtype=np.int32)
        """By slot: the place of its pair, counted from 1, negative where it is not the only one; 0 for none."""
        self._held[at] = number
        self._others = np.flatnonzero(self._held.take(at, mode="clip") != number)
        self._other_keys = keys[self._others]
        self._held[at[self._others]] *= -1

    def levels(self, keys: Keys) -> Levels:
        """The level of every pair; 0 where it is not here."""
        at = slots(keys, bits=self._fine)
        taken = self._taken.take(at >> _BYTE, mode="clip") >> (at & _IN_BYTE).astype(np.uint8)
        possible = np.flatnonzero(taken & np.uint8(1))
        asked = keys.take(possible, mode="clip")
        held = self._held.take(at.take(possible, mode="clip") >> self._coarser, mode="clip")
        places = np.abs(held) - 1
        others = np.flatnonzero((held < 0) & (self._keys.take(places, mode="clip") != asked))
        nearest = np.searchsorted(self._other_keys, asked[others])
        places[others] = self._others.take(nearest, mode="clip")
        is_here = self._keys.take(places, mode="clip") == asked
        found = np.zeros(len(keys), dtype=np.int8)
        found[possible[is_here]] = NEAR if self._levels is None else self._levels[places[is_here]]
        return found


_FINER: Final = 4
_BYTE: Final = 3
_IN_BYTE: Final = (1 << _BYTE) - 1


class NearTable:
    """Near pairs of a domain of few values: the level of every pair of numbers."""

    def __init__(self, keys: Keys, ways: int) -> None:
        """``keys`` are a smaller number times ``ways``, and a larger one."""
        self._levels = np.zeros(ways * ways, dtype=np.int8)
        left, right = np.divmod(keys, ways)
        self._levels[keys] = self._levels[right * ways + left] = NEAR
        self._ways = ways

    def levels(self, left: Ids, right: Ids) -> Levels:
        """The level of every pair, whichever way round."""
        return self._levels.take(left.astype(np.intp) * self._ways + right, mode="clip")


LARGEST_TABLE: Final = 1 << 24
"""Pairs of numbers."""


class NearByVariants:
    """Two values are near where they share a variant. All near pairs of a run are found once."""

    at_once = 1 << 16
    """As many as the values of which stay in the cache of a processor."""

    def __init__(
        self, lines: Lines, variants: Sequence[pa.Table], *, threads: int, domains: Sequence[Domain] = tuple(Domain)
    ) -> None:
        """``variants`` are those of all owners (domain, value, variant); those of one value are equal in all."""
        self._lines = lines
        columns = [[table[name].to_numpy() for name in VARIANTS.names] for table in variants]
        by_size = sorted(domains, key=lambda domain: -len(lines.values[domain]))
        with ThreadPoolExecutor(threads) as pool:
            found = pool.map(lambda domain: self._made(domain, _sharing(lines, columns, domain)), by_size)
            self._pairs = dict(zip(by_size, found, strict=True))

    def _made(self, domain: Domain, keys: Keys) -> NearPairs | NearTable:
        ways = len(self._lines.values[domain]) + 1
        return NearTable(keys, ways) if ways * ways <= LARGEST_TABLE else NearPairs(keys)

    def is_table(self, domain: Domain) -> bool:
        """See :class:`Nearness`."""
        return isinstance(self._pairs[domain], NearTable)

    def __call__(self, domain: Domain, left: Ids, right: Ids) -> Levels:
        """See :class:`Nearness`."""
        pairs = self._pairs[domain]
        if isinstance(pairs, NearTable):
            return pairs.levels(left, right)
        return pairs.levels(_keys(self._lines, domain, left, right))


def _sharing(lines: Lines, columns: Sequence[Sequence[npt.NDArray[Any]]], domain: Domain) -> Keys:
    owned = [_numbered(lines, domain, *each) for each in columns]
    seen = np.zeros(len(lines.values[domain]) + 1, dtype=np.bool_)
    seen[0] = True
    for at, (values, variants) in enumerate(owned):
        is_new = ~seen[values]
        owned[at] = values[is_new], variants[is_new]
        seen[values] = True
    values, variants = (np.concatenate(each) for each in zip(*owned, strict=True))
    several = repeated(variants)
    values = values[several]
    found = [np.array([], dtype=np.int64)]
    for left, right in Blocks(variants[several]).pairs(MOST_SHARING):
        found.append(_keys(lines, domain, values[left], values[right]))
    return distinct(np.concatenate(found))


def _numbered(
    lines: Lines, domain: Domain, domains: npt.NDArray[np.uint8], values: Hashes, variants: Hashes
) -> tuple[Ids, Hashes]:
    """The number of each value of a domain, 0 where no line has it, and its variant."""
    own = np.flatnonzero(domains == NUMBER_OF[domain])
    own_values = values[own]
    first = starts(own_values)
    number = pc.index_in(pa.array(own_values[first]), lines.values[domain]).fill_null(-1).to_numpy() + 1
    return np.repeat(number.astype(np.int32), np.diff(np.append(first, len(own)))), variants[own]


def _keys(lines: Lines, domain: Domain, left: Ids, right: Ids) -> Keys:
    """One number for every pair, whichever way round."""
    return np.minimum(left, right).astype(np.int64) * (len(lines.values[domain]) + 1) + np.maximum(left, right)


class NearByTexts:
    """Two values are near where their texts are alike, and two names where they share a variant, too.

    Only pairs of texts that are asked for are compared.
    """

    at_once = 1 << 19
    """As many as the memory bears: a query costs more than its pairs."""

    def __init__(
        self,
        lines: Lines,
        texts: Sequence[pa.Table],
        connection: duckdb.DuckDBPyConnection,
        *,
        names: NearByVariants,
    ) -> None:
        """``texts`` are those of all owners (domain, value, text); ``names`` knows names by their variants."""
        whole = pa.concat_tables(texts).combine_chunks()
        self._lines, self._connection, self._names = lines, connection, names
        for domain in Domain:
            own = whole.filter(pc.equal(whole["domain"], NUMBER_OF[domain]))
            numbers = pc.add(pc.index_in(own["value"], lines.values[domain]).cast(pa.int32()), 1)
            connection.register("texts", pa.table({"value": numbers, "text": own["text"]}))
            connection.execute(_TEXTS.format(domain=domain.value))
            connection.unregister("texts")

    def is_table(self, _domain: Domain) -> bool:
        """See :class:`Nearness`."""
        return False

    def __call__(self, domain: Domain, left: Ids, right: Ids) -> Levels:
        """See :class:`Nearness`."""
        levels = self._by_texts(domain, left, right)
        if domain is not Domain.NAME:
            return levels
        return np.maximum(levels, np.minimum(self._names(domain, left, right), _ALIKE))

    def _by_texts(self, domain: Domain, left: Ids, right: Ids) -> Levels:
        keys = _keys(self._lines, domain, left, right)
        asked = distinct(keys.copy())
        ways = len(self._lines.values[domain]) + 1
        lefts, rights = np.divmod(asked, ways)
        similarity, close, far, least = _SIMILARITY[domain]
        query = _BY_TEXTS.format(domain=domain.value, similarity=similarity, near=close, far=far, least=least)
        pairs = pa.table({"l": lefts.astype(np.int32), "r": rights.astype(np.int32)})
        with self._connection.cursor() as cursor:
            cursor.register("differ", pairs)
            found: pa.Table = cursor.sql(query).to_arrow_table()
        near = found["l"].to_numpy().astype(np.int64) * ways + found["r"].to_numpy()
        order = np.argsort(near)
        return NearPairs(near[order], found["level"].to_numpy()[order]).levels(keys)


_TEXTS: Final = "CREATE TABLE text_{domain} AS SELECT DISTINCT value, text FROM texts WHERE value IS NOT NULL"
_BY_TEXTS: Final = """
WITH both_ AS (
    SELECT l, r, {similarity} AS alike
    FROM differ JOIN text_{domain} x ON x.value = l JOIN text_{domain} y ON y.value = r
)
SELECT l, r, max(CASE WHEN alike >= {near} THEN 3 WHEN alike >= {far} THEN 2 ELSE 1 END)::TINYINT AS level
FROM both_ WHERE alike >= {least} GROUP BY l, r
"""
_JARO_WINKLER: Final = "jaro_winkler_similarity(x.text, y.text)"
_EDITS: Final = """
CASE WHEN levenshtein(x.text, y.text) = 2 THEN 1 - damerau_levenshtein(x.text, y.text) / 10.0
ELSE 1 - levenshtein(x.text, y.text) / 10.0 END
"""
"""Two neighbours exchanged are one slip."""
_SLIPS: Final = """
CASE WHEN hamming(x.text, y.text) = 2 THEN 1 - damerau_levenshtein(x.text, y.text) / 10.0
ELSE 1 - hamming(x.text, y.text) / 10.0 END
"""
_SIMILARITY: Final[Mapping[Domain, tuple[str, float, float, float]]] = {
    Domain.NAME: (_JARO_WINKLER, 0.92, 0.85, 0.7),
    Domain.STREET: (_JARO_WINKLER, 0.88, 0.88, 0.88),
    Domain.CITY: (_JARO_WINKLER, 0.9, 0.9, 0.9),
    Domain.BIRTH: (_SLIPS, 0.9, 0.9, 0.9),
    Domain.POSTAL_CODE: (_EDITS, 0.9, 0.9, 0.9),
    Domain.PHONE: (_EDITS, 0.9, 0.9, 0.9),
    Domain.NATIONAL_ID: (_EDITS, 0.9, 0.9, 0.9),
}
"""How texts are compared, and from where on they are near, far and least alike."""
