# ruff: noqa: E501 - statements read better on one line
"""How often attacks on statistical disclosure control are right: measured in neighbouring worlds of many data sets.

Every attack is run in two worlds that differ in whether the target has the diagnosis, by two attackers: one who only
can describe the target and subtracts answers, and one who also knows everybody else's records. Accuracy is that of
the best guess: 0.50 is a coin. Beside it stands the same attack on thresholds and rounding alone, without the memory
of releases: the baseline. ``ASEPSIS_BENCH_DATA_SETS`` sets the number of data sets (default 10).
"""

from __future__ import annotations

import itertools
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import highspy
import numpy as np

from asepsis.disclosure.gate import assess
from asepsis.disclosure.profiles import Profile, profile_named
from asepsis.domain.release import Cell
from asepsis.services.rehearsal import Step
from asepsis.sql import plan_query

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from attack_runner import Deployment, Rooms, accuracy
from attack_worlds import CATALOGUE, HIV

DATA_SETS = int(os.environ.get("ASEPSIS_BENCH_DATA_SETS", "10"))
PERSONS = 8_000
PROFILE = profile_named("strict-10")
COUNT = f"SELECT count(DISTINCT c.person_id) AS n FROM condition_occurrence c JOIN person p USING (person_id) WHERE c.condition_concept_id = {HIV}"
TARGETED = "(p.year_of_birth = 1931 AND p.gender_concept_id = 8532 AND p.location_id = 77)"
ALL_BUT = f"AND NOT {TARGETED}"
AROUND = (
    "", " AND p.gender_concept_id = 8532", " AND p.race_concept_id IN (8557, 8527)", " AND p.location_id IN (70, 71, 72, 73, 77)",
    " AND p.year_of_birth < 1990", " AND p.gender_concept_id = 8532 AND p.year_of_birth < 1990", " AND p.location_id IN (77, 74, 75, 76, 78, 79)",
    " AND EXISTS (SELECT 1 FROM visit_occurrence v WHERE v.person_id = p.person_id AND v.visit_concept_id = 9202)",
    " AND EXISTS (SELECT 1 FROM measurement m WHERE m.person_id = p.person_id AND m.measurement_concept_id = 3016723)",
    " AND p.race_concept_id IN (8557, 8527) AND p.year_of_birth < 1990",
)  # fmt: skip
"""Sets of persons that the target is one of: each gives a pair of its own, with her and without her."""

ATTACKS: dict[str, tuple[str, ...]] = {
    "one count": (COUNT,),
    "one count, asked 20 times in 5 wordings": tuple(
        f"{COUNT} AND {'1 = 1 AND ' * place}TRUE" for place in range(5) for _ in range(4)
    ),
    "a pair, with and without the target": (COUNT, f"{COUNT} {ALL_BUT}"),
    "the pair backwards": (f"{COUNT} {ALL_BUT}", COUNT),
    "three pairs": tuple(f"{COUNT}{around}{out}" for around in AROUND[:3] for out in ("", f" {ALL_BUT}")),
    "ten pairs": tuple(f"{COUNT}{around}{out}" for around in AROUND for out in ("", f" {ALL_BUT}")),
    "a tracker": (
        COUNT,
        f"{COUNT} AND ({TARGETED} OR p.gender_concept_id = 8507)",
        f"{COUNT} AND ({TARGETED} OR p.gender_concept_id <> 8507)",
    ),
    "exclusion by EXISTS": (
        COUNT,
        f"{COUNT} AND NOT EXISTS (SELECT 1 FROM person q WHERE q.person_id = c.person_id AND q.location_id = 77)",
    ),
    "five partitions of one total": tuple(
        COUNT.replace("SELECT ", f"SELECT p.{key}, ") + " GROUP BY 1"
        for key in ("gender_concept_id", "race_concept_id", "location_id", "care_site_id", "year_of_birth")
    ),
    "a mean of the target's value": (
        "SELECT avg(m.value_as_number) AS a FROM measurement m WHERE m.measurement_concept_id = 3010813",
        f"SELECT avg(m.value_as_number) AS a FROM measurement m JOIN person p USING (person_id) WHERE m.measurement_concept_id = 3010813 {ALL_BUT}",
    ),
}
Seen = list[tuple[tuple[Cell, ...], ...]]
PAIRED = {name for name in ATTACKS if "pair" in name or name.startswith(("exclusion", "a mean"))}
TABLE = COUNT.replace("SELECT ", "SELECT p.gender_concept_id AS g, p.care_site_id AS s, ") + " GROUP BY 1, 2"
MARGINS = (
    COUNT.replace("SELECT ", "SELECT p.gender_concept_id AS g, ") + " GROUP BY 1",
    COUNT.replace("SELECT ", "SELECT p.care_site_id AS s, ") + " GROUP BY 1",
    COUNT,
)


def with_memory(rooms: Rooms, world: str, texts: Sequence[str]) -> Seen:
    """What a researcher sees of every step in a fresh room."""
    steps = tuple(Step(sql=text, arguments={}, author="mallory") for text in texts)
    return [tuple(map(tuple, answer["rows"])) for answer in Deployment(rooms=rooms, world=world).rehearsal().run(steps)]


def without(rooms: Rooms, world: str, texts: Sequence[str]) -> Seen:
    """The same by thresholds and rounding alone: the baseline."""
    seen: Seen = []
    for text in texts:
        plan = plan_query(text, CATALOGUE).plan
        released = None if plan is None else assess(rooms.room(world).cells(plan), plan.shape, PROFILE).released
        seen.append(() if released is None else released.rows)
    return seen


def estimate(seen: Seen, name: str) -> float | None:
    """How many persons the target is: each first answer less the second one, or the tracker's formula."""
    values = [float(str(step[0][0])) if len(step) == 1 else None for step in seen]
    if name == "a tracker":
        whole, left, right = values
        return None if whole is None or left is None or right is None else left + right - whole
    pairs = zip(values[::2], values[1::2], strict=False) if name in PAIRED else ()
    apart = [one - other for one, other in pairs if one is not None and other is not None]
    return abs(sum(apart)) if apart else None


def guessed(left: Sequence[Seen], right: Sequence[Seen], name: str) -> float:
    """The accuracy of an attacker who subtracts: the target is there if anything is left; a coin without an answer."""
    hits = []
    for worlds, there in ((left, True), (right, False)):
        for seen in worlds:
            found = estimate(seen, name)
            hits.append(0.5 if found is None else float((found > 0) is there))
    return sum(hits) / len(hits)


def differences(worlds: Sequence[Rooms]) -> None:
    """Two worlds, one person: the accuracy of every attack, with the memory and without it."""
    print(
        f"accuracy of the best guess whether the target has the diagnosis, {len(worlds)} data sets of {PERSONS} persons"
    )
    print(f"{'':42} {'by subtraction':>24}   {'knowing everybody else':>24}")
    print(f"{'attack':42} {'room':>8} {'rounding alone':>15}   {'room':>8} {'rounding alone':>15}   answered")
    for name, texts in ATTACKS.items():
        room = [[with_memory(rooms, world, texts) for rooms in worlds] for world in "AB"]
        alone = [[without(rooms, world, texts) for rooms in worlds] for world in "AB"]
        known = [accuracy([str(seen) for seen in left], [str(seen) for seen in right]) for left, right in (room, alone)]
        plain = [guessed(left, right, name) for left, right in (room, alone)]
        answered = sum(bool(step) for seen in room[0] for step in seen) / sum(len(seen) for seen in room[0])
        print(f"{name:42} {plain[0]:8.2f} {plain[1]:15.2f}   {known[0]:8.2f} {known[1]:15.2f}   {answered:8.2f}")


def bounds(rows: tuple[tuple[Cell, ...], ...], profile: Profile) -> Iterator[tuple[tuple[Cell, ...], int, int]]:
    """What every shown count says: its keys, least and most persons."""
    for row in rows:
        low, high = profile.bounds(int(str(row[-1])))
        yield row[:-1], low, high


def reconstructed(rooms: Rooms, *, memory: bool) -> list[tuple[float, int]]:
    """Linear programs over a table and all its margins: the width that is left for every withheld cell, and its truth."""
    seen = (with_memory if memory else without)(rooms, "A", (TABLE, *MARGINS))
    truth = {(row["g"], row["s"]): int(row["n"]) for row in rooms.room("A").statement(TABLE).unseal().to_pylist()}
    cells = list(itertools.product((8507, 8532), range(1, 10)))
    program: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    program.setOptionValue("output_flag", False)  # noqa: FBT003 - the solver's interface
    program.addVars(len(cells), np.zeros(len(cells)), np.full(len(cells), float(PERSONS)))
    shown = set()
    for place, rows in enumerate(seen):
        for keys, low, high in bounds(rows, PROFILE):
            members = [number for number, cell in enumerate(cells) if _inside(cell, keys, place)]
            program.addRow(low, high, len(members), np.array(members, np.int32), np.ones(len(members)))
            shown |= {cells[members[0]]} if place == 0 else set()
    left: list[tuple[float, int]] = []
    for number in (number for number, cell in enumerate(cells) if cell not in shown):
        ends = []
        for sense in (highspy.ObjSense.kMinimize, highspy.ObjSense.kMaximize):
            program.changeColCost(number, 1.0)
            program.changeObjectiveSense(sense)
            program.run()
            ends.append(program.getInfo().objective_function_value)
        program.changeColCost(number, 0.0)
        left.append((math.floor(ends[1] + 1e-6) - math.ceil(ends[0] - 1e-6), truth.get(cells[number], 0)))
    return left


def _inside(cell: tuple[int, int], keys: tuple[Cell, ...], place: int) -> bool:
    columns = ((0, 1), (0,), (1,), ())[place]
    return all(cell[column] == key for column, key in zip(columns, keys, strict=True))


def reconstruction(worlds: Sequence[Rooms]) -> None:
    """Withheld cells of a table of 18 cells and three margins, from all that was shown."""
    print("withheld cells of a table by sex and care site, from the table and all its margins by linear programs")
    for name, memory in (("room", True), ("rounding alone", False)):
        found = [one for rooms in worlds for one in reconstructed(rooms, memory=memory)]
        widths = sorted(width for width, _ in found)
        if not widths:
            print(f"{name:16} nothing was withheld")
            continue
        exact = sum(width == 0 for width in widths)
        print(
            f"{name:16} {len(widths)} withheld, {exact} recovered exactly, narrowest interval {widths[0]:.0f} persons, median {widths[len(widths) // 2]:.0f}"
        )


def main() -> None:
    """Measure and print."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        worlds = [Rooms(folder=Path(folder) / str(seed), seed=seed, persons=PERSONS) for seed in range(DATA_SETS)]
        for rooms in worlds:
            rooms.folder.mkdir()
        differences(worlds)
        reconstruction(worlds)
        for rooms in worlds:
            rooms.close()
    print(f"{time.process_time() - began:.0f} s of processor time")


if __name__ == "__main__":
    main()
