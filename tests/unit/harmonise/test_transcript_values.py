"""Numbers and moments of statistics programs as text: exact, or left as the number that stands in the file."""

from __future__ import annotations

import datetime as dt
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.engines.transcripts.values import number, sas_form, single, spss_form, stata_form

ORIGIN = dt.datetime.fromisoformat("1960-01-01")
GREGORIAN = dt.datetime.fromisoformat("1582-10-14")
LAST = dt.datetime.fromisoformat("9999-12-31")


@given(st.floats(allow_nan=False))
def test_a_number_reads_back_as_the_same_number(value: float) -> None:
    assert struct.pack("<d", float(number(value))) == struct.pack("<d", value)


@given(st.floats(allow_nan=False, width=32))
def test_a_number_in_single_precision_reads_back_in_single_precision(value: float) -> None:
    assert struct.pack("<f", float(single(value))) == struct.pack("<f", value)


def test_whole_numbers_have_no_point_and_single_precision_shows_no_noise() -> None:
    assert [number(401.0), number(3), number(0.1)] == ["401", "3", "0.1"]
    assert single(struct.unpack("<f", struct.pack("<f", 0.1))[0]) == "0.1"
    assert stata_form("%9.0g", "float")(struct.unpack("<f", struct.pack("<f", 0.1))[0]) == "0.1"


@given(st.dates())
def test_every_day_of_the_calendar_is_itself_in_every_program(day: dt.date) -> None:
    days = (day - ORIGIN.date()).days
    assert sas_form("DATE9")(float(days)) == day.isoformat()
    assert stata_form("%tdCCYY-NN-DD", "int")(days) == day.isoformat()
    assert spss_form("SDATE10")((day - GREGORIAN.date()).days * 86400.0) == day.isoformat()


@given(st.datetimes(min_value=GREGORIAN, max_value=LAST))
def test_every_second_is_itself_in_every_program(moment: dt.datetime) -> None:
    moment = moment.replace(microsecond=0)
    written = moment.isoformat()
    assert sas_form("DATETIME20.")((moment - ORIGIN).total_seconds()) == written
    assert spss_form("DATETIME20")((moment - GREGORIAN).total_seconds()) == written
    assert stata_form("%tc", "double")((moment - ORIGIN).total_seconds() * 1000) == written


def test_fractions_of_a_second_are_kept_as_they_stand() -> None:
    assert sas_form("DATETIME26.6")(1.25) == "1960-01-01T00:00:01.25"
    assert sas_form("DATETIME")(-0.5) == "1959-12-31T23:59:59.5"
    assert stata_form("%tc", "double")(1.0) == "1960-01-01T00:00:00.001"
    assert sas_form("TIME20.3")(3661.125) == "01:01:01.125"


def test_durations_may_exceed_a_day_or_be_negative() -> None:
    assert sas_form("TIME8.")(108000.0) == "30:00:00"
    assert spss_form("DTIME12")(-61.0) == "-00:01:01"


def test_what_is_no_moment_stays_the_number() -> None:
    assert sas_form("DATE9")(0.5) == "0.5"
    assert sas_form("DATE9")(1e7) == repr(1e7)[:-2]
    assert sas_form("DATETIME")(1e300) == "1e+300"
    assert sas_form("TIME8")(float("inf")) == "inf"
    assert spss_form("DATE11")(-1e14) == "-100000000000000"
    assert stata_form("%tm", "float")(1e9) == "1000000000"
    assert [stata_form(form, "int")(7) for form in ("%tw", "%tq", "%th", "%ty", "%tC", "%9.0g")] == ["7"] * 6


def test_an_spss_date_that_is_not_midnight_keeps_its_time() -> None:
    assert spss_form("DATE11")(86400.0 + 60) == "1582-10-15T00:01:00"


def test_months_of_stata() -> None:
    assert [stata_form("%tm", "int")(value) for value in (0, 11, -1)] == ["1960-01", "1960-12", "1959-12"]


def test_a_clock_of_stata_is_a_time_of_day() -> None:
    assert stata_form("%tcHH:MM:SS", "double")(36610000.0) == "10:10:10"


@pytest.mark.parametrize(
    ("display", "written"),
    [
        ("DATE9.", "1960-01-02"),
        ("YYMMDDN8", "1960-01-02"),
        ("WEEKDATE", "1960-01-02"),
        ("E8601DA", "1960-01-02"),
        ("MONYY7.", "1960-01-02"),
        ("DTDATE9.", "1960-01-01T00:00:01"),
        ("E8601DT26.6", "1960-01-01T00:00:01"),
        ("B8601DN8.", "1960-01-01T00:00:01"),
        ("HHMM5.", "00:00:01"),
        ("BEST12.", "1"),
        ("DOLLAR8.2", "1"),
        ("12", "1"),
        ("", "1"),
        ("DATABASE", "1"),
    ],
)
def test_formats_of_sas_tell_what_a_number_is(display: str, written: str) -> None:
    assert sas_form(display)(1.0) == written
