"""The essential lists: which rows they take, as of an instant, and that the runtime takes no other lists or cohort."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asepsis.domain.continuity import ContinuityTerms, EssentialList, Essentials, Limits, ListTerms, WhenStale
from asepsis.domain.names import PartyId
from asepsis.domain.sealed import Sealed
from asepsis.engines.referral.essentials import essential_lists
from asepsis.engines.referral.rows import essential_rows
from asepsis.errors.contract import ContractForbids
from asepsis.runtime.referring import _rows

AS_OF = datetime(2026, 6, 10, 18, tzinfo=UTC)
TODAY = AS_OF.date()
WARD = PartyId("ward")


def day(ago: int | None) -> date | None:
    return None if ago is None else TODAY - timedelta(days=ago)


def write(folder: Path, name: str, columns: Mapping[str, list[Any]]) -> Path:
    path = folder / f"{name}.parquet"
    pq.write_table(pa.table(dict(columns)), path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each row is named by what should become of it; person 2 is not in the cohort, nor is person 3 the ward's own."""
    folder = tmp_path_factory.mktemp("tables")

    def spans(prefix: str, concept: str, rows: list[tuple[str, int, int | None]]) -> dict[str, list[Any]]:
        return {
            "person_id": [2 if name == "stranger" else 1 for name, _, _ in rows],
            f"{prefix}_start_date": pa.array([day(start) for _, start, _ in rows], pa.date32()),
            f"{prefix}_end_date": pa.array([day(end) for _, _, end in rows], pa.date32()),
            concept: [7] * len(rows),
            "name": [name for name, _, _ in rows],
        }

    stays = [("in", 3, 0), ("open", 9, None), ("left", 9, 1), ("later", -1, None), ("stranger", 3, 0)]
    drugs = [("in", 20, 5), ("open", 300, None), ("over", 30, 11), ("later", -1, None), ("stranger", 3, 0)]
    problems = [("open", 900, None), ("over", 900, 1), ("until today", 900, 0), ("later", -2, None)]
    results = [("new", 0, None), ("third", 3, None), ("old", 4, None), ("later", -1, None), ("stranger", 0, None)]
    labs = spans("measurement", "measurement_concept_id", results)
    labs["measurement_date"] = labs.pop("measurement_start_date")
    return {
        "identity": write(folder, "identity", {"person_id": [1, 2, 3], "name": ["one", "two", "three"]}),
        "visit_occurrence": write(folder, "visits", spans("visit", "visit_concept_id", stays)),
        "drug_exposure": write(folder, "drugs", spans("drug_exposure", "drug_concept_id", drugs)),
        "condition_occurrence": write(folder, "problems", spans("condition", "condition_concept_id", problems)),
        "measurement": write(folder, "labs", labs),
    }


def listed(files: Mapping[str, Path], lists: Mapping[EssentialList, ListTerms]) -> dict[str, Any]:
    people: Sealed[pa.Table] = Sealed(pa.table({"owner": ["ward", "other"], "person_id": [1, 3]}))
    rows = essential_lists(lists, as_of=AS_OF)
    document: dict[str, Any] = json.loads(essential_rows(people, rows, owner=WARD, as_of=AS_OF, files=files).unseal())
    return document


@pytest.mark.parametrize(
    ("name", "terms", "names"),
    [
        (EssentialList.CENSUS, ListTerms(), {"in", "open"}),
        (EssentialList.CENSUS, ListTerms(days=1), {"in", "open", "left"}),
        (EssentialList.ACTIVE_MEDICATION, ListTerms(days=10), {"in", "open"}),
        (EssentialList.ACTIVE_MEDICATION, ListTerms(), {"open"}),
        (EssentialList.PROBLEMS, ListTerms(), {"open", "until today"}),
        (EssentialList.PROBLEMS, ListTerms(concepts=(8,)), set()),
        (EssentialList.RECENT_LABS, ListTerms(days=3), {"new", "third"}),
        (EssentialList.RECENT_LABS, ListTerms(days=3, concepts=(7, 8)), {"new", "third"}),
        (EssentialList.ALLERGIES, ListTerms(concepts=(7,)), {"open", "over", "until today"}),
    ],
)
def test_a_list_has_the_rows_of_its_time_and_concepts_and_of_the_cohorts_own_patients(
    files: dict[str, Path], name: EssentialList, terms: ListTerms, names: set[str]
) -> None:
    document = listed(files, {name: terms})
    assert {row["name"] for row in document["tables"][name.value]} == names
    assert {row["name"] for row in document["tables"]["identity"]} == {"one"}
    assert (document["says"], document["missing"]) == ("DATA AS OF 2026-06-10 18:00 UTC", [])


def test_a_list_whose_table_nobody_contributed_is_named_as_missing(files: dict[str, Path]) -> None:
    without = {name: path for name, path in files.items() if name != "measurement"}
    document = listed(without, {EssentialList.RECENT_LABS: ListTerms(), EssentialList.CENSUS: ListTerms()})
    assert document["missing"] == ["recent_labs"]


LIMITS = Limits(
    most_age=timedelta(hours=1), when_stale=WhenStale.STAMP, rpo=timedelta(hours=1), rto=timedelta(minutes=1)
)
ESSENTIALS = Essentials(responsible="r", cohort="SELECT 1", lists={EssentialList.CENSUS: ListTerms()}, limits=LIMITS)
TERMS = ContinuityTerms(lead=PartyId("lead"), analyses=(), essentials=ESSENTIALS)
ASKED = ESSENTIALS.analysis(TERMS.lead)


@pytest.mark.parametrize(
    ("terms", "analysis", "taken_at"),
    [
        (None, ASKED, AS_OF),
        (replace(TERMS, essentials=None), ASKED, AS_OF),
        (TERMS, replace(ASKED, body="SELECT 2"), AS_OF),
        (TERMS, replace(ASKED, author=PartyId("other")), AS_OF),
        (TERMS, ASKED, None),
    ],
    ids=["no clause", "no essentials", "another cohort", "another author", "of unknown age"],
)
def test_the_runtime_seals_no_other_essentials_than_the_contracts(
    files: dict[str, Path], terms: ContinuityTerms | None, analysis: Any, taken_at: datetime | None
) -> None:
    """Guard: owners approve a digest; the runtime itself compares what is asked with what all have signed."""
    people: Sealed[pa.Table] = Sealed(pa.table({"owner": ["ward"], "person_id": [1]}))
    manifest = SimpleNamespace(owner=WARD, origin=SimpleNamespace(taken_at=taken_at))
    order: Any = SimpleNamespace(
        contract=SimpleNamespace(name="room", continuity=terms),
        job=SimpleNamespace(analysis=analysis),
        held=lambda _: [SimpleNamespace(manifest=manifest)],
    )
    with pytest.raises(ContractForbids):
        _rows(order, WARD, people=people, files=files)
