"""Codes as people and spreadsheets write them, and the ways back to how their vocabulary writes them.

Invariant: a code is changed only where its vocabulary leaves one reading; every change is named. What is written as the
vocabulary writes it always wins. Codes whose case carries meaning (UCUM, Read) keep it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

AS_WRITTEN: Final = "as written"
_UPPER: Final = frozenset(
    {"ICD9CM", "ICD9Proc", "ICD10", "ICD10CM", "ICD10PCS", "ICD10GM", "HCPCS", "CPT4", "ATC", "LOINC", "DRG"}
)
"""Vocabularies whose letters are capitals by definition, so that case says nothing."""

_ICD9: Final = re.compile(r"^(?P<head>\d{1,3}|E\d{3}|V\d{2})(?:\.(?P<tail>\d{0,2}))?$")
_ICD9_DOTLESS: Final = re.compile(r"^(?P<head>\d{3}|E\d{3}|V\d{2})(?P<tail>\d{1,2})$")
_ICD9PROC: Final = re.compile(r"^(?P<head>\d{1,2})(?:\.(?P<tail>\d{0,2}))?$")
_ICD9PROC_DOTLESS: Final = re.compile(r"^(?P<head>\d{2})(?P<tail>\d{1,2})$")
_ICD10: Final = re.compile(r"^(?P<head>[A-Z]\d[0-9A-Z])(?P<tail>[0-9A-Z]{1,4})$")
_NDC: Final = re.compile(r"^(\d{4,5})-(\d{3,4})-(\d{1,2})$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """A code in the spelling of its vocabulary, and what had to be done to the written one."""

    code: str
    way: str


def spellings(code: str, vocabulary: str) -> tuple[Spelling, ...]:
    """What a written code may stand for, the surest first; the first is always the code as written."""
    found = {code: AS_WRITTEN}
    text = code.strip()
    ways = [] if text == code else ["spaces removed"]
    if vocabulary in _UPPER and text != text.upper():
        text = text.upper()
        ways.append("capitals")
    _add(found, text, ways)
    for changed, way in _SPELLERS.get(vocabulary, _nothing)(text):
        _add(found, changed, [*ways, way])
    return tuple(Spelling(code=each, way=way) for each, way in found.items())


def category_size(code: str, vocabulary: str) -> int:
    """How many characters of an ICD code are its category: three, four for E codes of ICD-9, two for its procedures."""
    if vocabulary == "ICD9Proc":
        return 2
    return 4 if vocabulary == "ICD9CM" and code.startswith("E") else 3


def category_of(code: str, vocabulary: str) -> str:
    """The category of a code of ICD-9 or ICD-10 without its dot."""
    return code[: category_size(code, vocabulary)]


def dotted(code: str, vocabulary: str) -> str:
    """A code of ICD-9 or ICD-10 without dot as OMOP writes it: with one after the category."""
    if vocabulary == "ICD10PCS":
        return code
    head = category_size(code, vocabulary)
    return code if len(code) <= head else f"{code[:head]}.{code[head:]}"


def _add(found: dict[str, str], code: str, ways: list[str]) -> None:
    if code:
        found.setdefault(code, "; ".join(ways) or AS_WRITTEN)


def _nothing(_text: str) -> Iterator[tuple[str, str]]:
    return iter(())


def _icd9(text: str) -> Iterator[tuple[str, str]]:
    return _leading_zeros(text, _ICD9, _ICD9_DOTLESS, 3)


def _icd9proc(text: str) -> Iterator[tuple[str, str]]:
    return _leading_zeros(text, _ICD9PROC, _ICD9PROC_DOTLESS, 2)


def _leading_zeros(
    text: str, pattern: re.Pattern[str], dotless: re.Pattern[str], size: int
) -> Iterator[tuple[str, str]]:
    """Zeros are restored only before a dot or in a bare category: 340 without dot is a code of its own, not 034.0."""
    match = pattern.match(text)
    if match is None:
        if (inner := dotless.match(text)) is not None:
            yield f"{inner['head']}.{inner['tail']}", "dot restored"
        return
    head, tail = match["head"], match["tail"] or ""
    full = head.zfill(size) if head.isdecimal() else head
    if full != head:
        yield (f"{full}.{tail}" if tail else full), "zeros restored"
    elif match["tail"] == "":
        yield full, "dot removed"


def _icd10(text: str) -> Iterator[tuple[str, str]]:
    if (match := _ICD10.match(text)) is not None:
        yield f"{match['head']}.{match['tail']}", "dot restored"


def _ndc(text: str) -> Iterator[tuple[str, str]]:
    """Hyphens say which segment lost its zero (5-4-2 digits); ten digits without hyphens do not."""
    if (match := _NDC.match(text)) is not None:
        yield match[1].zfill(5) + match[2].zfill(4) + match[3].zfill(2), "hyphens resolved"


_SPELLERS: Final[dict[str, Callable[[str], Iterator[tuple[str, str]]]]] = {
    "ICD9CM": _icd9,
    "ICD9Proc": _icd9proc,
    "ICD10": _icd10,
    "ICD10CM": _icd10,
    "NDC": _ndc,
}
