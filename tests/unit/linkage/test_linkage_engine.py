"""The whole linkage run on small identity tables."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.domain.names import PartyId
from asepsis.engines.linkage.identities import read_identities
from asepsis.engines.linkage.latent_linking import Engine, LinkOptions
from asepsis.engines.linkage.person_map import draw_ids
from asepsis.engines.linkage.sealed_linking import link_sealed
from asepsis.errors.linkage import (
    IdentityColumnRefused,
    IdentityUnreadable,
    LinkageExhausted,
    LinkageFailed,
    PersonIdMissing,
    RandomnessRefused,
)

Row = Mapping[str, Any]
Run = Callable[[Mapping[str, Iterable[Row]]], Any]

VERDA: Row = {
    "national_id": "999-50-1766",
    "family_name": "Littel",
    "given_name": "Verda",
    "birth_date": date(1977, 8, 21),
    "birth_date_source": "1977-08-21",
    "sex": "F",
    "address": "7155 Marvin Parade",
    "postal_code": "02112",
    "phone": "555-820-6974",
}


def person(number: int, **changes: Any) -> Row:
    return {**VERDA, "person_id": number, **changes}


def bare(number: int, **changes: Any) -> Row:
    """Without national id, home and phone."""
    return person(number, **{"national_id": None, "address": None, "postal_code": None, "phone": None, **changes})


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"family_name": "X", "given_name": "Y", "sex": None}, {}),
        ({"birth_date": date(1950, 1, 2), "birth_date_source": None}, {"address": None, "phone": None}),
        ({"birth_date": date(1977, 8, 22), "family_name": "Totally-Other"}, {"address": None}),
        ({"national_id": None, "sex": None}, {"national_id": None}),
        ({"national_id": None, "address": None, "phone": None}, {"phone": None}),
        ({"national_id": None, "family_name": "Stiedemann"}, {"previous_family_name": "Stiedemann", "address": None}),
        ({"national_id": None, "family_name": "Littel-West"}, {"address": None, "phone": None}),
        ({"national_id": None, "family_name": "Married"}, {"phone": None}),
        ({"national_id": None, "family_name": "Married"}, {"address": None}),
        ({"national_id": None, "family_name": "Verda", "given_name": "Littel"}, {}),
        ({"national_id": None, "birth_date": date(1977, 4, 7)}, {"birth_date": date(1977, 7, 4), "address": None}),
        ({"national_id": None, "family_name": "Litel", "address": None, "phone": None}, {}),
        ({"national_id": None, "family_name": "Lidell", "address": None, "phone": None}, {}),
        ({"national_id": None, "birth_date": date(1977, 8, 22), "birth_date_source": None, "phone": None}, {}),
        ({"national_id": None, "birth_date": date(1976, 8, 21), "postal_code": None, "address": None}, {}),
        ({"national_id": None, "birth_date_source": "770821", "birth_date": date(1877, 8, 21)}, {}),
    ],
)
def test_one_person_written_in_two_ways_is_found(linked: Run, left: dict[str, Any], right: dict[str, Any]) -> None:
    done = linked({"northgate": [person(1, **left)], "riverside": [person(2, **right)]})
    assert done.together(("northgate", 1), ("riverside", 2))
    assert done.report.links == done.report.persons_in_several_owners == 1


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({}, {"national_id": None, "given_name": "Maria"}),  # twins
        ({}, {"national_id": None, "birth_date": date(1947, 3, 1)}),  # mother and daughter of one name
        ({"address": None, "phone": None}, {"national_id": "999-11-2222"}),  # namesakes of one birth date
        ({}, {"national_id": "999-11-2222", "birth_date": date(1947, 3, 1)}),
        ({"sex": "M", "given_name": "Karl"}, {}),
        ({}, {"family_name": "Other", "given_name": "Maria", "birth_date": date(1947, 3, 1)}),  # a shared id
    ],
)
def test_two_persons_stay_two(linked: Run, left: dict[str, Any], right: dict[str, Any]) -> None:
    done = linked({"northgate": [person(1, **left)], "riverside": [person(2, **right)]})
    assert done.report.persons == 2
    assert done.report.links == 0


def test_twins_are_told_apart_by_the_owner_that_knows_both(linked: Run) -> None:
    twins = [bare(1, given_name="Marie"), bare(2, given_name="Marle")]
    done = linked({"northgate": twins, "riverside": [bare(3, given_name="Marla"), bare(4, given_name="M")]})
    assert done.report.persons == 4


def test_dummies_never_link(linked: Run) -> None:
    dummy = {
        "national_id": "999999999", "family_name": "ZZTEST", "given_name": "DONOTUSE", "phone": "000000000",
        "birth_date": date(1900, 1, 1), "birth_date_source": None, "postal_code": "00000", "address": None, "sex": "M",
    }  # fmt: skip
    nothing = dict.fromkeys(VERDA)
    rows = [{**dummy, "person_id": 1}, {**dummy, "person_id": 2}, {**nothing, "person_id": 3}]
    assert linked({"northgate": rows, "riverside": rows}).report.persons == 6


def test_a_value_that_occurs_far_too_often_is_a_default_of_its_owner(linked: Run) -> None:
    crowd = [person(n, national_id="415926535", given_name="Given" + "abcdefghij"[n], phone=None) for n in range(8)]
    done = linked(
        {"northgate": crowd, "riverside": [person(1, national_id="415926535", given_name="Unseen", phone=None)]}
    )
    assert done.report.dropped["national_id"] == 8
    assert not any(done.together(("northgate", n), ("riverside", 1)) for n in range(8))


def test_two_records_of_one_owner_link_only_where_they_agree_in_much(linked: Run) -> None:
    assert linked({"northgate": [person(1), person(2, national_id=None, phone=None)]}).report.links == 1
    assert linked({"northgate": [bare(1), bare(2, given_name="Maria")]}).report.persons == 2


def test_two_namesakes_at_one_owner_leave_the_link_open(linked: Run) -> None:
    done = linked({"northgate": [bare(1)], "riverside": [bare(2), bare(3, birth_date=date(1977, 8, 12))]})
    assert not done.together(("northgate", 1), ("riverside", 3))


def test_a_person_on_two_lines_of_one_owner_is_one_record(linked: Run) -> None:
    lines = [bare(1, family_name="Stiedemann"), bare(1, family_name="Littel")]
    done = linked({"northgate": lines, "riverside": [bare(2, family_name="Littel")]})
    assert len(done.rows) == 2
    assert done.together(("northgate", 1), ("riverside", 2))


def test_linked_three_owners_share_one_identifier(linked: Run) -> None:
    done = linked({"a": [person(1)], "b": [person(2, national_id=None)], "c": [person(3)], "d": []})
    assert done.together(("a", 1), ("b", 2), ("c", 3))
    assert done.report.links == 3


NAMES = st.sampled_from(["Littel", "Littell", "West", "O'Hara", "unknown", None])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "national_id": st.sampled_from(["999501766", "999501767", "415926535", "999999999", None]),
            "family_name": NAMES,
            "given_name": st.sampled_from(["Verda", "Maria", "Marie", "V", "Bob", "Robert", None]),
            "previous_family_name": st.sampled_from(["West", None]),
            "birth_date": st.sampled_from(
                [date(1977, 8, 21), date(1977, 4, 7), date(1977, 7, 4), date(1950, 1, 2), None]
            ),
            "sex": st.sampled_from(["F", "M", None]),
            "address": st.sampled_from(["7155 Marvin Parade", "1 Main Street", None]),
            "postal_code": st.sampled_from(["02112", None]),
            "phone": st.sampled_from(["5558206974", None]),
        },
    ),
    min_size=1,
    max_size=5,
)
FEW = settings(max_examples=4, deadline=None)


def numbered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "person_id": number} for number, row in enumerate(rows)]


@FEW
@given(ROWS, ROWS)
def test_every_record_is_in_the_map_exactly_once(linked: Run, left: list[Any], right: list[Any]) -> None:
    done = linked({"a": numbered(left), "b": numbered(right)})
    records = [(row["owner"], row["person_id"]) for row in done.rows]
    assert sorted(records) == sorted([("a", n) for n in range(len(left))] + [("b", n) for n in range(len(right))])


@pytest.mark.long
@FEW
@given(ROWS, ROWS, st.data())
def test_order_does_not_change_the_partition(
    linked: Run, left: list[Any], right: list[Any], data: st.DataObject
) -> None:
    first = linked({"a": numbered(left), "b": numbered(right)})
    again = linked(
        {"b": data.draw(st.permutations(numbered(right))), "a": data.draw(st.permutations(numbered(left)))},
    )
    assert first.partition() == again.partition()


def table(**columns: Any) -> pa.Table:
    from asepsis.domain.identity import IDENTITY_COLUMNS  # noqa: PLC0415 - a builder of this file

    plain = {name: pa.array(["1"]) for name in IDENTITY_COLUMNS}
    plain |= {"person_id": pa.array([1]), "birth_date": pa.array([date(2000, 2, 2)])}
    return pa.table({name: value for name, value in (plain | columns).items() if value is not None})


def run(path: Path, **options: Any) -> Any:
    engine = Engine(**{"randomness": secrets.token_bytes, "threads": 1, "memory_limit": 1 << 28, **options})
    owner = PartyId("northgate")
    tables = {owner: read_identities(owner, path)}
    output = path.with_name("map.parquet")
    return link_sealed(tables, output=output, options=LinkOptions(may_be_one=True), engine=engine)


@pytest.mark.parametrize("column", ["phone", "person_id", "birth_date"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    pq.write_table(table(**{column: None}), tmp_path / "a.parquet")
    with pytest.raises(IdentityColumnRefused, match=column):
        run(tmp_path / "a.parquet")


def test_a_wrong_type_is_named(tmp_path: Path) -> None:
    pq.write_table(table(birth_date=pa.array(["2000-02-02"])), tmp_path / "a.parquet")
    with pytest.raises(IdentityColumnRefused, match="birth_date"):
        run(tmp_path / "a.parquet")


def test_a_column_without_any_value_may_have_no_type(tmp_path: Path) -> None:
    pq.write_table(table(phone=pa.nulls(1)), tmp_path / "a.parquet")
    assert run(tmp_path / "a.parquet").records == 1


def test_a_record_without_person_id_is_refused(tmp_path: Path) -> None:
    pq.write_table(table(person_id=pa.array([None], pa.int64())), tmp_path / "a.parquet")
    with pytest.raises(PersonIdMissing):
        run(tmp_path / "a.parquet")


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(IdentityUnreadable):
        run(tmp_path / "a.parquet")
    with pytest.raises(IdentityUnreadable):
        run(tmp_path / "absent.parquet")


def test_too_little_memory_is_said_so(tmp_path: Path) -> None:
    many = 12_000
    names = pa.array([f"name{number}" for number in range(many)])
    columns = dict.fromkeys(("family_name", "given_name", "address", "mrn"), names)
    empty = ("national_id", "previous_family_name", "birth_date_source", "sex", "city", "postal_code", "phone")
    nothing = {name: pa.nulls(many, pa.string()) for name in empty}
    pq.write_table(
        table(person_id=pa.array(range(many)), birth_date=pa.array([date(2000, 2, 2)] * many), **columns, **nothing),
        tmp_path / "a.parquet",
    )
    with pytest.raises(LinkageExhausted):
        run(tmp_path / "a.parquet", memory_limit=2 << 20)


def test_a_map_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "a.parquet")
    (tmp_path / "map.parquet").mkdir()
    with pytest.raises(LinkageFailed):
        run(tmp_path / "a.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "map.parquet"]


def test_link_identifiers_are_distinct_and_of_62_bits() -> None:
    drawn = draw_ids(5000, randomness=secrets.token_bytes)
    assert len(set(drawn)) == 5000
    assert all(0 <= number < 1 << 62 for number in drawn)
    assert max(drawn) > 1 << 60


@pytest.mark.parametrize("randomness", [bytes, lambda _: b"1"], ids=["the same", "too little"])
def test_poor_randomness_is_refused(randomness: Callable[[int], bytes]) -> None:
    with pytest.raises(RandomnessRefused):
        draw_ids(2, randomness=randomness)


def test_counts_name_every_category_once(linked: Run) -> None:
    counts = linked({"northgate": [person(1)], "riverside": [person(2)]}).report.counts()
    assert counts["links"] == counts["persons_in_several_owners"] == counts["rate.riverside.all.linked"] == 1
    assert all(isinstance(number, int) for number in counts.values())
