"""dBase III/IV tables: header, fixed-length records with a deletion flag, terminator.

Values come out as the text that stands in the field, in the declared code page; the mapping gives them types. Deleted
records are data with the defect ``deleted``, so that the books show them. Memo files are not read.
Layout: dBASE Table for ON-LINE manual, "Structure of a table file (.DBF)", https://www.dbf2002.com/dbf-file-format.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asepsis.harmonise.readers.batch import Batch, Values, counted, single
from asepsis.harmonise.readers.copybook import field_name
from asepsis.harmonise.readers.record import Limits, RecordKind, read_exactly, rest_of
from asepsis.harmonise.readers.text_columns import Bytes, Flags, text_page

_PROLOGUE: Final = 32
_DESCRIPTOR: Final = 32
_END_OF_FIELDS: Final = 0x0D
_END_OF_FILE: Final = b"\x1a"
_LIVE: Final = b" "
_FLAGS: Final = {0x2A: "deleted"}
_LOST: Final = "\ufffd"
_BATCH: Final = 16_384


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    place: slice


@dataclass(frozen=True, slots=True)
class _Table:
    declared: int
    record_length: int
    fields: tuple[_Field, ...]


def read(stream: BinaryIO, *, encoding: str, limits: Limits | None = None) -> Iterator[Batch]:
    """Yield the header, every record and whatever follows the terminator.

    Raises:
        LimitExceeded: the file has more records than allowed.
    """
    return counted(_batches(stream, encoding), limits=limits or Limits())


def _batches(stream: BinaryIO, encoding: str) -> Iterator[Batch]:
    prologue = read_exactly(stream, _PROLOGUE)
    size = int.from_bytes(prologue[8:10], "little")
    header = prologue + (read_exactly(stream, size - _PROLOGUE) if size > _PROLOGUE else b"")
    table = _table(header, size)
    if table is None:
        yield from _residue(stream, header, number=0, offset=0, defect="header_unreadable")
        return
    yield single(RecordKind.HEADER, header, number=0, offset=0)
    yield from _body(stream, table, offset=len(header), encoding=encoding)


def _body(stream: BinaryIO, table: _Table, *, offset: int, encoding: str) -> Iterator[Batch]:
    size, number = table.record_length, 1
    while block := read_exactly(stream, size * _BATCH):
        count = len(block) // size
        flags = block[0 : count * size : size]
        end = flags.find(_END_OF_FILE)
        count = end if end >= 0 else count
        whole, rest = block[: count * size], block[count * size :]
        if count:
            yield _records(whole, table, encoding, number=number, offset=offset)
        number, offset = number + count, offset + len(whole)
        if rest:
            yield from _ending(stream, rest, number=number, offset=offset)
            return


def _ending(stream: BinaryIO, rest: bytes, *, number: int, offset: int) -> Iterator[Batch]:
    defect = "truncated_final_record"
    if rest[:1] == _END_OF_FILE:
        yield single(RecordKind.HEADER, _END_OF_FILE, number=number, offset=offset)
        number, offset, rest = number + 1, offset + 1, rest[1:]
        defect = "after_end_of_file"
    yield from _residue(stream, rest, number=number, offset=offset, defect=defect)


def _residue(stream: BinaryIO, head: bytes, *, number: int, offset: int, defect: str) -> Iterator[Batch]:
    for piece in rest_of(stream, head):
        yield single(RecordKind.RESIDUE, piece, number=number, offset=offset, defect=defect)
        number, offset = number + 1, offset + len(piece)


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


def _records(whole: bytes, table: _Table, encoding: str, *, number: int, offset: int) -> Batch:
    """Whole records, decoded column by column."""
    size = table.record_length
    count = len(whole) // size
    defects: dict[int, tuple[str, ...]] = {}
    flags = whole[0::size]
    if flags.strip(_LIVE):
        defects = {
            index: (_FLAGS.get(flag, "deletion_flag_unknown"),) for index, flag in enumerate(flags) if flag != _LIVE[0]
        }
    for index in range(max(table.declared - number + 1, 0), count):
        defects[index] = (*defects.get(index, ()), "beyond_declared_count")
    columns: dict[str, Values] = {}
    rows = np.frombuffer(whole, np.uint8).reshape(count, size)
    page = text_page(encoding)
    translated = rows if page is None else page.translate(rows)
    for field in table.fields:
        cells = rows[:, field.place]
        column, good = _decoded(cells, encoding) if page is None else page.column(cells, translated[:, field.place])
        if not good.all():
            column = pc.if_else(pa.array(good), column, pa.scalar(None, pa.string()))
            for index in np.flatnonzero(~good).tolist():
                defects[index] = (*defects.get(index, ()), f"undecodable@{field.name}")
        columns[field.name] = column
    ends = np.arange(size, len(whole) + 1, size, dtype=np.int32)
    return Batch(number=number, offset=offset, data=whole, ends=ends, defects=defects, columns=columns)


def _decoded(cells: Bytes, encoding: str) -> tuple[pa.Array, Flags]:
    """The texts of a field where a character may take several bytes."""
    texts = [row.tobytes().decode(encoding, "replace") for row in cells]
    return pa.array(texts, pa.string()), np.array([_LOST not in text for text in texts])
