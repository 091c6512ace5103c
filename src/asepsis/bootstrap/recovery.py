"""Recovery: snapshots compared record by record, wherever they lie."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asepsis.bootstrap.backups import look_into
from asepsis.bootstrap.scratch import scratch_folder
from asepsis.domain.documents import encode_bytes
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import EntryType
from asepsis.engines.forensics.alone import look_alone
from asepsis.engines.forensics.engine import DuckForensics
from asepsis.engines.forensics.tables import is_table_file
from asepsis.errors.recovery import KeyDeclarationMalformed, SnapshotEmpty, TicketRefused
from asepsis.integrity.records.tickets import ChangeTicket, read_ticket
from asepsis.keys.files import FileKeys
from asepsis.ports import Source, TableSource
from asepsis.sealing.canonical import canonical
from asepsis.sealing.signing import Purpose
from asepsis.services.comparing import (
    TICKET_FORMAT,
    Compared,
    CompareSnapshots,
    LookedAt,
    Outputs,
    judge_snapshot,
    verified_ticket,
)
from asepsis.services.looking import LATEST, find_point

_SCRATCH: Final = "asepsis-compare-"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotAddress:
    """Where a snapshot of tables lies: a folder, or a source with a restore point."""

    text: str
    point: str = LATEST


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRequest:
    """What to compare, against which history, with which declared keys and change tickets."""

    before: SnapshotAddress
    after: SnapshotAddress
    history: tuple[Path, ...] = ()
    keys: Mapping[str, tuple[str, ...]]
    tickets: tuple[ChangeTicket, ...] = ()
    outputs: Outputs
    scratch: Path | None = None
    memory: str = "2GB"


def compare_snapshots(request: ComparisonRequest, *, step: Callable[[str], None]) -> Compared:
    """Bring both snapshots within reach, compare them, and take everything temporary away again."""
    with scratch_folder(_SCRATCH, parent=request.scratch) as scratch:
        folders = [
            _reached(address, scratch / label, step)
            for label, address in (("before", request.before), ("after", request.after))
        ]
        engine = DuckForensics(scratch=scratch, memory=request.memory, keys=request.keys)
        history = [(path.name, path) for folder in request.history for path in _snapshots(folder)]
        return CompareSnapshots(forensics=engine, step=step).compare(
            folders[0], folders[1], history=history, tickets=request.tickets, outputs=request.outputs
        )


def judge_alone(address: SnapshotAddress, *, memory: str, step: Callable[[str], None]) -> LookedAt:
    """Judge one snapshot by what its own tables say about each other."""
    with scratch_folder(_SCRATCH) as scratch:
        folder = _reached(address, scratch / "snapshot", step)
        step("comparing the tables with each other")
        return judge_snapshot(look_alone(folder, scratch=scratch, memory=memory))


def declared_keys(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Keys written as ``TABLE=COLUMN,COLUMN``. Raises KeyDeclarationMalformed."""
    keys = {}
    for text in texts:
        table, sign, columns = text.partition("=")
        names = tuple(name.strip() for name in columns.split(",") if name.strip())
        if not sign or not table.strip() or not names:
            raise KeyDeclarationMalformed(text=text)
        keys[table.strip().lower()] = names
    return keys


def signed_ticket(document: object, keys: FileKeys, *, name: str) -> dict[str, object]:
    """A change ticket under the signature of a party. Raises TicketRefused."""
    ticket = read_ticket(document, name=name)
    signature = keys.sign(Purpose.CHANGE_TICKET, canonical(ticket.to_document()))
    return {"format": TICKET_FORMAT, "ticket": ticket.to_document(), "signature": encode_bytes(signature)}


def read_tickets(paths: Sequence[Path], signer: Path | None) -> tuple[ChangeTicket, ...]:
    """Tickets from files, each signed by the key in ``signer``: 32 octets, as base64 or hexadecimal text.

    Raises TicketRefused.
    """
    if paths and signer is None:
        raise TicketRefused(ticket=str(paths[0]), problem="no public key was named that it must be signed with")
    if signer is None:
        return ()
    key = _public_key(signer)
    found = []
    for path in paths:
        try:
            document = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            raise TicketRefused(ticket=str(path), problem="it cannot be read as JSON") from None
        found.append(verified_ticket(document, name=str(path), signer=key))
    return tuple(found)


def _public_key(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError):
        raise TicketRefused(ticket=str(path), problem="it holds no public key in hexadecimal") from None
    if len(key) != 32:  # noqa: PLR2004 - Ed25519
        raise TicketRefused(ticket=str(path), problem="it holds no public key in hexadecimal")
    return key


def _snapshots(folder: Path) -> list[Path]:
    """A folder of snapshots holds one folder for each, in the order of their names."""
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _reached(address: SnapshotAddress, target: Path, step: Callable[[str], None]) -> Path:
    folder = Path(address.text)
    if folder.is_dir():
        return folder
    if ":" not in address.text:
        raise SnapshotEmpty(path=address.text)
    step(f"reading {address.text}")
    source = look_into(address.text)
    point = find_point(source, address.point)
    target.mkdir()
    if isinstance(source, TableSource):
        source.export(point.id, target)
    else:
        _copy_tables(source, point.id, target)
    return target


def _copy_tables(source: Source, point: RestorePointId, target: Path) -> None:
    for entry in source.walk(point):
        name = entry.path.rpartition("/")[2]
        if entry.type is EntryType.FILE and is_table_file(name) and not (target / name).exists():
            with source.open(point, entry.path) as stream, (target / name).open("xb") as out:
                shutil.copyfileobj(stream, out)
