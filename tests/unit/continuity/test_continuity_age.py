"""How old data are: the arithmetic of stamps and objectives, against plain integers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.domain.continuity_age import Freshness, Measured, Stamp, oldest, seconds, span

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
LENGTHS = st.timedeltas(timedelta(0), timedelta(days=40_000))


@given(MOMENTS, MOMENTS, LENGTHS)
def test_data_are_fresh_exactly_while_their_age_is_known_and_allowed(
    as_of: datetime, at: datetime, most: timedelta
) -> None:
    stamp = Stamp(as_of=as_of, at=at, most=most)
    age = int((at - as_of) / timedelta(microseconds=1))
    if age < 0:
        assert stamp.freshness is Freshness.UNKNOWN
    else:
        assert (stamp.freshness is Freshness.FRESH) == (age <= most / timedelta(microseconds=1))


@given(MOMENTS, LENGTHS, LENGTHS)
def test_data_never_get_fresher_by_waiting(as_of: datetime, waited: timedelta, most: timedelta) -> None:
    now, later = (Stamp(as_of=as_of, at=as_of + many * waited, most=most).freshness for many in (1, 2))
    assert now is Freshness.FRESH or later is Freshness.STALE


@given(st.lists(st.none() | MOMENTS))
def test_inputs_together_are_as_old_as_the_oldest_of_them_and_unknown_if_one_is(moments: list[datetime | None]) -> None:
    found = oldest(moments)
    if not moments or None in moments:
        assert found is None
    else:
        assert all(moment is not None and found is not None and found <= moment for moment in moments)
        assert found in moments


@given(st.none() | st.timedeltas(timedelta(days=-10), timedelta(days=10)), st.integers(1, 10**6))
def test_rounding_never_turns_a_missed_objective_into_one_that_was_met(actual: timedelta | None, whole: int) -> None:
    measured = Measured(actual=actual, objective=timedelta(seconds=whole))
    rounded = seconds(actual)
    again = Measured(actual=None if rounded is None else timedelta(seconds=rounded), objective=measured.objective)
    if actual is None or actual > timedelta(0):
        assert measured.met == again.met
    assert not (actual is None and measured.met)


def test_an_objective_is_met_up_to_the_last_second() -> None:
    assert Measured(actual=timedelta(minutes=15), objective=timedelta(minutes=15)).met
    assert not Measured(actual=timedelta(minutes=15, microseconds=1), objective=timedelta(minutes=15)).met


@pytest.mark.parametrize(
    ("as_of", "words"),
    [
        (None, "DATA AS OF AN UNKNOWN TIME"),
        (NOON + timedelta(seconds=1), "DATA AS OF AN UNKNOWN TIME"),
        (NOON - timedelta(hours=3), "DATA AS OF 2026-06-01 09:00 UTC (3 h old, at most 1 d allowed)"),
        (NOON - timedelta(hours=25), "DATA AS OF 2026-05-31 11:00 UTC (1 d 1 h old, at most 1 d allowed: TOO OLD)"),
    ],
)
def test_the_stamp_says_what_the_data_are_as_of(as_of: datetime | None, words: str) -> None:
    assert Stamp(as_of=as_of, at=NOON, most=timedelta(days=1)).says == words


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (None, "unknown"),
        (timedelta(0), "0 s"),
        (timedelta(microseconds=1), "1 s"),
        (timedelta(days=2, minutes=5), "2 d"),
    ],
)
def test_lengths_of_time_in_words(length: timedelta | None, words: str) -> None:
    assert span(length) == words
