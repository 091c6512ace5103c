# ruff: noqa: E501 - sentences
"""Every divergence by its code: what it says in plain words, what to do next, and how specific it is.

``weight`` ranks: what names a cause ranks above what only counts. Sentences take names of tables and columns, counts
and evidence numbers, never a value of a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from asepsis.integrity.records.values import Divergence


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFacts:
    """What is said of all divergences of one code."""

    says: str
    next: str
    weight: float


_COMPARE: Final = "Compare the listed rows with the source's audit trail; take the older values from the revert patch."
_RESTORE: Final = "Restore the rows from the revert patch unless a signed change order explains them."

CODES: Final[Mapping[str, CodeFacts]] = {
    "schema.table_gone": CodeFacts(says="The table {table} is gone.", next=_RESTORE, weight=9),
    "schema.table_added": CodeFacts(
        says="The table {table} is new.", next="Ask who added it; nothing of it was compared.", weight=1
    ),
    "schema.column_gone": CodeFacts(
        says="The column {columns} of {table} is gone, with the values of all {rows} rows.", next=_RESTORE, weight=9
    ),
    "schema.column_added": CodeFacts(
        says="The column {columns} of {table} is new.", next="Ask for the change order of the upgrade.", weight=1
    ),
    "schema.type_changed": CodeFacts(
        says="The column {columns} of {table} has another type than before.",
        next="Ask for the change order of the upgrade; values were compared all the same.",
        weight=8,
    ),
    "rows.rolled_back": CodeFacts(
        says="{table} holds exactly what an older snapshot held ({same_as}): newer work on it is lost.",
        next="Restore the table from the newest clean snapshot.",
        weight=10,
    ),
    "rows.truncated": CodeFacts(
        says="{rows} rows of {table} are gone: {left} are left of {before}.", next=_RESTORE, weight=9
    ),
    "rows.group_deleted": CodeFacts(
        says="Every row of {table} with {groups} value(s) of {columns} is gone: {rows} rows.", next=_RESTORE, weight=9
    ),
    "rows.deleted": CodeFacts(
        says="{rows} rows of {table} are gone, {sealed} of them older than 60 days; at most {usual} are usual.",
        next=_RESTORE,
        weight=6,
    ),
    "rows.deleted_with_persons": CodeFacts(
        says="{rows} rows of {table} went together with their persons.",
        next="Look at the deleted persons first.",
        weight=3,
    ),
    "persons.erased": CodeFacts(
        says="{rows} persons are gone with all their rows.",
        next="Ask for the erasure order; without one, restore the rows from the revert patch.",
        weight=6,
    ),
    "rows.backdated": CodeFacts(
        says="{rows} new rows of {table} tell of events more than 60 days back; at most {usual} such rows are usual.",
        next="Ask for the order of the backfill; check the rows against the source.",
        weight=6,
    ),
    "rows.copied": CodeFacts(
        says="{rows} new rows of {table} repeat other rows in everything but their key; at most {usual} are usual.",
        next="Take the repeated rows out with the revert patch.",
        weight=8,
    ),
    "rows.inserted_burst": CodeFacts(
        says="{rows} rows came to {table}; at most {usual} are usual.", next="Ask for the cause of the burst.", weight=3
    ),
    "keys.duplicated": CodeFacts(
        says="{rows} new rows of {table} have a key that another row has, too.", next=_RESTORE, weight=8
    ),
    "references.orphaned": CodeFacts(
        says="{rows} more rows of {table} name a row in {columns} that is not there.",
        next="Restore the rows that are named; they were removed without what belongs to them.",
        weight=7,
    ),
    "dates.future": CodeFacts(says="{rows} rows of {table} got dates far in the future.", next=_COMPARE, weight=8),
    "dates.reversed": CodeFacts(
        says="In {rows} rows of {table} {columns} are now in the wrong order.", next=_COMPARE, weight=8.5
    ),
    "dates.shifted": CodeFacts(
        says="{columns} of {rows} rows of {table} moved by the same {shift:+g} days.", next=_COMPARE, weight=8
    ),
    "persons.swapped": CodeFacts(
        says="{rows} rows of {table} were exchanged between persons who both still exist.", next=_COMPARE, weight=8
    ),
    "persons.permuted": CodeFacts(
        says="{rows} rows of {table} belong to other persons than before: the column was shuffled.",
        next=_COMPARE,
        weight=9,
    ),
    "persons.reassigned": CodeFacts(
        says="{rows} rows of {table} belong to other persons than before, and no merge explains it.",
        next=_COMPARE,
        weight=7,
    ),
    "persons.merges_many": CodeFacts(
        says="{rows} persons were merged or split; at most {usual} are usual.",
        next="Check the list of merges of the patient index.",
        weight=5,
    ),
    "codes.swapped": CodeFacts(
        says="{columns} of {rows} rows of {table} exchanged their values with each other.", next=_COMPARE, weight=8
    ),
    "codes.replaced": CodeFacts(
        says="{columns} of {rows} rows of {table} got another code; {share:.0%} of them the same one for the same one.",
        next=_COMPARE,
        weight=7,
    ),
    "codes.unknown": CodeFacts(
        says="{rows} rows of {table} have values in {columns} that were never there before.",
        next="Check the values against the vocabulary.",
        weight=4,
    ),
    "cells.nulled": CodeFacts(says="{columns} of {rows} rows of {table} lost their values.", next=_RESTORE, weight=8),
    "cells.scaled": CodeFacts(
        says="{columns} of {rows} rows of {table} were multiplied by {ratio:.4g}.", next=_COMPARE, weight=8.5
    ),
    "cells.shifted": CodeFacts(
        says="{columns} of {rows} rows of {table} were moved by the same {shift:+.4g}.", next=_COMPARE, weight=8
    ),
    "cells.changed": CodeFacts(
        says="{columns} of {rows} rows of {table} changed, {sealed} of them older than 60 days; {usual} are usual at most.",
        next=_COMPARE,
        weight=6,
    ),
    "cells.drip": CodeFacts(
        says="Old rows of {table} are edited more and more: {rows} today, and many of the days before.",
        next="Look at the edits of old rows of the last weeks together.",
        weight=5,
    ),
    "text.not_text": CodeFacts(
        says="{columns} of {rows} rows of {table} held text and hold something unreadable now: encrypted or encoded.",
        next="Restore the texts from the revert patch, and treat the source as attacked.",
        weight=9.5,
    ),
    "text.lookalikes": CodeFacts(
        says="{columns} of {rows} rows of {table} mix letters of several alphabets, or hide invisible signs.",
        next=_COMPARE,
        weight=7,
    ),
    "values.drift": CodeFacts(
        says="New values of {columns} of {table} differ from older ones by {shift:+.2g} standard deviations{within}.",
        next="Ask for a change of method or device; else compare the new rows with the source.",
        weight=6.5,
    ),
    "files.digest_wrong": CodeFacts(
        says="The content of {table} is not what the list of digests beside it says.",
        next="Fetch the file again from where it was made; do not use this copy.",
        weight=7,
    ),
    "files.missing": CodeFacts(
        says="{rows} files that the list of digests names are not there.",
        next="Ask whether they were left out on purpose.",
        weight=1,
    ),
    "references.strange": CodeFacts(
        says="{rows} of {of} rows of {table} have a {columns} that {owner} does not know; {witnesses} other tables find all of theirs there.",
        next="Do not use the table: its ids were replaced. Fetch it again.",
        weight=9,
    ),
    "references.disagree": CodeFacts(
        says="For {rows} of {of} values of {first}, {table} names another {columns} than {witnesses} other tables do.",
        next="Do not use the table: its rows were given to others. Fetch it again.",
        weight=9,
    ),
    "dates.after_death": CodeFacts(
        says="In {rows} of {of} rows of {table} with both, something happened after the death ({columns}).",
        next="Compare the dates of death with those of the table of persons.",
        weight=8,
    ),
    "dates.spelled_otherwise": CodeFacts(
        says="Dates of {table} ({columns}) are spelled in another way than in all other tables: they were written by another program.",
        next="Ask what the file was opened and saved with; fetch it again.",
        weight=6,
    ),
    "tickets.exceeded": CodeFacts(
        says="{rows} rows of {table} fit the change ticket {ticket}, which allows fewer: it explains none.",
        next="Ask who signed the ticket why more was changed.",
        weight=5,
    ),
}


class _Words(dict[str, object]):
    """Numbers that a template asks for and a divergence does not have read as a dot."""

    def __missing__(self, key: str) -> object:
        return _Missing()


class _Missing:
    def __format__(self, _spec: str) -> str:
        return "·"


def sentence(divergence: Divergence) -> str:
    """The divergence in plain words."""
    words = _Words(
        {
            **{name: _number(value) for name, value in divergence.numbers.items()},
            **divergence.names,
            "table": divergence.table,
            "columns": ", ".join(divergence.columns),
            "rows": divergence.rows,
        }
    )
    return CODES[divergence.code].says.format_map(words) + _concentration(divergence)


def _concentration(divergence: Divergence) -> str:
    column, key = divergence.names.get("concentrated"), divergence.names.get("neighbours")
    said = ""
    if column is not None:
        said += f" {divergence.numbers.get('concentration', 0.0):.0%} of these rows share one value of {column}."
    if key is not None:
        said += f" Most of them lie within {divergence.numbers.get('key_range', 0.0):.1%} of the range of {key}."
    return said


def _number(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value
