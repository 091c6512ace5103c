"""dBase III/IV tables: header, fixed-length records with a deletion flag, terminator.

Values come out as the text that stands in the field, in the declared code page; the mapping gives them types. Deleted
records are data with the defect ``deleted``, so that the books show them. Memo files are not read.
Layout: dBASE Table for ON-LINE manual, "Structure of a table file (.DBF)", https://www.dbf2002.com/dbf-file-format.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from asepsis.harmonise.readers.copybook import field_name
from asepsis.harmonise.readers.record import Limits, Record, RecordKind, counted, is_charmap, read_exactly, residue

_PROLOGUE: Final = 32
_DESCRIPTOR: Final = 32
_END_OF_FIELDS: Final = 0x0D
_END_OF_FILE: Final = b"\x1a"
_LIVE, _DELETED = 0x20, 0x2A
_BATCH: Final = 4096


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    place: slice


@dataclass(frozen=True, slots=True)
class _Table:
    declared: int
    record_length: int
    fields: tuple[_Field, ...]


def read(stream: BinaryIO, *, encoding: str, limits: Limits | None = None) -> Iterator[Record]:
    """Yield the header, every record and whatever follows the terminator.

    Raises:
        LimitExceeded: the file has more records than allowed.
    """
    return counted(_records(stream, encoding), limits=limits or Limits())


def _records(stream: BinaryIO, encoding: str) -> Iterator[Record]:
    prologue = read_exactly(stream, _PROLOGUE)
    size = int.from_bytes(prologue[8:10], "little")
    header = prologue + (read_exactly(stream, size - _PROLOGUE) if size > _PROLOGUE else b"")
    table = _table(header, size)
    if table is None:
        yield from residue(stream, number=0, offset=0, head=header, defect="header_unreadable")
        return
    yield Record(0, 0, len(header), header, None, RecordKind.HEADER)
    yield from _body(stream, table, offset=len(header), encoding=encoding)


def _body(stream: BinaryIO, table: _Table, *, offset: int, encoding: str) -> Iterator[Record]:
    size, number, start = table.record_length, 1, offset
    charmap = is_charmap(encoding)
    while block := read_exactly(stream, size * _BATCH):
        for place in range(0, len(block), size):
            raw = block[place : place + size]
            if raw[:1] == _END_OF_FILE or len(raw) < size:
                yield from _ending(stream, block[place:], number=number, offset=start)
                return
            fields, defects = _decode(raw, table, encoding if charmap else None, encoding)
            extra = ("beyond_declared_count",) if number > table.declared else ()
            yield Record(number, start, size, raw, fields, RecordKind.DATA, defects + extra)
            number, start = number + 1, start + size


def _ending(stream: BinaryIO, rest: bytes, *, number: int, offset: int) -> Iterator[Record]:
    if rest[:1] == _END_OF_FILE:
        yield Record(number, offset, 1, _END_OF_FILE, None, RecordKind.HEADER)
        number, offset, rest = number + 1, offset + 1, rest[1:]
        defect = "after_end_of_file"
    else:
        defect = "truncated_final_record"
    yield from residue(stream, number=number, offset=offset, head=rest, defect=defect)


def _table(header: bytes, size: int) -> _Table | None:
    """The table that the header describes, or ``None`` where it contradicts itself."""
    if len(header) != size or size <= _PROLOGUE:
        return None
    length = int.from_bytes(header[10:12], "little")
    fields: list[_Field] = []
    place = 1
    for start in range(_PROLOGUE, size, _DESCRIPTOR):
        if header[start] == _END_OF_FIELDS:
            break
        descriptor = header[start : start + _DESCRIPTOR]
        if len(descriptor) < _DESCRIPTOR:
            return None
        name = field_name(descriptor[:11].split(b"\0")[0].decode("ascii", "replace"))
        fields.append(_Field(name, slice(place, place + descriptor[16])))
        place += descriptor[16]
    names = {field.name for field in fields}
    if not fields or place != length or len(names) != len(fields) or "" in names:
        return None
    return _Table(int.from_bytes(header[4:8], "little"), length, tuple(fields))


def _decode(
    raw: bytes, table: _Table, charmap: str | None, encoding: str
) -> tuple[dict[str, str | None] | None, tuple[str, ...]]:
    whole = raw.decode(charmap, "replace") if charmap else ""
    fields: dict[str, str | None] = {}
    defects: list[str] = []
    for field in table.fields:
        text = whole[field.place] if charmap else raw[field.place].decode(encoding, "replace")
        fields[field.name] = text
        if "\ufffd" in text:
            fields[field.name] = None
            defects.append(f"undecodable@{field.name}")
    if raw[0] == _DELETED:
        defects.append("deleted")
    elif raw[0] != _LIVE:
        defects.append("deletion_flag_unknown")
    return fields, tuple(defects)
