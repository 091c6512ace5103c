"""Partners: the values of records that other entries' records are joined to, which is all that a join needs of them.

Invariant: the partners of a run do not depend on what becomes of its records, so that they can be kept and joined again
when quarantined records are judged without the backup.
"""

# ruff: noqa: S608 - the SQL is written here from checked names and quoted literals; no data enters it

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from typing import Final

from asepsis.harmonise.entries import FileEntry
from asepsis.harmonise.expressions import quote_name, quote_text
from asepsis.harmonise.extraction import extract
from asepsis.harmonise.mapping import Mapping

UNREAD: Final = "NOT contains(d, '@') AND d[1] NOT IN ('+', '-') AND d <> 'deleted'"
"""A defect ``d`` for which a record cannot be read whole."""
_NONE: Final = "SELECT NULL::VARCHAR AS entry, NULL::MAP(VARCHAR, VARCHAR) AS fields WHERE FALSE"


def landed_partners(entry: FileEntry) -> str:
    """Select the landed records of an entry that can be read whole, with their fields."""
    return f"SELECT * FROM ({extract(entry)}) WHERE len(list_filter(defects, lambda d: {UNREAD})) = 0"


def kept_partners(mapping: Mapping, kept: str) -> dict[str, str]:
    """For each joined entry, select its partners from what an earlier run has kept (see ``all_partners``)."""
    found = {}
    for entry, fields in mapping.joined.items():
        columns = ", ".join(f"fields[{quote_text(name)}] AS {quote_name(f'f.{name}')}" for name in fields)
        found[entry] = f"SELECT {columns} FROM {kept} WHERE entry = {quote_text(entry)}"
    return found


def all_partners(mapping: Mapping, sources: MappingOf[str, str] | None = None) -> str:
    """Select ``entry`` and ``fields`` of all partners, once each; they are landed if ``sources`` names no others."""
    parts = []
    for entry, fields in mapping.joined.items():
        source = landed_partners(mapping.files[entry]) if sources is None else sources[entry]
        columns = ", ".join(quote_name(f"f.{name}") for name in fields)
        pairs = ", ".join(f"{quote_text(name)}: {quote_name(f'f.{name}')}" for name in fields)
        found = f"SELECT DISTINCT {columns} FROM ({source}) ORDER BY {columns}"
        parts.append(f"(SELECT {quote_text(entry)} AS entry, MAP {{{pairs}}} AS fields FROM ({found}))")
    return " UNION ALL ".join(parts) if parts else _NONE
