"""The link map: one row for every record, with an identifier that says nothing but "the same person".

Invariant: identifiers are random, never derived from what was linked.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from asepsis.errors.linkage import RandomnessRefused

_BYTES: Final = 8
_BITS: Final = 62
_ATTEMPTS: Final = 8
_SCHEMA: Final = pa.schema(
    [
        pa.field("owner", pa.string(), nullable=False),
        pa.field("person_id", pa.int64(), nullable=False),
        pa.field("link_id", pa.int64(), nullable=False),
    ],
)


def draw_ids(count: int, *, randomness: Callable[[int], bytes]) -> list[int]:
    """``count`` distinct random numbers of 62 bits. Raises RandomnessRefused."""
    drawn: dict[int, None] = {}
    for _ in range(_ATTEMPTS):
        missing = count - len(drawn)
        if not missing:
            break
        data = randomness(missing * _BYTES)
        if len(data) != missing * _BYTES:
            raise RandomnessRefused
        numbers = (int.from_bytes(data[at : at + _BYTES], "big") for at in range(0, len(data), _BYTES))
        drawn.update(dict.fromkeys(number >> (_BYTES * 8 - _BITS) for number in numbers))
    if len(drawn) != count:
        raise RandomnessRefused
    return list(drawn)


def write(output: Path, *, owners: Sequence[str], person_ids: Sequence[int], link_ids: Sequence[int]) -> None:
    """Write the link map in one piece, so that ``output`` may be anonymous memory, which has no place beside it."""
    table = pa.table({"owner": owners, "person_id": person_ids, "link_id": link_ids}, schema=_SCHEMA)
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd")
    output.write_bytes(content.getvalue())
