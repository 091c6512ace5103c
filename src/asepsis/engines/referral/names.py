"""The names of referred patients, where identifiers stay at home: sealed person by person, opened by who has the keys.

Two tables come of an identity table. The *register* stays in the owner's home: for every person the identifiers, sealed
under a key of that person. The *name keys* go with the clinical tables, and reach a clinical team in a referral: those
of the referred persons, and no others. So the team names its patients, the owner does not learn who was referred, and
the runtime never has an identifier.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from asepsis.domain.names import PartyId
from asepsis.engines.linkage.identities import read_identities
from asepsis.errors.room import RegisterUnreadable
from asepsis.errors.sealing import EnvelopeRefused
from asepsis.sealing.person_records import KEY_BYTES, open_record, seal_record

Records = list[dict[str, object]]

_KEYS: Final = pa.schema([("person_id", pa.int64()), ("name_key", pa.string())])
_REGISTER: Final = pa.schema([("person_id", pa.int64()), ("sealed", pa.binary())])
_PERSONS_AT_ONCE: Final = 10_000


def seal_names(
    identities: Path | BinaryIO, *, owner: PartyId, keys: Path, register: Path, randomness: Callable[[int], bytes]
) -> int:
    """Write the name keys and the register of an identity table; returns the number of persons in them.

    Raises IdentityUnreadable, IdentityColumnRefused or PersonIdMissing.
    """
    table = read_identities(owner, identities).sort_by("person_id")
    persons = 0
    with pq.ParquetWriter(keys, _KEYS, compression="zstd") as kept, pq.ParquetWriter(register, _REGISTER) as sealed:
        for batch in _batches(table):
            chosen = [(person, randomness(KEY_BYTES)) for person, _ in batch]
            records = [
                seal_record(json.dumps(rows, default=str).encode(), key=key, owner=owner, person=person)
                for (person, rows), (_, key) in zip(batch, chosen, strict=True)
            ]
            numbers = [person for person, _ in chosen]
            kept.write_table(pa.table([numbers, [key.hex() for _, key in chosen]], schema=_KEYS))
            sealed.write_table(pa.table([numbers, records], schema=_REGISTER))
            persons += len(batch)
    return persons


def open_names(register: Path, keys: Mapping[int, str], *, owner: PartyId) -> Records:
    """The identity rows of the persons whose name keys are given.

    Raises RegisterUnreadable where the file is no register, or another one than the keys are for.
    """
    try:
        wanted = pc.field("person_id").isin(pa.array(list(keys), pa.int64()))
        found = pq.read_table(register, schema=_REGISTER, filters=wanted)
        rows = [_opened(row["sealed"], keys[row["person_id"]], owner, row["person_id"]) for row in found.to_pylist()]
    except (pa.ArrowException, OSError, ValueError, EnvelopeRefused):
        raise RegisterUnreadable(owner=owner) from None
    if len(rows) < len(keys):
        raise RegisterUnreadable(owner=owner)
    return [row for person in rows for row in person]


def _opened(sealed: bytes, key: str, owner: PartyId, person: int) -> Records:
    rows: Records = json.loads(open_record(sealed, key=bytes.fromhex(key), owner=owner, person=person))
    return rows


def _batches(table: pa.Table) -> Iterator[Sequence[tuple[int, Records]]]:
    """Persons with their rows, some at a time; the table is sorted by person."""
    rows = (row for batch in table.to_batches(max_chunksize=_PERSONS_AT_ONCE) for row in batch.to_pylist())
    persons = ((person, list(group)) for person, group in groupby(rows, key=lambda row: int(row["person_id"])))
    while batch := list(islice(persons, _PERSONS_AT_ONCE)):
        yield batch
