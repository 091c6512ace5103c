"""Publishing at an owner: tables are sealed as a snapshot with a key of its own, signed, and made visible in the room.

What reaches the room is sealed, and its key is at the owner's own desk before anything is visible. The ledger knows of
a snapshot before its files are there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final

from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import Digest, PartyId, SnapshotId
from asepsis.domain.room import PublishedSnapshot
from asepsis.domain.snapshot import Label, Manifest, Origin
from asepsis.ports import Clock, OwnerKeys, Randomness, RoomState, SnapshotFiles
from asepsis.sealing.canonical import canonical
from asepsis.sealing.container import generate_data_key
from asepsis.sealing.draft import SnapshotDraft, file_name
from asepsis.sealing.manifest import SignedManifest, manifest_digest
from asepsis.sealing.signing import Purpose
from asepsis.services.audit import Audit

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

Keep = Callable[[SignedManifest, bytes], None]
"""Takes a data key into keeping, with the manifest that it belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A table to be sealed: how it is read, and how many rows it has."""

    opens: Callable[[], BinaryIO]
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """One owner's snapshots on their way into the room."""

    owner: PartyId
    state: RoomState
    files: SnapshotFiles
    keys: OwnerKeys
    audit: Audit
    clock: Clock
    randomness: Randomness

    def draft(self, dataset: str, *, label: Label, origin: Origin) -> SnapshotDraft:
        """An empty snapshot with a key of its own."""
        manifest = Manifest(
            owner=self.owner,
            dataset=dataset,
            snapshot=SnapshotId(f"{dataset}-{self.randomness(8).hex()}"),
            label=label,
            created_at=self.clock(),
            origin=origin,
            files=(),
        )
        return SnapshotDraft(manifest=manifest, dek=generate_data_key())

    def seal(
        self,
        draft: SnapshotDraft,
        tables: Mapping[str, Plain],
        *,
        folder: Path,
        keep: Keep,
        contribution: Digest,
        progress: Callable[[str, int], None] = lambda *_: None,
    ) -> PublishedSnapshot:
        """Seal the tables into a folder, sign the manifest, and give the key away; nothing is visible yet."""
        sealed = []
        for table, plain in sorted(tables.items()):
            progress(table, plain.rows)
            with plain.opens() as source, (folder / file_name(table)).open("xb") as target:
                sealed.append(draft.seal(source, target, table=table, rows=plain.rows))
        manifest = draft.finish(sealed)
        document = canonical(manifest.to_document())
        signed = SignedManifest(document=document, signature=self.keys.sign(Purpose.MANIFEST, document))
        keep(signed, draft.dek)
        return PublishedSnapshot(
            manifest=manifest,
            digest=manifest_digest(manifest),
            document=signed.document,
            signature=signed.signature,
            endorsements={},
            contribution=contribution,
            published_at=self.clock(),
        )

    def publish(self, snapshots: Sequence[PublishedSnapshot], *, facts: Mapping[str, str] = _NOTHING) -> None:
        """Intent, then the files, then - in one transaction - everything visible with its entries."""
        with self.state.acting(*(self._entry(Act.SNAPSHOT_INTENDED, item, facts) for item in snapshots)):
            pass
        for item in snapshots:
            self.files.publish(item.manifest.snapshot)
        with self.state.acting(*(self._entry(Act.SNAPSHOT_PUBLISHED, item, facts) for item in snapshots)) as tables:
            for item in snapshots:
                tables.put_snapshot(item)
        self.audit.checkpoint()

    def _entry(self, act: Act, item: PublishedSnapshot, more: Mapping[str, str]) -> LedgerEntry:
        manifest = item.manifest
        facts = {
            "dataset": manifest.dataset,
            "manifest": item.digest,
            "label": manifest.label.value,
            "mapping": manifest.origin.mapping,
            "books": manifest.origin.books,
            "files": len(manifest.files),
            **more,
        }
        return LedgerEntry(at=self.clock(), actor=self.owner, act=act, subject=manifest.snapshot, facts=facts)
