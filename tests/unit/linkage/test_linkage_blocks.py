"""Sorted numbers and tables of slots find what a plain dictionary finds, whether the numbers are small or large."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import combinations
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.domain.names import PartyId
from asepsis.engines.linkage import blocking
from asepsis.engines.linkage.blocks import Blocks, repeated
from asepsis.engines.linkage.lines import load
from asepsis.engines.linkage.near import NearByVariants, NearPairs
from asepsis.linkage.token_fields import LISTS, NUMBER_OF, RECORDS, TOKENS, VARIANTS, Domain
from asepsis.linkage.tokens import TokenHeader, TokenTable

FEW = settings(max_examples=15, deadline=None)
SMALL = st.integers(0, 5)
KEYS = st.lists(SMALL | SMALL.map(lambda key: key << 61), min_size=10, max_size=40)
HEADER = TokenHeader(version="1", epoch=1, key_check="00")


@FEW
@given(KEYS, st.integers(0, 8))
def test_places_of_one_key_are_paired_once_up_to_the_largest_block(keys: list[int], largest: int) -> None:
    wanted = defaultdict(list)
    for place, key in enumerate(keys):
        wanted[key].append(place)
    blocks = Blocks(np.array(keys, dtype=np.uint64))
    found = [pair for left, right in blocks.pairs(largest) for pair in zip(left.tolist(), right.tolist(), strict=True)]
    pairs = [pair for held in wanted.values() if len(held) <= largest for pair in combinations(held, 2)]
    assert sorted(tuple(sorted(pair)) for pair in found) == sorted(pairs)
    assert dict(blocks.by_size()) == Counter(len(held) for held in wanted.values() if len(held) > 1)


@FEW
@given(KEYS)
def test_every_key_that_occurs_twice_is_among_the_repeated(keys: list[int]) -> None:
    places = {place for place, key in enumerate(keys) if keys.count(key) > 1}
    assert places <= set(repeated(np.array(keys, dtype=np.uint64)).tolist())


@pytest.mark.parametrize("count", [0, 1, 3, 70, 20_000])
def test_near_pairs_are_looked_up_also_where_they_share_a_slot(count: int) -> None:
    dice = Random(count)
    keys = sorted(dice.sample(range(3 * count + 1), count))
    levels = {key: dice.randrange(1, 4) for key in keys}
    asked = [dice.randrange(3 * count + 1) for _ in range(3_000)]
    near = NearPairs(np.array(keys, dtype=np.int64), np.array(list(levels.values()), dtype=np.int8))
    assert near.levels(np.array(asked, dtype=np.int64)).tolist() == [levels.get(key, 0) for key in asked]


def test_numbers_too_long_for_digits_find_the_same_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = Random(5)
    records = [[made(dice, person) for person in range(30)] for _ in range(2)]
    lines = load({PartyId(owner): table(own) for owner, own in zip("ab", records, strict=True)}, free=frozenset())
    whole, _ = blocking.find_candidates(lines, threads=1)
    monkeypatch.setattr(blocking, "_WIDTH", 8)
    mixed, _ = blocking.find_candidates(lines, threads=1)
    assert len(whole) > 0
    for name in ("i", "j", "keys"):
        assert getattr(whole, name).tolist() == getattr(mixed, name).tolist()


def test_values_of_two_owners_are_near_where_they_share_a_variant_and_a_value_is_never_near_itself() -> None:
    rows = [[record(given=1), record(given=2)], [record(given=1), record(given=3)]]
    variants = [[(1, 70), (2, 71)], [(1, 70), (3, 70), (3, 72)]]
    tables = [table(own, listed) for own, listed in zip(rows, variants, strict=True)]
    lines = load(dict(zip(map(PartyId, "ab"), tables, strict=True)), free=frozenset())
    near = NearByVariants(lines, [each.variants for each in tables], threads=1)
    number = {value.as_py(): at for at, value in enumerate(lines.values[Domain.NAME], 1)}
    pairs = [(1, 3), (3, 1), (1, 2), (2, 3), (1, 1)]
    left, right = (np.array([number[pair[side]] for pair in pairs], dtype=np.int32) for side in (0, 1))
    assert near(Domain.NAME, left, right).tolist() == [3, 3, 0, 0, 0]


def record(**values: int) -> dict[str, object]:
    return {**dict.fromkeys((*TOKENS, *LISTS)), "person_id": 0, "is_initial": False, **values}


def made(dice: Random, person: int) -> dict[str, object]:
    return {**record(person_id=person), **{name: dice.choice([None, 1, 2, 3]) for name in TOKENS}}


def table(records: list[dict[str, object]], variants: list[tuple[int, int]] = []) -> TokenTable:  # noqa: B006 - read only
    rows = [{"domain": NUMBER_OF[Domain.NAME], "value": value, "variant": variant} for value, variant in variants]
    return TokenTable(
        header=HEADER,
        records=pa.Table.from_pylist(records, schema=RECORDS),
        variants=pa.Table.from_pylist(rows, schema=VARIANTS),
        dropped={},
    )
