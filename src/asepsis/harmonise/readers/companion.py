"""Companions: files that only say something about other files of the source, each landed whole as one record.

A copybook describes the records of a file. The manifest of a FHIR bulk export says how many resources each file of it
has (FHIR Bulk Data Access IG 2.0, "Response - Complete Status"): what was exported but has not arrived shows there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Final
from urllib.parse import unquote, urlsplit

from asepsis.errors.harmonise import CopybookRefused
from asepsis.harmonise.readers.batch import Batch, single
from asepsis.harmonise.readers.copybook import Layout, parse_copybook
from asepsis.harmonise.readers.record import Limits, RecordKind, read_exactly, rest_of

_LISTS: Final = ("output", "deleted", "error")


def read(stream: BinaryIO, *, understood: Callable[[bytes], Any], limits: Limits | None = None) -> Iterator[Batch]:
    """Yield the file as one record: context where it is understood, else a data record with a defect.

    A file beyond the limit of a record is residue.
    """
    limits = limits or Limits()
    data = read_exactly(stream, limits.record_bytes + 1)
    if len(data) > limits.record_bytes:
        offset = 0
        for number, piece in enumerate(rest_of(stream, data)):
            yield single(RecordKind.RESIDUE, piece, number=number, offset=offset)
            offset += len(piece)
    elif data and understood(data) is None:
        yield single(RecordKind.DATA, data, number=0, offset=0, defect="companion_not_understood")
    elif data:
        yield single(RecordKind.CONTEXT, data, number=0, offset=0)


def layout_of(data: bytes, encoding: str) -> Layout | None:
    """The layout that a copybook describes; ``None`` if it cannot be read."""
    try:
        return parse_copybook(data.decode(encoding))
    except (UnicodeDecodeError, CopybookRefused):
        return None


def exported_counts(data: bytes) -> dict[str, int | None] | None:
    """The names of the files that a manifest lists and how many resources each has, where it says so.

    ``None`` if it is no manifest, or lists a name twice.
    """
    try:
        document = json.loads(data)
        listed = [item for name in _LISTS for item in document.get(name, ())]
        found = {_file_name(item["url"]): item.get("count") for item in listed}
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError):
        return None
    whole = len(found) == len(listed) and "output" in document and "" not in found
    return found if whole and all(map(_is_count, found.values())) else None


def _file_name(url: str) -> str:
    return unquote(urlsplit(url).path).rpartition("/")[2]


def _is_count(value: Any) -> bool:
    return value is None or (type(value) is int and value >= 0)
