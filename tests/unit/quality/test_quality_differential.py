"""Five checks in plain Python, written from their descriptions alone, against the engine on any tables."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from quality_world import TODAY, of, write_tables

from asepsis.engines.quality import assess_quality

DAYS = st.one_of(st.none(), st.dates(date(1948, 1, 1), date(1953, 1, 1)))
IDS = st.integers(1, 4)
ROWS = st.fixed_dictionaries(
    {
        "person": st.lists(
            st.fixed_dictionaries(
                {
                    "person_id": IDS,
                    "year_of_birth": st.one_of(st.none(), st.integers(1948, 1952)),
                    "month_of_birth": st.one_of(st.none(), st.integers(1, 12)),
                }
            ),
            max_size=4,
            unique_by=lambda row: row["person_id"],
        ),
        "condition_occurrence": st.lists(
            st.fixed_dictionaries(
                {
                    "condition_occurrence_id": st.one_of(st.none(), st.integers(1, 6)),
                    "person_id": st.one_of(st.none(), IDS),
                    "condition_start_date": DAYS,
                    "condition_concept_id": st.one_of(st.none(), st.integers(0, 2)),
                    "condition_source_value": st.one_of(st.none(), st.sampled_from(["a", "b", "c", ""])),
                }
            ),
            max_size=8,
        ),
        "death": st.lists(
            st.fixed_dictionaries({"person_id": IDS, "death_date": DAYS}),
            max_size=3,
            unique_by=lambda r: r["person_id"],
        ),
        "observation_period": st.lists(
            st.fixed_dictionaries(
                {
                    "person_id": IDS,
                    "observation_period_start_date": st.dates(date(1950, 1, 1), date(1950, 1, 20)),
                    "days": st.integers(0, 5),
                }
            ),
            max_size=5,
        ),
    }
)
Rows = dict[str, list[dict[str, Any]]]
CONDITION = "condition_occurrence"


def missing(rows: Rows) -> tuple[int, int]:
    of_table = rows[CONDITION]
    return sum(row["condition_start_date"] is None for row in of_table), len(of_table)


def doubled(rows: Rows) -> tuple[int, int]:
    keys = Counter(row["condition_occurrence_id"] for row in rows[CONDITION])
    return sum(n for key, n in keys.items() if key is not None and n > 1), len(rows[CONDITION])


def before_birth(rows: Rows) -> tuple[int, int]:
    born = {
        row["person_id"]: date(row["year_of_birth"], row["month_of_birth"] or 1, 1)
        for row in rows["person"]
        if row["year_of_birth"]
    }
    dated = [row for row in rows[CONDITION] if row["condition_start_date"]]
    return sum(row["condition_start_date"] < born.get(row["person_id"], date.min) for row in dated), len(dated)


def after_death(rows: Rows) -> tuple[int, int]:
    died = {row["person_id"]: row["death_date"] for row in rows["death"] if row["death_date"]}
    dated = [row for row in rows[CONDITION] if row["condition_start_date"] and row["person_id"] in died]
    late = [row for row in dated if row["condition_start_date"] > died[row["person_id"]] + timedelta(days=60)]
    return len(late), len(dated)


def unmapped(rows: Rows) -> tuple[int, int]:
    codes = {row["condition_source_value"] for row in rows[CONDITION]}
    return len({row["condition_source_value"] for row in rows[CONDITION] if row["condition_concept_id"] == 0}), len(
        codes
    )


def overlapping(rows: Rows) -> tuple[int, int]:
    of_persons: dict[int, list[tuple[date, date]]] = {}
    for row in rows["observation_period"]:
        start = row["observation_period_start_date"]
        of_persons.setdefault(row["person_id"], []).append((start, start + timedelta(days=row["days"])))
    touching = 0
    for spans in of_persons.values():
        pairs = [(one, other) for i, one in enumerate(spans) for other in spans[i + 1 :]]
        day = timedelta(days=1)
        touching += any(one[0] <= other[1] + day and other[0] <= one[1] + day for one, other in pairs)
    return touching, len(of_persons)


def without_condition(rows: Rows) -> tuple[int, int]:
    persons = {row["person_id"] for row in rows["person"]}
    return len(persons - {row["person_id"] for row in rows[CONDITION]}), len(persons)


PLAIN = {
    f"isRequired.{CONDITION}.condition_start_date": missing,
    f"isPrimaryKey.{CONDITION}.condition_occurrence_id": doubled,
    f"plausibleAfterBirth.{CONDITION}.condition_start_date": before_birth,
    f"plausibleBeforeDeath.{CONDITION}.condition_start_date": after_death,
    f"sourceValueCompleteness.{CONDITION}.condition_source_value": unmapped,
    "measureObservationPeriodOverlap.observation_period": overlapping,
    f"measurePersonCompleteness.{CONDITION}": without_condition,
}


NOBODYS: Rows = {
    "person": [],
    CONDITION: [
        {
            "condition_occurrence_id": 1,
            "person_id": None,
            "condition_start_date": date(1953, 1, 1),
            "condition_concept_id": None,
            "condition_source_value": None,
        }
    ],
    "death": [],
    "observation_period": [],
}


@example(rows=NOBODYS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=ROWS)
def test_the_engine_counts_what_plain_python_counts(rows: Rows) -> None:
    stored = {table: [dict(row) for row in of_table] for table, of_table in rows.items()}
    for number, row in enumerate(stored["observation_period"]):
        row["observation_period_id"] = number
        row["observation_period_end_date"] = row["observation_period_start_date"] + timedelta(days=row.pop("days"))
    with TemporaryDirectory() as folder:
        report = assess_quality(write_tables(Path(folder), stored), run="test", as_of=TODAY)
    for check, plain in PLAIN.items():
        found = of(report, check)
        expected = plain(rows)
        if found.violated is None:
            # All values are missing, or the table has no row: then nothing can violate the check in Python either.
            assert expected[0] == 0 or check.startswith("sourceValue"), check
        else:
            assert (found.violated, found.rows) == expected, check
