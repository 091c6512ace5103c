"""Contribution: from a restore point to two sealed snapshots in the room, all of it or nothing.

It runs at the owner. Harmonised rows, quarantine and books stay in the owner's home; what reaches the room is
sealed, and its keys go to the owner's own desk only. Identifiers and clinical tables become two snapshots with
two keys. Killed at any point, the same command finishes: the harmonised run is found again by its digests, a
half-made snapshot is made anew, and the room sees both snapshots or none.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from asepsis.domain.books import Books, books_from_dict
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import Digest, PartyId, RestorePointId, SnapshotId
from asepsis.domain.room import PublishedSnapshot
from asepsis.domain.snapshot import Label, Manifest, Origin, SealedFile
from asepsis.domain.source import EntryType
from asepsis.ports import Clock, OwnDesk, OwnerKeys, Randomness, RoomState, SnapshotFiles, Source
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.container import generate_data_key, seal
from asepsis.sealing.context import file_context
from asepsis.sealing.keys import file_key
from asepsis.sealing.manifest import SignedManifest, manifest_digest
from asepsis.sealing.signing import Purpose
from asepsis.services.audit import Audit

Opener = Callable[[], BinaryIO]
Progress = Callable[[str, str, int], None]
"""Called with stage, subject and records done."""


class Harmonised(Protocol):
    """What a harmonised run leaves at the owner (see ``engines.harmonise``)."""

    tables: Mapping[str, Path]
    identity: Path
    quarantine: Path
    excluded: Path
    merged: Path
    provenance: Path
    books: Books
    row_counts: Mapping[str, int]
    mapping_digest: Digest
    label: str


class MappedSource(Protocol):
    """A checked mapping, as far as a contribution has to know it."""

    dataset: str
    digest: Digest
    label: str


class Harmonise(Protocol):
    """Lands, stages and splits the files of a source under a mapping; refuses if the books do not balance."""

    def __call__(self, files: Mapping[str, Opener], *, run: str, workdir: Path, progress: Progress) -> Harmonised:
        """The harmonised run; the same inputs find the same finished run again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """What came of it: the snapshots in the room, and the books, which balance."""

    snapshots: tuple[PublishedSnapshot, ...]
    books: Books
    folder: Path
    repeated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribute:
    """One owner's contributions."""

    owner: PartyId
    home: Path
    state: RoomState
    files: SnapshotFiles
    desk: OwnDesk
    keys: OwnerKeys
    audit: Audit
    clock: Clock
    randomness: Randomness

    def contribute(
        self,
        source: Source,
        point: RestorePointId,
        *,
        mapping: MappedSource,
        harmonise: Harmonise,
        progress: Progress = lambda *_: None,
    ) -> Contribution:
        """Harmonise, seal and publish one restore point under a mapping; done before, it is only reported again.

        Raises the errors of the source, of the mapping, BooksDoNotBalance, or of the desk; nothing is then visible.
        """
        contribution = digest(
            {"owner": self.owner, "source": source.kind, "restore_point": point, "mapping": mapping.digest}
        )
        folder = self.home / "contributions" / contribution[:16]
        known = tuple(item for item in self.state.snapshots() if item.contribution == contribution)
        if known:
            books = books_from_dict(json.loads((folder / "books.json").read_text()))
            return Contribution(snapshots=known, books=books, folder=folder, repeated=True)
        files = {
            entry.path: _opener(source, point, entry.path)
            for entry in source.walk(point)
            if entry.type is EntryType.FILE
        }
        work = self.home / "work"
        run = harmonise(files, run=contribution[:16], workdir=work, progress=progress)
        _keep(run, folder)
        origin = Origin(
            source_kind=source.kind,
            restore_point=point,
            mapping=mapping.digest,
            books=digest(run.books.as_dict()),
        )
        tables = {
            f"{mapping.dataset}-clinical": dict(run.tables),
            f"{mapping.dataset}-identity": {"identity": run.identity},
        }
        snapshots = tuple(
            self._seal(dataset, paths, run=run, origin=origin, contribution=contribution, progress=progress)
            for dataset, paths in tables.items()
        )
        self._publish(snapshots)
        shutil.rmtree(work / contribution[:16], ignore_errors=True)
        return Contribution(snapshots=snapshots, books=run.books, folder=folder, repeated=False)

    def _seal(
        self,
        dataset: str,
        tables: Mapping[str, Path],
        *,
        run: Harmonised,
        origin: Origin,
        contribution: Digest,
        progress: Progress,
    ) -> PublishedSnapshot:
        """Seal the tables under a fresh key, sign the manifest, give the key to the desk."""
        snapshot = SnapshotId(f"{dataset}-{self.randomness(8).hex()}")
        folder = self.files.incoming(snapshot)
        dek = generate_data_key()
        sealed = []
        for table, path in sorted(tables.items()):
            progress("seal", table, run.row_counts.get(table, 0))
            sealed.append(
                self._seal_file(
                    path,
                    folder,
                    dataset=dataset,
                    snapshot=snapshot,
                    table=table,
                    dek=dek,
                    rows=run.row_counts.get(table, 0),
                )
            )
        manifest = Manifest(
            owner=self.owner,
            dataset=dataset,
            snapshot=snapshot,
            label=Label(run.label),
            created_at=self.clock(),
            origin=origin,
            files=tuple(sealed),
        )
        document = canonical(manifest.to_document())
        signed = SignedManifest(document=document, signature=self.keys.sign(Purpose.MANIFEST, document))
        self.desk.register(signed, dek=dek)
        return PublishedSnapshot(
            manifest=manifest,
            digest=manifest_digest(manifest),
            document=signed.document,
            signature=signed.signature,
            endorsements={},
            contribution=contribution,
            published_at=self.clock(),
        )

    def _seal_file(
        self, path: Path, folder: Path, *, dataset: str, snapshot: SnapshotId, table: str, dek: bytes, rows: int
    ) -> SealedFile:
        file_id = f"{table}.sealed"
        context = file_context(self.owner, dataset=dataset, snapshot=snapshot, file_id=file_id, table=table)
        with path.open("rb") as plain, (folder / file_id).open("xb") as target:
            receipt = seal(plain, target, key=file_key(dek, file_id), context=context)
        return SealedFile(
            id=file_id,
            table=table,
            rows=rows,
            length=receipt.length,
            sealed_length=receipt.sealed_length,
            root=receipt.root,
        )

    def _publish(self, snapshots: tuple[PublishedSnapshot, ...]) -> None:
        """Intent, then the files, then - in one transaction - everything visible with its entries."""
        with self.state.acting(*(self._entry(Act.SNAPSHOT_INTENDED, item) for item in snapshots)):
            pass
        for item in snapshots:
            self.files.publish(item.manifest.snapshot)
        with self.state.acting(*(self._entry(Act.SNAPSHOT_PUBLISHED, item) for item in snapshots)) as tables:
            for item in snapshots:
                tables.put_snapshot(item)
        self.audit.checkpoint()

    def _entry(self, act: Act, item: PublishedSnapshot) -> LedgerEntry:
        manifest = item.manifest
        facts = {
            "dataset": manifest.dataset,
            "manifest": item.digest,
            "label": manifest.label.value,
            "mapping": manifest.origin.mapping,
            "books": manifest.origin.books,
            "files": len(manifest.files),
        }
        return LedgerEntry(at=self.clock(), actor=self.owner, act=act, subject=manifest.snapshot, facts=facts)


def _opener(source: Source, point: RestorePointId, path: str) -> Opener:
    return lambda: source.open(point, path)


def _keep(run: Harmonised, folder: Path) -> None:
    """Books, quarantine and provenance stay with the owner, whole or not at all."""
    draft = folder.with_name(folder.name + ".partial")
    for leftover in (draft, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    draft.mkdir(parents=True, mode=0o700)
    for path in (run.quarantine, run.excluded, run.merged, run.provenance):
        shutil.copyfile(path, draft / path.name)
    (draft / "books.json").write_text(json.dumps(run.books.as_dict(), indent=1, sort_keys=True))
    (draft / "books.txt").write_text(run.books.as_text() + "\n")
    draft.rename(folder)
