"""What is unusual, and what names a cause: from counts alone."""

from __future__ import annotations

import random
from dataclasses import replace
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.integrity.records.catalogue import CODES, sentence
from asepsis.integrity.records.columns import column_divergence
from asepsis.integrity.records.evidence import ColumnEvidence, Drift, PairEvidence, SchemaChange, TableEvidence
from asepsis.integrity.records.judging import judge
from asepsis.integrity.records.layout import Role, TableLayout
from asepsis.integrity.records.rates import cap, drips, one_sided, poisson_cap, shift_limit
from asepsis.integrity.records.values import Divergence, Severity, TableLedger

LAYOUT = TableLayout(name="t", columns=(), key=("id",))
QUIET = TableEvidence(
    ledger=TableLedger(table="t", key=("id",), rows_before=10_000, rows_after=10_000), layout=LAYOUT, updated=1
)


def day(**counts: object) -> PairEvidence:
    return PairEvidence(tables={"t": replace(QUIET, **counts)})  # type: ignore[arg-type]


def codes(now: PairEvidence, earlier: list[PairEvidence]) -> list[str]:
    return [one.code for one in judge(now, earlier) if one.severity >= Severity.ALARM]


@pytest.mark.parametrize(
    ("code", "counts"),
    [
        ("rows.deleted", {"deleted": 40}),
        ("rows.backdated", {"late": 60, "inserted": 60}),
        ("rows.copied", {"copied": 60, "inserted": 60}),
        ("dates.future", {"future": 30}),
        ("dates.reversed", {"reversed": {("a", "b"): 30}}),
        ("references.orphaned", {"orphans": {"p": 30}}),
        ("keys.duplicated", {"duplicate_keys": 30}),
        ("text.not_text", {"strange": {"note": 30}}),
        ("text.lookalikes", {"mixed": {"name": 30}}),
        ("values.drift", {"drifts": (Drift(column="v", by="", deviations=9.0, shift=0.5, rows=300),)}),
    ],
)
def test_a_count_is_an_alarm_only_beyond_what_is_usual(code: str, counts: dict[str, object]) -> None:
    now = day(**counts)
    assert codes(now, [day()] * 10) == [code]
    assert codes(now, [now] * 10) == []


@pytest.mark.parametrize(
    ("code", "counts", "role"),
    [
        ("cells.scaled", {"ratio": 1.1, "ratio_rows": 40}, Role.NUMBER),
        ("cells.shifted", {"shift": 3.0, "shift_rows": 40}, Role.NUMBER),
        ("dates.shifted", {"shift": -30.0, "shift_rows": 40}, Role.DATE),
        ("cells.nulled", {"nulled": 40}, Role.NUMBER),
        ("codes.swapped", {"pairs": 2, "pair_rows": 20, "swapped": 40}, Role.CODE),
        ("codes.replaced", {"pairs": 1, "pair_rows": 40}, Role.CODE),
        ("persons.swapped", {"pairs": 2, "swapped": 40}, Role.PERSON),
        ("persons.reassigned", {"pairs": 40}, Role.PERSON),
        ("text.not_text", {"strange": 40}, Role.TEXT),
        ("text.lookalikes", {"mixed": 40}, Role.OTHER),
        ("cells.changed", {"up": 20, "down": 20}, Role.NUMBER),
    ],
)
def test_what_updates_have_in_common_names_the_cause(code: str, counts: dict[str, object], role: Role) -> None:
    now = ColumnEvidence(column="c", role=role, rows=40, **counts)  # type: ignore[arg-type]
    found = column_divergence("t", now, rows_before=10_000, earlier=[None] * 10)
    assert found is not None
    assert found.code == code
    assert found.numbers["immutable"] == 1
    assert column_divergence("t", now, rows_before=10_000, earlier=[now] * 10) is None


def test_a_permuted_person_column_is_told_from_single_moves() -> None:
    now = ColumnEvidence(column="p", role=Role.PERSON, rows=9_000, pairs=5_000)
    found = column_divergence("t", now, rows_before=10_000, earlier=[])
    assert found is not None
    assert (found.code, found.severity) == ("persons.permuted", Severity.SEVERE)


def test_a_column_that_is_gone_is_severe_unless_a_ticket_says_so() -> None:
    change = SchemaChange(kind="schema.column_gone", table="t", column="c")
    assert codes(replace(day(), schema=(change,)), []) == ["schema.column_gone"]
    assert codes(replace(day(), schema=(replace(change, ticket="C-1"),)), []) == []


def test_edits_of_old_rows_that_creep_up_are_found() -> None:
    quiet, busy = [1.0, 0, 1, 2, 0, 1, 1, 0, 2, 1], [4.0, 3, 4, 5, 3, 4, 4, 5, 4, 4]
    assert drips([*quiet, *busy], 4)
    assert not drips([*quiet, *quiet], 1)
    assert not drips(busy, 4)


def poisson(dice: random.Random, mean: float) -> float:
    """A count of independent events."""
    count, left = 0.0, dice.expovariate(1.0)
    while left < mean:
        count, left = count + 1, left + dice.expovariate(1.0)
    return count


def test_ordinary_edits_of_old_rows_seldom_look_like_a_drip() -> None:
    dice = random.Random(20)
    alarms = 0
    for mean in (0.2, 0.5, 0.7, 1.5) * 8:
        counts = [poisson(dice, mean) for _ in range(90)]
        alarms += sum(drips(counts[day - 30 : day], counts[day], families=11) for day in range(30, 90))
    assert alarms == 0


def test_a_drip_is_found_within_days_and_not_where_counts_vary_anyway() -> None:
    dice = random.Random(21)
    found = []
    for _ in range(20):
        counts = [*(poisson(dice, 0.7) for _ in range(30)), *(poisson(dice, 0.7) + 3 for _ in range(12))]
        days = (day for day in range(12) if drips(counts[day : 30 + day], counts[30 + day], families=11))
        found.append(next(days, 12))
    assert sorted(found)[10] <= 4
    bursts = [12.0 if day % 7 == 0 else 0.0 for day in range(30)]
    assert not drips(bursts, 12, families=11)


def test_the_largest_of_many_ordinary_shifts_is_no_drift() -> None:
    normal = NormalDist()
    for groups in (1, 7, 40):
        chance = 2 * (1 - normal.cdf(shift_limit([], groups=groups, families=24)))
        assert 60 * 24 * groups * chance == pytest.approx(0.1, rel=1e-3)
    assert shift_limit([3.0] * 9, groups=7, families=24) > 1.4 * shift_limit([1.0] * 9, groups=7, families=24)
    few, many = (shift_limit([], groups=groups, families=24) for groups in (3, 40))
    assert few < many


@given(st.floats(0.01, 300), st.lists(st.integers(0, 50), min_size=5, max_size=40))
def test_caps_lie_above_the_mean_and_above_what_was_seen(mean: float, history: list[int]) -> None:
    assert poisson_cap(mean) >= mean
    usual = cap([float(count) for count in history])
    assert usual is not None
    assert usual > max(history)
    assert cap([1.0] * 4) is None


def test_one_sided_updates_are_told_from_both_ways() -> None:
    assert one_sided(40, 0)
    assert not one_sided(22, 18)
    assert not one_sided(0, 0)


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_has_a_sentence_that_can_be_said(code: str) -> None:
    said = sentence(Divergence(code=code, severity=Severity.ALARM, table="t", columns=("c",), rows=3))
    assert said.endswith(".")
    assert "{" not in said
