"""What is said about a record, as one text of words; lists cost time for every record, and most records have nothing.

A word is the letter of its kind and a reason; where a single field was refused, ``reason@field``. Words are sorted and
stand once. Invariant: what the lists of a text hold is what was found, no more and no less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from asepsis.harmonise.expressions import quote_text

_MARK: Final = "\x1f"
_SEPARATOR: Final = f"chr({ord(_MARK)})"


class Kind(StrEnum):
    """Where a finding leads: the letter that its words begin with."""

    EXCLUDED = "x"
    QUARANTINED = "q"
    FLAGGED = "f"
    REPAIRED = "r"
    FIELD_REFUSED = "j"


REJECTS: Final = "STRUCT(field VARCHAR, reason VARCHAR)[]"

_DEFECT_WORDS: Final = (
    "flatten(list_transform(defects, lambda d: CASE "
    f"WHEN d = 'deleted' THEN ['{Kind.EXCLUDED}deleted_in_source'] "
    f"WHEN d[1] = '-' THEN ['{Kind.EXCLUDED}' || d[2:]] "
    f"WHEN d[1] = '+' THEN ['{Kind.REPAIRED}' || d[2:]] "
    f"WHEN contains(d, '@') THEN ['{Kind.FLAGGED}' || split_part(d, '@', 1), '{Kind.FIELD_REFUSED}' || d] "
    f"ELSE ['{Kind.QUARANTINED}' || d] END))"
)
"""The words of what a reader found, see ``readers.batch``."""


class Reason(NamedTuple):
    """A condition, and the reason that is found where it holds."""

    condition: str
    reason: str


@dataclass(slots=True)
class Findings:
    """What can be found about a record, by where it leads; ``last_resort`` is said if no other reason is."""

    quarantine: list[Reason] = field(default_factory=list)
    last_resort: list[Reason] = field(default_factory=list)
    exclude: list[Reason] = field(default_factory=list)
    flags: list[Reason] = field(default_factory=list)
    repairs: list[Reason] = field(default_factory=list)
    rejects: list[Reason] = field(default_factory=list)


def any_of(found: Sequence[Reason]) -> str:
    """Whether anything is found."""
    return " OR ".join(f"({condition})" for condition in dict.fromkeys(item.condition for item in found)) or "FALSE"


def said(found: Findings) -> str:
    """The text of everything that was found; the columns ``has_defects`` and ``is_named`` are known."""
    named = [Reason(f"NOT is_named AND ({condition})", reason) for condition, reason in found.last_resort]
    words = _by_word(
        {
            Kind.EXCLUDED: found.exclude,
            Kind.QUARANTINED: [*found.quarantine, *named],
            Kind.FLAGGED: found.flags,
            Kind.REPAIRED: found.repairs,
            Kind.FIELD_REFUSED: found.rejects,
        }
    )
    known = ", ".join(f"CASE WHEN {condition} THEN {word} END" for word, condition in sorted(words.items()))
    both = f"list_filter({_DEFECT_WORDS} || [{known}]::VARCHAR[], lambda w: w IS NOT NULL)"
    whens = [f"WHEN has_defects THEN {_text(both)}"]
    if words:
        conditions = " OR ".join(f"({condition})" for condition in words.values())
        whens.append(f"WHEN {conditions} THEN concat_ws({_SEPARATOR}, {known})")
    return f"CASE {' '.join(whens)} ELSE '' END"


def said_besides(kind: Kind, reason: str) -> str:
    """The text ``s.said`` with one more reason of a kind that it has none of."""
    return f"concat_ws({_SEPARATOR}, nullif(s.said, ''), {quote_text(kind + reason)})"


def said_of(**lists: str) -> str:
    """The text of given lists (SQL) by the name of their kind."""
    parts = (
        f"list_transform({sql}, lambda w: {quote_text(Kind[kind.upper()])} || w)" for kind, sql in sorted(lists.items())
    )
    return _text(" || ".join(parts))


def said_together(texts: str, *, become: tuple[Kind, Kind] | None = None, besides: str = "") -> str:
    """The text of a list of texts (SQL); words of one kind may ``become`` another, with a reason ``besides`` them."""
    words = f"flatten(list_transform(coalesce({texts}, []), lambda t: string_split(t, {_SEPARATOR})))"
    if become is not None:
        old, new = become
        both = f"['{new}' || w[2:], {quote_text(new + besides)}]"
        words = f"flatten(list_transform({words}, lambda w: CASE WHEN w[1] = '{old}' THEN {both} ELSE [w] END))"
    return _text(words)


def list_of(kind: Kind) -> str:
    """The reasons of a kind, out of the column ``said``."""
    if kind is Kind.FIELD_REFUSED:
        return _listed(kind, "{'field': split_part(w[2:], '@', 2), 'reason': split_part(w[2:], '@', 1)}", REJECTS)
    return _listed(kind, "w[2:]", "VARCHAR[]")


def reasons_in(text: str, kind: Kind) -> list[str]:
    """The reasons of a kind in one such text."""
    return [word[1:] for word in text.split(_MARK) if word.startswith(kind)]


def _listed(kind: Kind, value: str, sql_type: str) -> str:
    words = f"list_filter(string_split(said, {_SEPARATOR}), lambda w: w[1] = '{kind}')"
    return f"CASE WHEN said = '' THEN []::{sql_type} ELSE list_transform({words}, lambda w: {value})::{sql_type} END"


def _text(words: str) -> str:
    return f"array_to_string(list_sort(list_distinct({words})), {_SEPARATOR})"


def _by_word(found: dict[Kind, list[Reason]]) -> dict[str, str]:
    """One condition for each word, which is quoted."""
    conditions: dict[str, list[str]] = {}
    for kind, reasons in found.items():
        for condition, reason in reasons:
            conditions.setdefault(quote_text(kind + reason), []).append(f"({condition})")
    return {word: " OR ".join(dict.fromkeys(all_of)) for word, all_of in conditions.items()}
