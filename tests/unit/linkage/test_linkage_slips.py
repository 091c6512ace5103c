"""Slips of the pen: what is mistyped still tells who it is, and how far another record is better tells it, too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from asepsis.domain.identity import IDENTITY_COLUMNS
from asepsis.domain.names import PartyId
from asepsis.engines.linkage.lines import Ids, load
from asepsis.engines.linkage.near import NEAR, NearByTexts, NearByVariants
from asepsis.linkage import normalise
from asepsis.linkage.best_first import AHEAD, CLEAR, Acceptable, Edges, acceptable
from asepsis.linkage.key import LinkKey
from asepsis.linkage.token_fields import DOMAIN_OF, Domain
from asepsis.linkage.tokens import TokenTable, tokenise

KEY = LinkKey(secret=b"k" * 32, epoch=1)
PERSON = {"given_name": "Verda", "family_name": "Littel", "birth_date": date(1977, 8, 21)}
SCHEMA = pa.schema(
    [(name, {"person_id": pa.int64(), "birth_date": pa.date32()}.get(name, pa.string())) for name in IDENTITY_COLUMNS]
)


def tokens(*rows: Mapping[str, Any]) -> TokenTable:
    numbered = [{"person_id": at, **row} for at, row in enumerate(rows)]
    return tokenise(pa.Table.from_pylist(numbered, schema=SCHEMA), key=KEY, keep_texts=True)


def nearness(name: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[int, int]:
    """How near two records are in a column: by tokens, and by texts."""
    tables = {PartyId("north"): tokens(one), PartyId("river"): tokens(other)}
    lines = load(tables, free=frozenset())
    left, right = (lines.columns[name][at : at + 1] for at in (0, 1))
    domain = Domain(DOMAIN_OF[name])
    by_tokens = NearByVariants(lines, [table.variants for table in tables.values()], threads=1)
    with duckdb.connect() as connection:
        texts = [table.texts for table in tables.values() if table.texts is not None]
        by_texts = NearByTexts(lines, texts, connection, names=by_tokens)
        return int(by_tokens(domain, left, right)[0]), int(by_texts(domain, left, right)[0])


@pytest.mark.parametrize("column", ["national_id", "postal_code"])
def test_two_neighbours_exchanged_are_one_slip(column: str) -> None:
    assert nearness(column, {column: "4137787"}, {column: "4137877"}) == (NEAR, NEAR)
    assert nearness(column, {column: "4137787"}, {column: "4138777"})[1] == 0


def test_dates_are_near_with_one_digit_wrong_or_two_neighbours_exchanged() -> None:
    born = {"birth_date": date(1943, 4, 7)}
    assert nearness("birth", born, {"birth_date": date(1943, 4, 17)}) == (NEAR, NEAR)
    assert nearness("birth", born, {"birth_date": date(1934, 4, 7)}) == (NEAR, NEAR)
    assert nearness("birth", born, {"birth_date_source": "19403407"}) == (NEAR, NEAR)
    assert nearness("birth", born, {"birth_date": date(1954, 4, 7)}) == (0, 0)


@pytest.mark.parametrize(
    ("written", "damaged", "partial"),
    [
        ("19403407", "19403407", None),
        ("1968-19-06", "19681906", None),
        ("1975-02-31", "19750231", None),
        ("19430407", None, None),
        ("19430400", None, "194304"),
        ("1943-00-00", None, "1943"),
        ("19439999", None, "1943"),
        ("31.02.1975", None, None),
        ("00000000", None, None),
    ],
)
def test_a_date_of_no_calendar_is_kept_and_an_unknown_part_is_none(
    written: str, damaged: str | None, partial: str | None
) -> None:
    assert normalise.damaged_birth(written) == damaged
    assert normalise.partial_birth(written) == partial


def test_a_damaged_date_has_no_parts_that_agree() -> None:
    row = tokens({"birth_date_source": "19403407"}).records.to_pylist()[0]
    assert row["birth"] is not None
    assert [row[f"birth_{part}"] for part in ("year_month", "year_day", "month_day")] == [None] * 3


def test_a_damaged_date_that_many_share_is_a_default() -> None:
    many = [{"birth_date_source": "19403407", "given_name": f"Given{chr(97 + at)}"} for at in range(25)]
    assert tokens(*many).dropped["birth"] == 25


def test_spaces_of_places_do_not_matter() -> None:
    one, other = (
        {"city": "Green Field", "address": "3 Wright Place"},
        {"city": "Greenfield", "address": "3 Wrigh tplace"},
    )
    left, right = (tokens(row).records.to_pylist()[0] for row in (one, other))
    assert left["city"] == right["city"]
    assert left["street"] == right["street"]


def test_a_mistyped_short_form_is_near_the_name_and_not_near_its_neighbours() -> None:
    assert nearness("given", {"given_name": "James"}, {"given_name": "Jixm"}) == (NEAR, 2)
    assert nearness("given", {"given_name": "Christopher"}, {"given_name": "Chris"})[0] == NEAR
    assert nearness("given", {"given_name": "Marie"}, {"given_name": "Marla"})[0] == 0


def test_an_id_that_one_person_has_in_many_records_is_no_default() -> None:
    often = [{**PERSON, "national_id": "415926535"} for _ in range(8)]
    assert tokens(*often).dropped["national_id"] == 0
    others = [{**row, "given_name": "Given" + "abcdefgh"[at]} for at, row in enumerate(often)]
    assert tokens(*others).dropped["national_id"] == 8
    nameless = [{"national_id": "415926535"} for _ in range(8)]
    assert tokens(*nameless).dropped["national_id"] == 8


SHORT, BETTER = 50, 9.0


def ranked(*, has_rivals: bool) -> Acceptable:
    """Sure edges that stand alone or not, and edges that just fall short, half of which have far better ones."""
    sure = [(at, at + 1, BETTER + 3) for at in range(0, 2 * SHORT, 2)]
    short, base = [], 2 * SHORT
    for at in range(SHORT):
        short.append((base, base + 1, -0.4))
        short += [(base, base + 3, BETTER)] if at % 2 else []
        base += 4
    if has_rivals:
        sure += [(left, base + right, BETTER + 3 - AHEAD - 1) for left, right, _ in sure]
        base *= 2
    owners = np.array([node % 2 for node in range(base)], dtype=np.uint8)
    return acceptable(Edges.of(short + sure), owners=owners, is_free=np.zeros(base, np.bool_), threshold=0.0)


def test_an_edge_that_stands_alone_is_worth_more_where_sure_ones_do() -> None:
    found = ranked(has_rivals=False)
    kept = {weight for _, _, weight in found.edges if weight < BETTER}
    assert len(kept) == 1
    assert 0 < kept.pop() <= -0.4 - CLEAR


def test_an_edge_that_stands_alone_is_worth_nothing_where_sure_ones_do_not() -> None:
    assert not [weight for _, _, weight in ranked(has_rivals=True).edges if weight < AHEAD]


def test_an_edge_that_is_far_behind_another_is_worth_less() -> None:
    edges = [(at, at + 1, 12.0) for at in range(0, 100, 2)] + [(0, 103, 1.0), (2, 105, -1.0), (4, 107, -1.0)]
    owners: Ids = np.array([node % 2 for node in range(110)], dtype=np.int32)
    found = acceptable(Edges.of(edges), owners=owners, is_free=np.zeros(110, np.bool_), threshold=0.0)
    assert len(found.edges) == 50
    assert all(weight >= 12.0 for _, _, weight in found.edges)
