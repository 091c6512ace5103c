"""What the columns of tables are for: given for OMOP by its naming rules, inferred from facts for a layout never seen.

Names only propose; values decide: a key is unique and never missing, a reference holds values of another table's key, a
code has few values for its rows. OMOP names: Common Data Model 5.4, https://ohdsi.github.io/CommonDataModel/cdm54.html.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

from asepsis.integrity.records.layout import ColumnFacts, ColumnLayout, Family, Layouts, Role, TableLayout

PERSON_NAME: Final = re.compile(r"person|patient|subject|member|bene|(?:^|_)pat(?:_|$)", re.IGNORECASE)
_KEY_NAME: Final = re.compile(r"(?:^|_)(?:id|nr|no|key|num|number|nummer|cislo)$|_?id$", re.IGNORECASE)
_BIRTH: Final = re.compile(r"birth|dob|geburt|naissance|naroz|nacim", re.IGNORECASE)
PLANNED: Final = re.compile(r"end|until|valid|expir|due|plan", re.IGNORECASE)
"""Dates that may lie in the future by their nature."""

_START: Final = re.compile(r"start|begin|from|in_?time|admit|beginn", re.IGNORECASE)
_CODE_NAME: Final = re.compile(r"concept|code|kode|type|status|flag|unit|category|class", re.IGNORECASE)
_SECOND: Final = re.compile(r"type|status|unit|operator|modifier|source|qualifier|route", re.IGNORECASE)
_FEW_CODES: Final = 60
_CODES_SHARE: Final = 0.02
_NEARLY_UNIQUE: Final = 0.9
_PROSE_LENGTH: Final = 25.0
_PROSE_SPACES: Final = 0.6
_MOST_PARTS: Final = 3
_TRIED: Final = 5
_FILLED: Final = 0.9
_ID_LIKE: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A column whose values all are values of another table's key."""

    table: str
    column: str
    target: str


def key_candidates(table: str, facts: Sequence[ColumnFacts]) -> list[tuple[str, ...]]:
    """Keys worth trying, the best first: named like one, then nearly unique, then two or three columns together."""
    rows = max((fact.rows for fact in facts), default=0)
    full = [fact for fact in facts if fact.filled == rows and fact.family is not Family.NUMBER]
    single = [fact for fact in full if fact.distinct >= _NEARLY_UNIQUE * rows]
    names = [fact.name for fact in facts]
    single.sort(key=lambda fact: (_key_rank(table, fact), names.index(fact.name)))
    joined = sorted((fact for fact in full if fact.distinct > 1), key=lambda fact: -fact.distinct)[:_TRIED]
    several = [
        tuple(fact.name for fact in sorted(chosen, key=lambda fact: names.index(fact.name)))
        for size in range(2, _MOST_PARTS + 1)
        for chosen in combinations(joined, size)
    ]
    return [*((fact.name,) for fact in single), *several]


def reference_candidates(
    facts: Mapping[str, Sequence[ColumnFacts]], keys: Mapping[str, tuple[str, ...]]
) -> list[Reference]:
    """Columns that may hold another table's key: named like it (``visit_id``, ``old_visit_id``), of the same family."""
    found = []
    for target, key in keys.items():
        if len(key) != 1:
            continue
        own = next(fact for fact in facts[target] if fact.name == key[0])
        for table, columns in facts.items():
            found += [
                Reference(table=table, column=fact.name, target=target)
                for fact in columns
                if table != target and fact.filled and fact.family is own.family and _names(fact.name, target, key[0])
            ]
    return found


def person_table(references: Iterable[Reference], facts: Mapping[str, Sequence[ColumnFacts]]) -> str | None:
    """The table of persons: named like one, with a date of birth, or pointed to by the most tables."""
    counts = Counter(reference.target for reference in references)
    if not counts:
        return None

    def rank(table: str) -> tuple[int, int, str]:
        hints = bool(PERSON_NAME.search(table)) + any(_BIRTH.search(fact.name) is not None for fact in facts[table])
        return hints, counts[table], table

    return max(counts, key=rank)


def infer_layouts(
    facts: Mapping[str, Sequence[ColumnFacts]],
    keys: Mapping[str, tuple[str, ...]],
    references: Sequence[Reference],
) -> Layouts:
    """The layouts of all tables from facts about columns, keys that were checked and references that hold."""
    persons = person_table(references, facts)
    held: dict[tuple[str, str], str] = {}
    for one in references:
        held.setdefault((one.table, one.column), one.target)
    tables = {}
    for table, columns in facts.items():
        layouts = tuple(
            _column(table, fact, key=keys[table], target=held.get((table, fact.name)), persons=persons)
            for fact in columns
        )
        tables[table] = TableLayout(
            name=table,
            columns=_one_person(layouts),
            key=keys[table],
            date=_main_date(columns),
            code=_main_code(layouts),
        )
    return Layouts(tables=tables, persons=persons)


def _key_rank(table: str, fact: ColumnFacts) -> int:
    name = fact.name.lower()
    if name in {f"{table}_id", "id", "row_id"}:
        return 0
    return 1 if _KEY_NAME.search(name) and fact.family in {Family.INTEGER, Family.TEXT} else 2


def _names(column: str, target: str, key: str) -> bool:
    column, key = column.lower(), key.lower()
    if key in {"id", "row_id", "nr", "key"}:
        return column in {f"{target}_{key}", f"{target}{key}"}
    return (
        column == key
        or column.endswith(f"_{key}")
        or (PERSON_NAME.search(column) is not None and column.endswith("_id") and PERSON_NAME.search(key) is not None)
    )


def _column(
    table: str, fact: ColumnFacts, *, key: tuple[str, ...], target: str | None, persons: str | None
) -> ColumnLayout:
    role = _role(fact, is_key=fact.name in key)
    is_own_key = table == persons and key == (fact.name,)
    if is_own_key or (target is not None and target == persons):
        role = Role.PERSON
    elif role is not Role.KEY and target is not None and role is not Role.DATE:
        role = Role.REFERENCE if fact.distinct > _FEW_CODES else Role.CODE
    elif (
        persons is None
        and role not in {Role.KEY, Role.DATE}
        and PERSON_NAME.search(fact.name)
        and _KEY_NAME.search(fact.name)
    ):
        role = Role.PERSON
    return ColumnLayout(name=fact.name, family=fact.family, role=role, refers_to=target, distinct=fact.distinct)


def _role(fact: ColumnFacts, *, is_key: bool) -> Role:  # noqa: C901, PLR0911 - one line for each case
    if is_key:
        return Role.KEY
    if fact.family is Family.DATE:
        return Role.DATE
    few = max(_FEW_CODES, _CODES_SHARE * fact.filled)
    if fact.family is Family.TEXT:
        if fact.length >= _PROSE_LENGTH and fact.spaced >= _PROSE_SPACES and fact.distinct > _FEW_CODES:
            return Role.TEXT
        return Role.CODE if fact.distinct <= few else Role.OTHER
    if fact.family is Family.NUMBER:
        return Role.NUMBER
    if fact.family is not Family.INTEGER:
        return Role.OTHER
    if _CODE_NAME.search(fact.name) or fact.distinct <= _FEW_CODES:
        return Role.CODE
    if _KEY_NAME.search(fact.name):
        return Role.CODE if fact.distinct <= few else Role.OTHER
    return Role.NUMBER


def _one_person(columns: tuple[ColumnLayout, ...]) -> tuple[ColumnLayout, ...]:
    """A row belongs to one person: the first such column; others are plain references."""
    seen, result = False, []
    for column in columns:
        if column.role is Role.PERSON and seen:
            result.append(replace(column, role=Role.REFERENCE))
            continue
        seen = seen or column.role is Role.PERSON
        result.append(column)
    return tuple(result)


def _main_date(facts: Sequence[ColumnFacts]) -> str | None:
    dates = [f for f in facts if f.family is Family.DATE and f.filled >= _FILLED * f.rows and not _BIRTH.search(f.name)]
    starts = [fact for fact in dates if _START.search(fact.name)]
    return next((fact.name for fact in [*starts, *dates]), None)


def _main_code(columns: Sequence[ColumnLayout]) -> str | None:
    """What a row is about: the code with the most different values that is no type, status or unit."""
    codes = [
        c for c in columns if c.role is Role.CODE and not c.refers_to and c.distinct > 1 and not _SECOND.search(c.name)
    ]
    return max(codes, key=lambda column: column.distinct).name if codes else None
