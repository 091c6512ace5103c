"""Batches: what every reader yields. A batch is a run of bytes cut into records, so that its records tile it.

Everything that is the exception is sparse (``kinds``, ``defects``, ``texts``): most records are whole data records, and
a batch costs little more than the bytes it holds. A defect is a word: plain for a record that cannot be used,
``reason@field`` for one field, ``+reason`` for what the reader repaired, ``-reason`` for what is left out by design.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from asepsis.errors.harmonise import LimitExceeded
from asepsis.harmonise.readers.lines import Found, Lines
from asepsis.harmonise.readers.record import Limits, Record, RecordKind

Values: TypeAlias = Sequence[str | None] | pa.Array
Defects = Mapping[int, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Records ``number`` and following, from byte ``offset`` of the file; ``ends`` are offsets into ``data``.

    ``texts`` is ``None`` where values come decoded in ``columns``; otherwise the text of a record is its bytes read as
    UTF-8, except for the records that ``texts`` names. ``plain`` says of delimited text which records are only to be
    split. ``declared`` is a count that the file states about itself, and
    ``counted`` what this batch holds of the things that such a count counts.
    """

    number: int
    offset: int
    data: bytes
    ends: NDArray[np.int32]
    kinds: Mapping[int, RecordKind] = field(default_factory=dict)
    defects: Defects = field(default_factory=dict)
    texts: Mapping[int, str | None] | None = None
    columns: Mapping[str, Values] = field(default_factory=dict)
    plain: NDArray[np.bool_] | None = None
    declared: int | None = None
    counted: int = 0

    def __len__(self) -> int:
        """How many records there are."""
        return len(self.ends)


def ends_of(lengths: Iterable[int]) -> NDArray[np.int32]:
    """Where records of these lengths (bytes) end."""
    return np.cumsum(np.fromiter(lengths, np.int32), dtype=np.int32)


def records_of(batches: Iterable[Batch]) -> Iterator[Record]:
    """Every record on its own; for tests and for looking at a file."""
    for batch in batches:
        start = 0
        columns = {name: _listed(values) for name, values in batch.columns.items()}
        for index, end in enumerate(batch.ends.tolist()):
            raw = batch.data[start:end]
            kind = batch.kinds.get(index, RecordKind.DATA)
            named = {name: values[index] for name, values in columns.items()}
            fields = named if batch.columns and kind is RecordKind.DATA else None
            defects = batch.defects.get(index, ())
            yield Record(batch.number + index, batch.offset + start, len(raw), raw, fields, kind, defects)
            start = end


def _listed(values: Values) -> Sequence[str | None]:
    return cast("Sequence[str | None]", values.to_pylist()) if isinstance(values, pa.Array) else values


def of_lines(lines: Lines, found: Found) -> Batch:
    """The lines as records, with what was found about them."""
    return Batch(
        number=lines.number,
        offset=lines.offset,
        data=lines.data,
        ends=lines.ends.astype(np.int32),
        kinds=found.kinds,
        defects=found.defects,
        texts=found.texts,
    )


def counted(batches: Iterator[Batch], *, limits: Limits) -> Iterator[Batch]:
    """Pass batches on until the limit of their records.

    Raises:
        LimitExceeded: the file has more records.
    """
    for batch in batches:
        if batch.number + len(batch) > limits.records:
            raise LimitExceeded(limit="records")
        if len(batch):
            yield batch


def single(kind: RecordKind, data: bytes, *, number: int, offset: int, defect: str | None = None) -> Batch:
    """A batch of one record."""
    defects = {0: (defect,)} if defect is not None else {}
    return Batch(number=number, offset=offset, data=data, ends=ends_of([len(data)]), kinds={0: kind}, defects=defects)
