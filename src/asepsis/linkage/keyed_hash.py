"""Keyed 64-bit hashes of distinct values, one key per domain, and the variants of those values.

64 bits: among 10^7 values of a domain two fall together with a chance of 3 in 10^6.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from itertools import chain
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from asepsis.linkage.columns import Coded
from asepsis.linkage.key import LinkKey
from asepsis.linkage.nicknames import other_forms
from asepsis.linkage.token_fields import NUMBER_OF, VARIANTS, Domain

_BYTES: Final = 8
_SHORTEST: Final = 3
_MASK: Final = "?"
_TEXTS: Final = pa.schema([("domain", pa.uint8()), ("value", pa.uint64()), ("text", pa.string())])


class KeyedHash:
    """Tokens under one link key. It remembers the values of the domains that have variants."""

    def __init__(self, key: LinkKey) -> None:
        self._key = key
        self._subkeys: dict[str, bytes] = {}
        self._values: dict[Domain, dict[str, None]] = {domain: {} for domain in Domain}

    def column(self, domain: str, column: Coded) -> pa.Array:
        """One token per record, null where the record has no value."""
        return self._distinct(domain, column.values).take(column.codes)

    def lists(self, domain: str, column: Coded) -> pa.Array:
        """One list of tokens per record; the values are words with spaces between them."""
        words = [value.split(" ") for value in column.values]
        tokens = self._distinct(domain, list(chain.from_iterable(words)))
        offsets = _offsets(pa.array([len(each) for each in words], pa.int32()))
        return pa.ListArray.from_arrays(offsets, tokens).take(column.codes)

    def variants(self) -> pa.Table:
        """The variants of all values seen, by domain."""
        parts = [self._variants(domain, list(values)) for domain, values in self._values.items() if values]
        return pa.concat_tables([VARIANTS.empty_table(), *parts])

    def texts(self) -> pa.Table:
        """All values seen, in clear, with their tokens."""
        parts = [_TEXTS.empty_table()]
        for domain, seen in self._values.items():
            texts = list(seen)
            tokens = self._whole(domain, texts)
            parts.append(pa.table([_repeated(domain, len(texts)), tokens, pa.array(texts, pa.string())], schema=_TEXTS))
        return pa.concat_tables(parts)

    def _distinct(self, domain: str, values: list[str]) -> pa.Array:
        if domain in self._values:
            self._values[Domain(domain)].update(dict.fromkeys(values))
        return self._whole(domain, values)

    def _whole(self, domain: str, values: Iterable[str]) -> pa.Array:
        """Tokens of whole values: of places without their spaces, which are mistyped like letters."""
        return self._tokens(domain, map(_unspaced, values) if domain in _PLACES else values)

    def _tokens(self, purpose: str, values: Iterable[str]) -> pa.Array:
        if purpose not in self._subkeys:
            self._subkeys[purpose] = self._key.subkey(purpose)
        key = self._subkeys[purpose]
        data = b"".join([blake2b(value.encode(), key=key, digest_size=_BYTES).digest() for value in values])
        return pa.Array.from_buffers(pa.uint64(), len(data) // _BYTES, [None, pa.py_buffer(data)])

    def _variants(self, domain: Domain, values: list[str]) -> pa.Table:
        function = _VARIANTS.get(domain, _shortened)
        found = [function(value) for value in values]
        lengths = pa.array([len(variants) for variants in found], pa.int32())
        hashed = self._tokens(f"{domain}/variant", chain.from_iterable(found))
        lists = pa.ListArray.from_arrays(_offsets(lengths), hashed)
        tokens = self._whole(domain, values).take(lists.value_parent_indices())
        return pa.table([_repeated(domain, len(tokens)), tokens, lists.flatten()], schema=VARIANTS)


def _shortened(value: str) -> list[str]:
    """The value and what is left of it without one sign: two values one edit apart share one of these."""
    if len(value) < _SHORTEST:
        return []
    return [value, *{value[:at] + value[at + 1 :] for at in range(len(value))}]


def _slipped(value: str) -> list[str]:
    """The date with one digit masked, or two neighbours in order: two dates one slip apart share one of these."""
    if not value.isdigit():
        return []
    masked = [value[:at] + _MASK + value[at + 1 :] for at in range(len(value))]
    pairs = [(at, "".join(sorted(value[at : at + 2]))) for at in range(len(value) - 1)]
    return [*masked, *(value[:at] + _MASK + pair + _MASK + value[at + 2 :] for at, pair in pairs)]


def _chunked(value: str) -> list[str]:
    """The number with one third masked: two numbers that differ in one place share one of these."""
    third = -(-len(value) // 3)
    return [value[:at] + _MASK + value[at + third :] for at in range(0, len(value), third)]


def _named(value: str) -> list[str]:
    """The variants of a name and of its other forms: a mistyped short form is near the long one.

    But not of a form that is near the name anyway: what is near that may be another name (Marie, Maria, Marla).
    """
    own = set(_shortened(value))
    others = [variants for form in other_forms(value) if own.isdisjoint(variants := _shortened(form))]
    return [*own.union(*others)]


def _unspaced(value: str) -> str:
    return value.replace(" ", "")


def _city(value: str) -> list[str]:
    return _shortened(_unspaced(value))


def _stem(value: str) -> list[str]:
    """The variants of a street without its last word, which is its kind as a rule, and the whole."""
    return [_unspaced(value), *_shortened(_unspaced(value.rsplit(" ", 1)[0]))]


_PLACES: Final = frozenset({Domain.STREET, Domain.CITY})


_VARIANTS: Final = {
    Domain.NAME: _named,
    Domain.BIRTH: _slipped,
    Domain.PHONE: _chunked,
    Domain.STREET: _stem,
    Domain.CITY: _city,
}


def _offsets(lengths: pa.Array) -> pa.Array:
    return pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])


def _repeated(domain: Domain, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(NUMBER_OF[domain], pa.uint8()), count)
