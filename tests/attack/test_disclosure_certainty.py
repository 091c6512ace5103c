"""One question by links of several certainties: what the answers differ by is a cell of its own, and as protected.

Under stricter links a patient of two hospitals may count twice. So the same count by two certainties tells how many
patients with something are linked weakly, and a count by one, less a count by the other with one patient left out,
tells of that patient. Two hospitals of made-up patients; the whole way of a question: text, plan, cells and
contributors from the engine, gate with memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asepsis.disclosure.gate import Assessed
from asepsis.disclosure.memory import Memory
from asepsis.disclosure.profiles import profile_named
from asepsis.disclosure.releasing import Asking, assess_with_memory
from asepsis.domain.catalogue import Catalogue, ColumnType
from asepsis.domain.names import PartyId
from asepsis.engines.query.loading import LinkMap
from asepsis.engines.query.room import QueryRoom
from asepsis.sql import plan_query
from asepsis.sql.omop import omop_catalogue

NORTH, SOUTH = PartyId("north"), PartyId("south")
DISEASE = 201826
TARGET = 399
CATALOGUE: Catalogue = omop_catalogue(
    {
        "person": [("person_id", ColumnType.INTEGER), ("gender_concept_id", ColumnType.INTEGER)],
        "condition_occurrence": [
            ("person_id", ColumnType.INTEGER),
            ("condition_concept_id", ColumnType.INTEGER),
            ("condition_start_date", ColumnType.DATE),
        ],
    }
)
STRICT = profile_named("strict-10")
ILL = f"SELECT count(DISTINCT person_id) AS n FROM condition_occurrence WHERE condition_concept_id = {DISEASE}"
ILL_MEN = (
    "SELECT count(DISTINCT c.person_id) AS n FROM condition_occurrence c JOIN person p USING (person_id) "
    f"WHERE c.condition_concept_id = {DISEASE} AND p.gender_concept_id = 8507"
)


@dataclass
class Hospitals:
    """Who is ill at which hospital, and which patients are weakly linked: number n of the one is n of the other.

    Everybody but the target is a man. The patients 1 to 300 are in both registers.
    """

    folder: Path
    ill: dict[PartyId, list[int]]
    weak: range
    memory: Memory = field(default_factory=lambda: Memory(key=bytes(32)))
    rooms: dict[int, QueryRoom] = field(default_factory=dict)

    def ask(self, text: str, certainty: int) -> Assessed:
        """What the author of a question gets, by the links that are at least this sure; half is what all agreed on."""
        room = self.rooms.setdefault(certainty, self._open(certainty))
        plan = plan_query(text, CATALOGUE).plan
        assert plan is not None
        cells, behind = room.cells_and_contributors(plan, least=STRICT.threshold, needs=STRICT.needs)
        asking = Asking(author="alice", question=f"{text}@{certainty}", data=f"links of {certainty}")
        assessed, self.memory = assess_with_memory(cells, behind, plan.shape, STRICT, memory=self.memory, asking=asking)
        return assessed

    def _open(self, certainty: int) -> QueryRoom:
        numbers = {NORTH: range(1, 400), SOUTH: range(1, 301)}
        rows = [
            {
                "owner": owner,
                "person_id": number,
                "link_id": number,
                "link_id_90": number if owner == NORTH or number not in self.weak else 1000 + number,
            }
            for owner, persons in numbers.items()
            for number in persons
        ]
        persons = {
            owner: [{"person_id": one, "gender_concept_id": 8532 if one == TARGET else 8507} for one in numbers[owner]]
            for owner in numbers
        }
        conditions = {
            owner: [{"person_id": one, "condition_concept_id": DISEASE} for one in self.ill[owner]] for owner in numbers
        }
        person = {50: "link_id", 90: "link_id_90"}[certainty]
        links = LinkMap(path=self._write("links", rows), person=person, whole="link_id")
        room = QueryRoom(threads=1)
        for table, by_owner in (("person", persons), ("condition_occurrence", conditions)):
            files = {owner: self._write(f"{table}-{owner}", found) for owner, found in by_owner.items()}
            described = CATALOGUE.table(table)
            assert described is not None
            room.load(described, files, links)
        room.lock()
        return room

    def _write(self, name: str, rows: list[dict[str, Any]]) -> Path:
        path = self.folder / f"{name}.parquet"
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path


Make = Callable[..., Hospitals]


@pytest.fixture
def hospitals(tmp_path: Path) -> Iterator[Make]:
    made: list[Hospitals] = []

    def make(*, north: list[int], south: list[int], weak: range) -> Hospitals:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Hospitals(folder=folder, ill={NORTH: north, SOUTH: south}, weak=weak))
        return made[-1]

    yield make
    for one in made:
        for room in one.rooms.values():
            room.close()


def shown(assessed: Assessed) -> Any:
    return None if assessed.released is None else assessed.released.rows


@pytest.mark.parametrize("order", [(50, 90), (90, 50)])
def test_one_patient_who_is_linked_weakly_looks_like_nobody(hospitals: Make, order: tuple[int, int]) -> None:
    """Guard: cells by other links are other cells of other data, so nobody in between is as near as one patient."""
    ill = list(range(250, 350))
    seen = []
    for weak in (range(0), range(260, 261), range(260, 262)):
        world = hospitals(north=ill, south=[one for one in ill if one <= 300], weak=weak)
        answers = [world.ask(ILL, certainty) for certainty in order]
        seen.append([(shown(one), one.assessment) for one in answers])
    assert [rows for rows, _ in seen[0]] == [((100,),), None]
    assert seen[0] == seen[1] == seen[2]


def test_what_many_patients_change_is_shown(hospitals: Make) -> None:
    world = hospitals(north=list(range(200, 300)), south=list(range(200, 300)), weak=range(240, 280))
    assert [shown(world.ask(ILL, certainty)) for certainty in (50, 90)] == [((100,),), ((140,),)]


def test_a_patient_cannot_be_left_out_under_other_links(hospitals: Make) -> None:
    """Guard: parts of patients have their patients' names. By the names of the hospitals' records, the two groups would
    be eighty apart: forty were ill as records of the north, and the same forty as records of the south."""
    world = hospitals(north=[*range(301, 360), TARGET], south=list(range(200, 240)), weak=range(200, 240))
    assert shown(world.ask(ILL, 50)) == ((100,),)
    assert shown(world.ask(ILL_MEN, 90)) is None


def test_few_patients_are_not_many_because_they_count_twice(hospitals: Make) -> None:
    """Guard: a cell is no larger than the patients that the agreed links find in it."""
    few = list(range(200, 208))
    assert shown(hospitals(north=few, south=few, weak=range(200, 208)).ask(ILL, 90)) is None
    enough = list(range(200, 220))
    assert shown(hospitals(north=enough, south=enough, weak=range(200, 220)).ask(ILL, 90)) == ((40,),)
