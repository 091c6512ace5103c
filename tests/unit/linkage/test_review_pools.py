"""Of whom a link is unsure, and that an owner's answers change its own records and nothing else."""

from __future__ import annotations

import csv
import io
import secrets
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.domain.identity import IDENTITY_COLUMNS
from asepsis.domain.linkage import QualityReport
from asepsis.domain.names import Digest, PartyId
from asepsis.engines.linkage.latent_linking import Engine, LinkOptions
from asepsis.engines.linkage.sealed_linking import link_sealed
from asepsis.engines.linkage.unsure import LEAST, MOST, unsure_nodes
from asepsis.linkage.quality import bits
from asepsis.linkage.worksheet import Reviewed, read_worksheet, write_worksheet

ENGINE = Engine(randomness=secrets.token_bytes, threads=1, memory_limit=1 << 30)
NORTH, SOUTH = PartyId("northgate"), PartyId("riverside")
KINDS = {"person_id": pa.int64(), "birth_date": pa.date32()}
SCHEMA = pa.schema([(name, KINDS.get(name, pa.string())) for name in IDENTITY_COLUMNS])
OWNER_OF = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2], dtype=np.uint8)

edges = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 8), st.sampled_from([-9.0, -3.2, -3.1, -1.0, 0.0, 2.0, 3.1, 3.2, 9.0])),
    max_size=30,
)


def unsure(pairs: list[tuple[int, int, float]]) -> set[int]:
    left, right, weight = (
        np.array([pair[at] for pair in pairs], dtype=kind) for at, kind in enumerate((np.int32, np.int32, np.float64))
    )
    return set(np.flatnonzero(unsure_nodes(left, right, weight, owner_of=OWNER_OF)).tolist())


@given(edges, st.integers(0, 8))
def test_one_record_changes_one_person_of_every_other_owner_at_most(
    pairs: list[tuple[int, int, float]], gone: int
) -> None:
    """Guard: what keeps many invented records from asking after one patient together."""
    changed = unsure(pairs) ^ unsure([pair for pair in pairs if gone not in pair[:2]])
    owners = [int(OWNER_OF[node]) for node in changed if OWNER_OF[node] != OWNER_OF[gone]]
    assert len(owners) == len(set(owners))


def test_a_person_is_unsure_only_between_the_posteriors_and_with_another_owner() -> None:
    assert unsure([(0, 3, bits(LEAST))]) == {0, 3}
    assert unsure([(0, 3, bits(LEAST) - 0.1)]) == set()
    assert unsure([(0, 3, bits(MOST) - 0.1)]) == {0, 3}
    assert unsure([(0, 3, bits(MOST))]) == set()
    assert unsure([(0, 1, 0.0)]) == set()
    assert unsure([]) == set()


def test_a_person_with_a_sure_partner_is_not_unsure_and_many_that_look_like_one_are_one() -> None:
    assert unsure([(0, 3, 0.0), (0, 4, 9.0)]) == set()
    assert unsure([(0, 3, 1.0), (1, 3, 0.5), (2, 3, 0.0)]) == {0, 3}


def person(number: int, **changed: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(IDENTITY_COLUMNS)
    names = ("ALDEN", "BRYCE", "CORWIN", "DELANEY", "EASTON", "FARROW", "GRANGER", "HALSEY", "INGRAM", "JASPER")
    row |= {
        "person_id": number,
        "family_name": names[number % 10] + names[number // 10 % 10].lower(),
        "given_name": names[(number * 7 + number // 10 * 3) % 10],
        "birth_date": date(1930 + number * 37 % 61, 1 + number * 5 % 11, 1 + number * 3 % 28),
        "sex": "FM"[number % 2],
        "address": f"{number} {names[number // 3 % 10]} STREET",
        "city": "BOSTON",
        "postal_code": f"02{number:03}",
    }
    return {**row, **changed}


@pytest.fixture
def hospitals() -> dict[PartyId, pa.Table]:
    """Sixty patients of both; of a few of them one hospital has a wrong birth date and another address."""
    north = [person(number) for number in range(90)]
    south = [person(number) for number in range(30, 120)]
    for row in south[:8]:
        row |= {"birth_date": date(1999, 9, 9), "address": None, "city": None, "postal_code": None}
    return {NORTH: pa.Table.from_pylist(north, SCHEMA), SOUTH: pa.Table.from_pylist(south, SCHEMA)}


def link(tables: dict[PartyId, pa.Table], folder: Path, *, reviews: bool) -> tuple[set[int], QualityReport]:
    """The persons of Riverside who are linked, and the report."""
    output = folder / "links.parquet"
    report = link_sealed(tables, output=output, options=LinkOptions(reviews=reviews), engine=ENGINE)
    rows = pq.read_table(output).to_pylist()
    north = {row["link_id"] for row in rows if row["owner"] == NORTH}
    return {row["person_id"] for row in rows if row["owner"] == SOUTH and row["link_id"] in north}, report


def answered(table: pa.Table, answers: dict[int, tuple[str, str, str]]) -> pa.Table:
    """The identifiers after a review: of each person a field, the answer and the correct value."""
    reviewed = Reviewed(identities=table, manifest=Digest("a" * 64), persons=answers)
    rows = list(csv.reader(io.StringIO(write_worksheet(reviewed))))
    person_of = {reviewed.name(row): table["person_id"][row].as_py() for row in reviewed.rows()}
    for row in rows[1:]:
        field, *said = answers[person_of[row[0]]]
        row[4:] = said if row[2] == field else ["", ""]
    target = io.StringIO()
    csv.writer(target).writerows(rows)
    return read_worksheet(target.getvalue(), reviewed)


def test_the_next_linkage_reads_a_corrected_field_as_it_is_and_a_doubtful_record_as_nobody(
    hospitals: dict[PartyId, pa.Table], tmp_path: Path
) -> None:
    linked, report = link(hospitals, tmp_path, reviews=True)
    asked = set(range(30, 38))
    assert not asked & linked
    assert 50 in linked
    assert set(report.pools) == {NORTH, SOUTH}
    assert set(report.pools[SOUTH].persons) == set(range(30, 120))
    assert report.pools[SOUTH].unsure <= set(range(30, 120))
    assert "pools" not in repr(report)
    assert not [name for name in report.counts() if "pool" in name or "unsure" in name]
    answers = {number: ("birth_date", "corrected", person(number)["birth_date"].isoformat()) for number in asked}
    after = {**hospitals, SOUTH: answered(hospitals[SOUTH], {**answers, 50: ("record", "doubtful", "")})}
    again, without = link(after, tmp_path, reviews=False)
    assert again == (linked | asked) - {50}
    assert not without.pools
