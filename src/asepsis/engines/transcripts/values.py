"""Values as text: numbers in the shortest form that reads back as the same number, moments as ISO 8601 writes them.

What is no whole day, or lies outside the years 1 to 9999, stays the number that stands in the file.
"""

from __future__ import annotations

import datetime as dt
import re
import struct
from collections.abc import Callable
from decimal import Decimal
from enum import Enum, auto
from typing import Final

_LARGEST: Final = 1e15
_DAY: Final = 86_400
_HOUR: Final = 3_600
_MINUTE: Final = 60
_MONTHS: Final = 12
_FIRST_DAY: Final = 1
_LAST_DAY: Final = dt.date.max.toordinal()
_1960: Final = dt.date(1960, 1, 1).toordinal()
_1582: Final = dt.date(1582, 10, 14).toordinal()

Form = Callable[[float], str]
"""A number of the file as text."""


class Moment(Enum):
    """What a number is, by the display format of its column."""

    DATE = auto()
    DATETIME = auto()
    TIME = auto()


def number(value: float) -> str:
    """The shortest text that reads back as the same number; whole numbers without a point."""
    return repr(value).removesuffix(".0")


def single(value: float) -> str:
    """The shortest text that reads back as the same number in single precision (a Stata ``float``)."""
    for digits in (6, 7, 8, 9):
        text = f"{value:.{digits}g}"
        if struct.pack("<f", float(text)) == struct.pack("<f", value):
            return number(float(text))
    return number(value)


def clock(seconds: Decimal) -> str:
    """Hours, minutes, seconds and as many decimals as there are; hours may exceed 24, as durations do."""
    sign = "-" if seconds < 0 else ""
    whole, part = divmod(abs(seconds), 1)
    hours, rest = divmod(int(whole), _HOUR)
    text = f"{sign}{hours:02}:{rest // _MINUTE:02}:{rest % _MINUTE:02}"
    return text + (f"{part:f}"[1:].rstrip("0") if part else "")


def sas(display: str) -> Moment | None:
    """What a SAS format makes of a number.

    Source: SAS 9.4 Formats and Informats: Reference, "Formats by Category", Date and Time.
    """
    match = _SAS_NAME.match(display.upper())
    name = match[1] if match is not None else ""
    for moment, pattern in _SAS.items():
        if pattern.fullmatch(name):
            return moment
    return None


_SAS_NAME: Final = re.compile(r"^([A-Z][A-Z0-9_]*?[A-Z_])\d*(?:\.\d*)?$")
_SAS: Final = {
    Moment.DATETIME: re.compile(
        r"(?:DATETIME|DATEAMPM|MDYAMPM|DT(?:DATE|MONYY|WKDATX|YEAR|YYQC)|NLDATM\w*|(?:E8601|B8601|IS8601|\$N8601)D[TNXZ])"
    ),
    Moment.TIME: re.compile(r"(?:TIME|TIMEAMPM|HHMM|HOUR|MMSS|TOD|NLTIM\w*|(?:E8601|B8601|IS8601)T[MX])"),
    Moment.DATE: re.compile(
        r"(?:DATE|DAY|DOWNAME|JULDAY|JULIAN|MONNAME|MONTH|MONYY|QTRR?|WEEKDAT[EX]|WEEKDAY|WEEK[UVW]|WORDDATX?|YEAR|"
        r"(?:DDMMYY|MMDDYY|YYMMDD|MMYY|YYMM|YYQR?)[BCDNPS]?|YYMON|YYWEEK[UVW]|NLDATE\w*|(?:E8601|B8601|IS8601)DA)"
    ),
}


def spss(display: str) -> Moment | None:
    """What an SPSS format makes of a number. Source: IBM SPSS Statistics Command Syntax Reference, "Date and Time"."""
    return _SPSS.get(display.upper().rstrip("0123456789."))


_SPSS: Final = {
    **dict.fromkeys(("DATE", "ADATE", "EDATE", "JDATE", "SDATE", "QYR", "MOYR", "WKYR"), Moment.DATE),
    **dict.fromkeys(("DATETIME", "YMDHMS"), Moment.DATETIME),
    **dict.fromkeys(("TIME", "DTIME", "MTIME"), Moment.TIME),
}


def sas_form(display: str) -> Form:
    """How a number of SAS becomes text: days or seconds since 1960."""
    return {
        Moment.DATE: lambda value: _day(value, _1960),
        Moment.DATETIME: lambda value: _instant(value, _1960),
        Moment.TIME: _duration,
        None: number,
    }[sas(display)]


def spss_form(display: str) -> Form:
    """How a number of SPSS becomes text: seconds since the beginning of the Gregorian calendar, also for dates."""
    return {
        Moment.DATE: lambda value: _instant(value, _1582, bare=True),
        Moment.DATETIME: lambda value: _instant(value, _1582),
        Moment.TIME: _duration,
        None: number,
    }[spss(display)]


def stata_form(display: str, kind: str) -> Form:
    """How a number of Stata becomes text: days, months or milliseconds since 1960.

    ``%tC`` (which counts leap seconds), weeks, quarters and half-years stay numbers. Source: Stata Functions Reference
    Manual, "Date and time functions".
    """
    name = display.replace("-", "")
    if name.startswith(("%td", "%d")):
        return lambda value: _day(value, _1960)
    if name.startswith("%tc"):
        if _STATA_CLOCK.fullmatch(name[3:]):
            return lambda value: _duration(value, scale=1000)
        return lambda value: _instant(value, _1960, scale=1000)
    if name.startswith("%tm"):
        return _month
    return single if kind == "float" else number


_STATA_CLOCK: Final = re.compile(r"(?:HH|Hh|hh|h)(?::MM)(?::SS(?:\.s+)?)?(?:_?(?:am|AM|a\.m\.|A\.M\.))?")


def _decimal(value: float) -> Decimal:
    return Decimal(repr(value))


def _duration(value: float, *, scale: int = 1) -> str:
    return clock(_decimal(value) / scale) if abs(value) < _LARGEST else number(value)


def _day(value: float, origin: int) -> str:
    if not float(value).is_integer() or not _FIRST_DAY <= value + origin <= _LAST_DAY:
        return number(value)
    return dt.date.fromordinal(int(value) + origin).isoformat()


def _instant(value: float, origin: int, *, scale: int = 1, bare: bool = False) -> str:
    """``bare``: midnight is written as the day alone."""
    if not abs(value) < _LARGEST:
        return number(value)
    seconds = _decimal(value) / scale
    count = int(seconds // _DAY) - (1 if seconds % _DAY < 0 else 0)
    if not _FIRST_DAY <= count + origin <= _LAST_DAY:
        return number(value)
    day = dt.date.fromordinal(count + origin).isoformat()
    rest = seconds - count * _DAY
    return day if bare and not rest else f"{day}T{clock(rest)}"


def _month(value: float) -> str:
    if not float(value).is_integer():
        return number(value)
    year, month = divmod(int(value), _MONTHS)
    return f"{year + 1960:04}-{month + 1:02}" if dt.MINYEAR <= year + 1960 <= dt.MAXYEAR else number(value)
