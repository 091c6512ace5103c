"""Finding and comparing pairs on columns of numbers says what a plain reading of the rules says, pair by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.domain.names import PartyId
from asepsis.engines.linkage import comparing, near
from asepsis.engines.linkage.blocking import KEYS, find_candidates
from asepsis.engines.linkage.comparing import unpacked
from asepsis.engines.linkage.lines import Lines, load
from asepsis.linkage.classes import COMPARISONS
from asepsis.linkage.token_fields import DOMAIN_OF, LISTS, NUMBER_OF, RECORDS, TOKENS, VARIANTS, Domain
from asepsis.linkage.tokens import TokenHeader, TokenTable

HEADER = TokenHeader(version="1", epoch=1, key_check="00")
Record = Mapping[str, Any]
Variant = tuple[Domain, int, int]
OWNERS = ("north", "river")
DICE = st.integers(0, 1 << 32).map(Random)
FEW = settings(max_examples=10, deadline=None)


def thrown(dice: Random) -> tuple[list[Record], ...]:
    """A few dozen records of each owner with few different values, so that everything agrees now and then."""
    return tuple([record(dice) for _ in range(dice.randrange(25))] for _ in OWNERS)


def record(dice: Random) -> Record:
    made: dict[str, Any] = {name: dice.choice([None, 1, 2, 3, 4]) for name in TOKENS}
    made |= {name: dice.choice([None, None, dice.sample(range(1, 9), 2)]) for name in LISTS}
    return {**made, "person_id": dice.randrange(20), "is_initial": dice.random() < 0.1}


def varied(dice: Random) -> list[Variant]:
    return [(domain, value, dice.randrange(6)) for domain in Domain for value in range(1, 7) for _ in range(2)]


def token_tables(records: Sequence[Sequence[Record]], variants: Sequence[Variant] = ()) -> dict[PartyId, TokenTable]:
    rows = [{"domain": NUMBER_OF[domain], "value": value, "variant": variant} for domain, value, variant in variants]
    return {
        PartyId(owner): TokenTable(
            header=HEADER,
            records=pa.Table.from_pylist(list(own), schema=RECORDS),
            variants=pa.Table.from_pylist(rows, schema=VARIANTS),
            dropped={},
        )
        for owner, own in zip(OWNERS, records, strict=True)
    }


def loaded(records: Sequence[Sequence[Record]], free: frozenset[PartyId] = frozenset()) -> Lines:
    return load(token_tables(records), free=free)


@FEW
@given(DICE, st.sets(st.sampled_from(OWNERS)))
def test_candidates_are_the_pairs_that_share_a_key(dice: Random, free: set[str]) -> None:
    records = thrown(dice)
    lines = [(owner, record) for owner, own in zip(OWNERS, records, strict=True) for record in own]
    found, _ = find_candidates(loaded(records, frozenset(map(PartyId, free))), threads=2)
    wanted = {}
    for (i, (owner, one)), (j, (other, two)) in combinations(enumerate(lines), 2):
        if owner == other and (owner in free or one["person_id"] == two["person_id"]):
            continue
        keys = sum(1 << at for at, key in enumerate(KEYS) if shares(key, one, two))
        if keys:
            wanted[i, j] = keys
    assert dict(zip(zip(found.i.tolist(), found.j.tolist(), strict=True), found.keys.tolist(), strict=True)) == wanted
    late = sum(1 << at for at, key in enumerate(KEYS) if key.is_late)
    assert found.is_late.tolist() == [keys & ~late == 0 for keys in found.keys.tolist()]


def shares(key: Any, one: Record, two: Record) -> bool:
    left, right = (tuple(record[name] for name in key.columns) for record in (one, two))
    if key.other is None:
        return None not in left and left == right
    crossed = (tuple(record[name] for name in key.other) for record in (one, two))
    return any(None not in held and held == other for held, other in zip((right, left), crossed, strict=True))


@pytest.mark.parametrize("size", ["small", "large"])
@FEW
@given(DICE)
def test_levels_are_those_of_the_rules(size: str, dice: Random) -> None:
    """Where there are few values or rows and where there are many."""
    with pytest.MonkeyPatch.context() as patch:
        if size == "large":
            patch.setattr(near, "LARGEST_TABLE", 0)
            patch.setattr(comparing, "_ROWS_AT_ONCE", 3)
        check_levels(dice)


def check_levels(dice: Random) -> None:
    records, variants = thrown(dice), varied(dice)
    lines = [record for own in records for record in own]
    pairs = list(combinations(range(len(lines)), 2))
    of = {(domain, value): {v for d, x, v in variants if (d, x) == (domain, value)} for domain, value, _ in variants}
    tables = token_tables(records, variants)
    columns = load(tables, free=frozenset())
    known = near.NearByVariants(columns, [table.variants for table in tables.values()], threads=1)
    i, j = (np.array([pair[side] for pair in pairs], dtype=np.int32) for side in (0, 1))
    compared = comparing.compare(columns, i, j, near=known, threads=2)
    for pattern, given_name, (one, two) in zip(compared.pattern.tolist(), compared.given.tolist(), pairs, strict=True):
        wanted = levels(lines[one], lines[two], of) | {"list": int((one < len(records[0])) == (two < len(records[0])))}
        assert dict(zip((each.name for each in COMPARISONS), unpacked(pattern), strict=True)) == wanted
        agreed = wanted["given"] == 4 and lines[one]["given"] == lines[two]["given"]
        assert (given_name > 0) == agreed


def levels(a: Record, b: Record, of: Mapping[tuple[Domain, int], set[int]]) -> dict[str, int]:
    """The rules, as the comments of ``COMPARISONS`` and the table of bad input have them."""

    def is_near(name: str, other: str | None = None) -> bool:
        left, right, domain = a[name], b[other or name], DOMAIN_OF[name]
        return bool(left != right and of.get((domain, left), set()) & of.get((domain, right), set()))

    def equal(name: str) -> bool:
        return a[name] is not None and a[name] == b[name]

    def plain(name: str, *, close: bool) -> int:
        if a[name] is None or b[name] is None:
            return -1
        return 2 if equal(name) else int(close)

    given_level, family_level = name_level(a, b, "given", is_near, equal), name_level(a, b, "family", is_near, equal)
    one, other = a["given"] == b["family"] is not None, a["family"] == b["given"] is not None
    one_near = is_near("given", "family") or bool(forms(a, "given") & forms(b, "family"))
    other_near = is_near("family", "given") or bool(forms(a, "family") & forms(b, "given"))
    crossed = (4 if one else 3 if other and one_near else 0, 4 if other else 3 if one and other_near else 0)
    if given_level < 2 and family_level < 2 and min(crossed) >= 3:
        given_level, family_level = crossed
    home = equal("number") or equal("city") or equal("postal_code")
    line_crossed = a["street"] is not None and a["street"] == b["second_line"]
    line_crossed |= b["street"] is not None and b["street"] == a["second_line"]
    if home and a["street"] != b["street"] and None not in (a["street"], b["street"]):
        line_crossed |= is_near("street", "second_line") or is_near("second_line", "street")
    street = plain("street", close=line_crossed or (home and is_near("street")))
    area = max(plain(name, close=is_near(name)) for name in ("postal_code", "city"))
    return {
        "given": given_level,
        "family": family_level,
        "birth": birth_level(a, b, is_near, equal),
        "sex": min(1, plain("sex", close=False)),
        "address": address_level(street, area, equal("number")),
        "phone": plain("phone", close=is_near("phone")),
        "second_line": plain("second_line", close=line_crossed or is_near("second_line")),
        "state": min(1, plain("state", close=False)),
        "national_id": plain("national_id", close=is_near("national_id")),
    }


def forms(record: Record, name: str) -> set[int]:
    return set() if record[name] is None else set(record[f"{name}_forms"] or [record[name]])


def name_level(a: Record, b: Record, name: str, near: Any, equal: Any) -> int:
    if a[name] is None or b[name] is None:
        return -1
    if equal(name):
        return 4
    if name == "given" and equal("given_canonical"):
        return 3
    if near(name) or forms(a, name) & forms(b, name):
        return 3
    begins = equal("given_initial") if name == "given" else equal("family_four")
    if name == "given" and (a["is_initial"] or b["is_initial"]):
        return 2 if begins else 0
    return 2 if equal(f"{name}_sound") else int(begins)


def birth_level(a: Record, b: Record, near: Any, equal: Any) -> int:  # noqa: PLR0911 - one for each rule  # noqa: PLR0911 - one per rule
    if a["birth_short_year"] is None or b["birth_short_year"] is None:
        return -1
    other_century = None not in (a["year"], b["year"]) and a["year"] != b["year"]
    if equal("birth"):
        return 1 if other_century else 5
    if None in (a["birth"], b["birth"]):
        return 2 if equal("birth_year_month") else int(equal("birth_short_year"))
    if equal("birth_sorted"):
        return 4
    if near("birth") and not other_century:
        return 3
    if None in (a["birth_month_day"], b["birth_month_day"]):
        return -1
    if any(equal(f"birth_{part}") for part in ("year_month", "year_day", "month_day")):
        return 2
    return int(equal("birth_short_year"))


def address_level(street: int, area: int, number: bool) -> int:  # noqa: FBT001 - a level of its own
    if street == area == -1:
        return -1
    if street == 2 and number and area >= 1:
        return 3 + area
    if street >= 1 and (number or area >= 1):
        return 3
    if street >= 1 or (number and area == 2):
        return 2
    return int(area >= 1)
