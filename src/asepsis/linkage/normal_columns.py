"""The normalised columns of an owner's identity records, before they become tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from asepsis.linkage import normalise
from asepsis.linkage.columns import Coded, joined, text_column
from asepsis.linkage.defaults import Defaults, common_values, written_identities
from asepsis.linkage.nicknames import CANONICAL
from asepsis.linkage.phonetics import soundex

_BETWEEN: Final = "\x1f"
_PREFIX: Final = 3
_FAMILY_PREFIX: Final = 4
_FULL: Final = 8
_OPEN_CENTURY: Final = "??"


@dataclass(frozen=True, slots=True)
class NormalColumns:
    """Columns by name, lists of forms (words with spaces between), and how many defaults were dropped."""

    columns: Mapping[str, Coded]
    forms: Mapping[str, Coded]
    dropped: Mapping[str, int]


def normal_columns(identities: pa.Table, defaults: Defaults) -> NormalColumns:
    """Normalise every distinct value once and drop what identifies nobody."""
    given = text_column(identities, "given_name")
    family = text_column(identities, "family_name")
    births = joined(_dates(identities), identities["birth_date_source"], separator=_BETWEEN)
    base = {
        "given": given.derived(_first),
        "family": family.derived(_whole),
        "birth": births.derived(_birth),
        "home": text_column(identities, "address").derived(_home),
    }
    base |= {name: text_column(identities, source).derived(function) for name, (source, function) in _PLAIN.items()}
    dropped = {}
    written = written_identities(base["given"], base["family"], base["birth"])
    for name in base:
        named = defaults.of(name) | common_values(name, base[name], identities["person_id"], written)
        base[name], dropped[name] = base[name].without(named)
    former = joined(identities["family_name"], identities["previous_family_name"], separator=_BETWEEN)
    forms = {"given_forms": given.derived(_given_forms), "family_forms": former.derived(_family_forms)}
    return NormalColumns(base | _derived(base), forms, dropped)


def _dates(identities: pa.Table) -> pa.ChunkedArray:
    column = identities["birth_date"]
    return pc.strftime(column, "%Y%m%d") if pa.types.is_date(column.type) else column.cast(pa.string())


def _derived(base: Mapping[str, Coded]) -> dict[str, Coded]:
    birth = base["birth"].derived(lambda text: text[2:] if len(text) == _FULL else None)
    day = birth.derived(lambda day: None if normalise.is_damaged(day) else day)
    return {
        "birth": birth,
        "year": base["birth"].derived(lambda text: None if text.startswith(_OPEN_CENTURY) else text[:4]),
        "birth_short_year": base["birth"].derived(lambda text: text[2:4]),
        "birth_year_month": base["birth"].derived(_year_month),
        "birth_year_day": day.derived(lambda day: day[:2] + day[4:]),
        "birth_month_day": day.derived(lambda day: day[2:]),
        "birth_sorted_days": birth.derived(_sorted_days),
        "birth_sorted": birth.derived(lambda day: day[:2] + _sorted_days(day)),
        "number": base["home"].derived(lambda home: home.split(_BETWEEN)[0] or None),
        "street": base["home"].derived(lambda home: home.split(_BETWEEN)[1] or None),
        "postal_three": base["postal_code"].derived(lambda code: code[:_PREFIX]),
        "given_canonical": base["given"].derived(lambda name: CANONICAL.get(name, name)),
        "given_sound": base["given"].derived(lambda name: _sound(name) if len(name) > 1 else None),
        "given_initial": base["given"].derived(lambda name: (normalise.latin(name) or name)[0]),
        "given_three": base["given"].derived(lambda name: name[:_PREFIX]),
        "family_sound": base["family"].derived(_sound),
        "family_four": base["family"].derived(lambda name: name[:_FAMILY_PREFIX]),
    }


def _year_month(text: str) -> str | None:
    is_known = len(text) > len("yyyy") and not (len(text) == _FULL and normalise.is_damaged(text[2:]))
    return text[2:6] if is_known else None


def _sound(name: str) -> str | None:
    return soundex(normalise.latin(name) or name)


def _sorted_days(day: str) -> str:
    return "".join(sorted((day[2:4], day[4:])))


def _first(text: str) -> str | None:
    name = normalise.given_name(text)
    return name.first if name else None


def _whole(text: str) -> str | None:
    name = normalise.family_name(text)
    return name.whole if name else None


def _birth(text: str) -> str | None:
    """``yyyymmdd``, with ``??`` for an open century; a damaged date as it is; the known beginning of a partial one."""
    day, source = text.split(_BETWEEN, 1)
    birth = normalise.birth(normalise.calendar_day(day), source or None)
    if birth is None:
        return None if day else normalise.partial_birth(source) or normalise.damaged_birth(source)
    return (birth.year or _OPEN_CENTURY + birth.day[:2]) + birth.day[2:]


def _home(text: str) -> str | None:
    street = normalise.street(text)
    return f"{street.number or ''}{_BETWEEN}{street.name or ''}" if street else None


def _street(text: str) -> str | None:
    street = normalise.street(text)
    return street.name if street else None


def _given_forms(text: str) -> str | None:
    """All given names, other scripts and spellings of the first; ``None`` where there is but one form."""
    name = normalise.given_name(text)
    if name is None:
        return None
    words = [word for word in name.every.split(" ") if len(word) > 1]
    forms = dict.fromkeys([name.first, *words, *_spellings(name.first, text)])
    return " ".join(forms) if len(forms) > 1 else None


def _family_forms(text: str) -> str | None:
    """The forms of the present and the former family name; ``None`` where there is but one."""
    forms: dict[str, None] = {}
    for part in text.split(_BETWEEN, 1):
        name = normalise.family_name(part)
        if name is not None:
            forms |= dict.fromkeys([*name.forms, *_spellings(name.whole, part)])
    return " ".join(forms) if len(forms) > 1 else None


def _spellings(name: str, text: str) -> list[str]:
    return [form for form in (normalise.latin(name), normalise.umlauts_spelt_out(text)) if form]


_PLAIN: Final[Mapping[str, tuple[str, Callable[[str], str | None]]]] = {
    "sex": ("sex", normalise.sex),
    "phone": ("phone", normalise.phone),
    "national_id": ("national_id", normalise.national_id),
    "postal_code": ("postal_code", normalise.postal_code),
    "city": ("city", normalise.place),
    "state": ("state", normalise.place),
    "second_line": ("second_line", _street),
}
