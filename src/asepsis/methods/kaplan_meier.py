"""Survival after a first diagnosis: Kaplan-Meier with midpoint-6 protection.

Persons enter with their first condition among some concepts, have the event when they die, and are censored when
their observation ends (a death soon after that still counts, see ``grace_days``). Persons without any follow-up
after entry are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from asepsis.disclosure.curves import Curve, ProtectedCurve, Step, assess_curves
from asepsis.disclosure.gate import Assessed
from asepsis.disclosure.profiles import Profile
from asepsis.domain.release import Cell
from asepsis.domain.sealed import Sealed
from asepsis.methods.method import Method, Statements, Tabular
from asepsis.methods.parameters import OneOf, Value, WholeNumber, WholeNumbers
from asepsis.methods.survival import Estimator

NAME: Final = "kaplan_meier"
NO_STRATA: Final = "none"
COLUMNS: Final = ("stratum", "day", "at_risk", "events", "censored", "survival", "lower", "upper")

_YEAR: Final = 365
_DIGITS: Final = 4
_PARAMETERS: Final = (
    WholeNumbers(
        name="condition_concept_ids",
        summary="Concepts of the diagnosis whose first occurrence is the entry.",
        most=1000,
    ),
    OneOf(
        name="stratify_by",
        summary="Coded column of the table person that gives one curve per value.",
        choices=(NO_STRATA, "gender_concept_id"),
        default=NO_STRATA,
    ),
    WholeNumber(name="step_days", summary="Days between the points of the curve.", least=28, most=3650, default=182),
    WholeNumber(
        name="horizon_days", summary="Days of follow-up that are shown.", least=28, most=50 * _YEAR, default=10 * _YEAR
    ),
    WholeNumber(
        name="grace_days",
        summary="A death up to so many days after the end of observation counts as an event.",
        least=0,
        most=_YEAR,
        default=60,
    ),
)
_TABLES: Final = {
    "condition_occurrence": ("person_id", "condition_concept_id", "condition_start_date"),
    "death": ("person_id", "death_date"),
    "observation_period": ("person_id", "observation_period_end_date"),
    "person": ("person_id", "gender_concept_id"),
}

_COURSE: Final = """
WITH entry AS (
    SELECT person_id, min(condition_start_date) AS entered, bit_or(owner_) AS knows
    FROM condition_occurrence WHERE condition_concept_id IN ({concepts}) GROUP BY person_id
),
ending AS (SELECT person_id, max(observation_period_end_date) AS ended FROM observation_period GROUP BY person_id),
dying AS (SELECT person_id, min(death_date) AS died FROM death GROUP BY person_id),
strata AS (SELECT person_id, {stratum} AS stratum FROM person GROUP BY person_id),
course AS (
    SELECT
        strata.stratum, entry.knows, entry.entered, ending.ended,
        CASE
            WHEN ending.ended IS NULL OR dying.died <= ending.ended + CAST($grace AS INTEGER) THEN dying.died
        END AS died
    FROM entry
    LEFT JOIN ending USING (person_id) LEFT JOIN dying USING (person_id) LEFT JOIN strata USING (person_id)
),
followed AS (
    SELECT stratum, knows, died IS NOT NULL AS event, date_diff('day', entered, coalesce(died, ended)) AS days
    FROM course
),
shown AS (
    SELECT
        stratum, knows, least(days, CAST($horizon AS BIGINT) + 1) AS day,
        event AND days <= CAST($horizon AS BIGINT) AS event
    FROM followed WHERE days >= 0
)
SELECT stratum, knows, day, count(*) FILTER (WHERE event) AS events, count(*) FILTER (WHERE NOT event) AS censored
FROM shown GROUP BY stratum, knows, day ORDER BY stratum, day, knows
"""


def release(room: Statements, arguments: Mapping[str, Value], profile: Profile) -> Assessed:
    """Compute and protect the curves."""
    concepts = arguments["condition_concept_ids"]
    step, horizon = arguments["step_days"], arguments["horizon_days"]
    if not isinstance(concepts, tuple) or not isinstance(step, int) or not isinstance(horizon, int):
        raise TypeError
    stratify = str(arguments["stratify_by"])
    text = _COURSE.format(
        concepts=", ".join(f"CAST($c{place} AS BIGINT)" for place in range(len(concepts))),
        stratum="NULL" if stratify == NO_STRATA else f"min({stratify})",
    )
    bound = {f"c{place}": concept for place, concept in enumerate(concepts)}
    course = room.statement(text, {**bound, "grace": arguments["grace_days"], "horizon": horizon})
    curves = _curves(course, everybody=stratify == NO_STRATA)
    return assess_curves(
        curves, profile, columns=COLUMNS, derive=lambda curve: _points(curve, step=step, horizon=horizon)
    )


def persons(arguments: Mapping[str, Value]) -> str:
    """The persons with the diagnosis, by stratum. Who of them is followed up is the method's rule and nobody's choice.

    Raises:
        TypeError: the arguments were not read by the method's parameters.
    """
    concepts, stratify = arguments["condition_concept_ids"], str(arguments["stratify_by"])
    if not isinstance(concepts, tuple):
        raise TypeError
    listed = ", ".join(str(int(concept)) for concept in concepts)
    having = f"FROM condition_occurrence AS c {{}} WHERE c.condition_concept_id IN ({listed})"
    counted = "count(DISTINCT c.person_id) AS persons"
    if stratify == NO_STRATA:
        return f"SELECT {counted} {having.format('')}"
    joined = having.format("JOIN person AS p ON p.person_id = c.person_id")
    return f"SELECT p.{stratify} AS stratum, {counted} {joined} GROUP BY p.{stratify}"


def _curves(course: Sealed[Tabular], *, everybody: bool) -> Sealed[tuple[Curve, ...]]:
    """One curve per stratum, still sealed."""
    strata: dict[Cell, list[dict[str, int]]] = {}
    for row in course.unseal().to_pylist():
        counts = {name: int(row[name]) for name in ("knows", "day", "events", "censored")}
        strata.setdefault("all" if everybody else row["stratum"], []).append(counts)
    return Sealed(tuple(_curve(stratum, rows) for stratum, rows in strata.items()))


def _curve(stratum: Cell, rows: list[dict[str, int]]) -> Curve:
    days = sorted({row["day"] for row in rows})
    steps = tuple(
        Step(
            day=day,
            events=sum(row["events"] for row in rows if row["day"] == day),
            censored=sum(row["censored"] for row in rows if row["day"] == day),
        )
        for day in days
    )
    return Curve(stratum=stratum, steps=steps, outside=_outside(rows))


def _outside(rows: list[dict[str, int]]) -> int | None:
    """The least number of persons that some one owner does not know; None with a single owner."""
    known = 0
    for row in rows:
        known |= row["knows"]
    owners = [1 << place for place in range(known.bit_length()) if known >> place & 1]
    if len(owners) < 2:  # noqa: PLR2004 - one owner has nobody to hide from
        return None
    persons = [(row["knows"], row["events"] + row["censored"]) for row in rows]
    return min(sum(count for knows, count in persons if not knows & owner) for owner in owners)


def _points(curve: ProtectedCurve, *, step: int, horizon: int) -> list[tuple[int | float, ...]]:
    """The rows of a curve on the grid of days, from protected counts alone."""
    estimator = Estimator()
    rows: list[tuple[int | float, ...]] = []
    events = censored = 0
    pending = list(curve.steps)
    for day in range(0, horizon + 1, step):
        if curve.until is not None and day >= curve.until:
            break
        while pending and pending[0].day <= day:
            current = pending.pop(0)
            estimator.step(at_risk=current.at_risk, events=current.events - events)
            events, censored = current.events, current.censored
        at_risk = curve.persons - events - censored
        estimate = estimator.estimate
        values = (round(value, _DIGITS) for value in (estimate.survival, estimate.lower, estimate.upper))
        rows.append((day, at_risk, events, censored, *values))
    return rows


METHOD: Final = Method(
    name=NAME,
    summary="Survival after a first diagnosis, on a grid of days, with 95 % confidence limits.",
    parameters=_PARAMETERS,
    tables=_TABLES,
    release=release,
    persons=persons,
)
