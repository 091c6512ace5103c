"""Contribution: from a restore point to two sealed snapshots in the room, all of it or nothing.

It runs at the owner. Harmonised rows, quarantine and books stay in the owner's home; what reaches the room is
sealed, and its keys go to the owner's own desk only. Identifiers and clinical tables become two snapshots with
two keys. The one with identifiers stays in the owner's home, unless the contract in force links by identifiers in the
room, or the owner sends them. Killed at any point, the same command finishes: the harmonised run is found again by its
digests, a half-made snapshot is made anew, and the room sees everything that it is to see or nothing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from asepsis.domain.asking import Principal, PrincipalKind
from asepsis.domain.books import Books, books_from_dict
from asepsis.domain.contract import Contract
from asepsis.domain.datasets import NAME_KEYS, Holding
from asepsis.domain.names import Digest, PartyId, RestorePointId
from asepsis.domain.parties import Role
from asepsis.domain.room import PublishedSnapshot
from asepsis.domain.snapshot import Label, Origin
from asepsis.domain.source import Entry, EntryType
from asepsis.errors.contract import (
    ContractExpired,
    ContractNotInForce,
    ContractNotSigned,
    ContractNotYetValid,
    NoContract,
)
from asepsis.errors.desk import ContractNotSignedHere
from asepsis.errors.linkage import IdentifiersStayHome
from asepsis.errors.room import ForeignMapping
from asepsis.ports import Clock, OwnDesk, OwnerKeys, Randomness, RoomState, SnapshotFiles, Source
from asepsis.sealing.canonical import digest
from asepsis.services.access import Access, contributing
from asepsis.services.audit import Audit
from asepsis.services.contracts import Contracts
from asepsis.services.identities import IDENTITY, HomeIdentities
from asepsis.services.publishing import Plain, Publishing

_NOT_AGREED: Final = (
    NoContract,
    ContractNotInForce,
    ContractNotSigned,
    ContractNotSignedHere,
    ContractExpired,
    ContractNotYetValid,
)

Opener = Callable[[], BinaryIO]
Progress = Callable[[str, str, int], None]
"""Called with stage, subject and records done."""


class Harmonised(Protocol):
    """What a harmonised run leaves at the owner (see ``engines.harmonise``)."""

    @property
    def tables(self) -> Mapping[str, Path]:
        """The clinical tables, Parquet."""
        ...

    @property
    def identity(self) -> Path:
        """The identity table."""
        ...

    @property
    def quarantine(self) -> Path:
        """Records that were set aside."""
        ...

    @property
    def excluded(self) -> Path:
        """Records left out, with the reason."""
        ...

    @property
    def merged(self) -> Path:
        """Duplicates, with the record they repeat."""
        ...

    @property
    def provenance(self) -> Path:
        """Where every row comes from."""
        ...

    @property
    def waiting(self) -> Path:
        """Quarantined records as they were landed."""
        ...

    @property
    def persons(self) -> Path:
        """Accepted persons: the source's key and the id."""
        ...

    @property
    def partners(self) -> Path:
        """The values that records were joined to."""
        ...

    @property
    def reading(self) -> Path:
        """How the files were read."""
        ...

    @property
    def books(self) -> Books:
        """The reconciliation."""
        ...

    @property
    def row_counts(self) -> Mapping[str, int]:
        """Rows by table."""
        ...

    @property
    def label(self) -> str:
        """Real or synthetic."""
        ...


class MappedSource(Protocol):
    """A checked mapping, as far as a contribution has to know it."""

    @property
    def owner(self) -> str:
        """Whose data the mapping is for."""
        ...

    @property
    def dataset(self) -> str:
        """The name of the dataset that it makes."""
        ...

    @property
    def digest(self) -> Digest:
        """What identifies the mapping."""
        ...

    @property
    def free_text(self) -> frozenset[str]:
        """The columns that it fills with free text, as ``table.column``."""
        ...


class Harmonise(Protocol):
    """Lands, stages and splits the files of a source under a mapping; refuses if the books do not balance."""

    def __call__(
        self, files: Mapping[str, Opener], *, run: str, texts: frozenset[str], workdir: Path, progress: Progress
    ) -> Harmonised:
        """The harmonised run with this free text and no other; the same inputs find the same finished run again."""
        ...


class Assess(Protocol):
    """Judges the quality of what was harmonised."""

    def __call__(self, run: Harmonised) -> Mapping[str, str]:
        """The reports to keep beside the books: name of the file to its text."""
        ...


class SealNames(Protocol):
    """Seals identifiers person by person."""

    def __call__(self, identities: Path, *, owner: PartyId, keys: Path, register: Path) -> int:
        """Write the keys and the register that they open; returns the number of persons."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """What came of it: the snapshots in the room, and the books, which balance."""

    snapshots: tuple[PublishedSnapshot, ...]
    books: Books
    folder: Path
    repeated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HarmonisedWork:
    """A harmonised run on its way into the room; ``facts`` are said of it in the ledger besides the usual ones.

    ``at_home``: its identifiers stay in the owner's home.
    """

    run: Harmonised
    origin: Origin
    contribution: Digest
    progress: Progress
    at_home: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)


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
    seal_names: SealNames
    assess: Assess | None = None
    send_identifiers: bool | None = None
    """Whether identifiers go into the room, where the owner states it; else the contract in force says so."""

    @property
    def identities(self) -> HomeIdentities:
        """The identifiers that stayed at home."""
        return HomeIdentities(self.home)

    @property
    def publishing(self) -> Publishing:
        """What seals and publishes."""
        return Publishing(
            owner=self.owner,
            state=self.state,
            files=self.files,
            keys=self.keys,
            audit=self.audit,
            clock=self.clock,
            randomness=self.randomness,
        )

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

        Raises the errors of the source, of the mapping, BooksDoNotBalance, IdentifiersStayHome, or of the desk; nothing
        is then visible.
        """
        require_own(Access(self.state, self.clock, self.audit.host), self.owner, mapping)
        entries = [entry for entry in source.walk(point) if entry.type is EntryType.FILE]
        texts, at_home = self.asked(mapping), self.keeps_identifiers()
        contribution = under(self._identity(source, point, entries, mapping), texts, at_home=at_home)
        known = self.known(contribution)
        if known is not None:
            return known
        files = {entry.path: _opener(source, point, entry.path) for entry in entries}
        workdir = self.home / "work"
        run = harmonise(files, run=contribution[:16], texts=texts, workdir=workdir, progress=progress)
        origin = Origin(
            source_kind=source.kind,
            restore_point=point,
            mapping=mapping.digest,
            books=digest(run.books.as_dict()),
            free_text=tuple(sorted(texts)),
            taken_at=_taken_at(source, point),
        )
        work = HarmonisedWork(run=run, origin=origin, contribution=contribution, progress=progress, at_home=at_home)
        return self.finish(work, mapping)

    def asked(self, mapping: MappedSource) -> frozenset[str]:
        """The free text of a mapping that the contract in force asks for, if the owner signed it at its own desk."""
        contract = self._agreed()
        if contract is None:
            return frozenset()
        name = f"{mapping.dataset}-{Holding.CLINICAL.value}"
        asked = (dataset.free_text for dataset in contract.datasets_of(self.owner) if dataset.name == name)
        return mapping.free_text & frozenset().union(*asked)

    def keeps_identifiers(self, *, otherwise: bool = True) -> bool:
        """Whether identifiers stay at home: ``otherwise``, where neither the owner nor a contract in force says so.

        Raises IdentifiersStayHome where the owner would send what the contract in force keeps out of the room.
        """
        contract = self._agreed()
        if self.send_identifiers is None:
            return otherwise if contract is None else contract.linkage.at_home
        if self.send_identifiers and contract is not None and contract.linkage.at_home:
            raise IdentifiersStayHome(contract=contract.name)
        return not self.send_identifiers

    def _agreed(self) -> Contract | None:
        """The contract in force, if the owner signed it at its own desk."""
        try:
            return self.desk.signed(Contracts(self.state, self.clock, self.audit.host).in_force().digest)
        except _NOT_AGREED:
            return None

    def known(self, contribution: Digest) -> Contribution | None:
        """A contribution that is in the room already; plain tables that a killed command left are removed."""
        folder = self.home / "contributions" / contribution[:16]
        erased = self.state.erased()
        known = tuple(
            item
            for item in self.state.snapshots()
            if item.contribution == contribution and item.manifest.snapshot not in erased
        )
        if not known:
            return None
        shutil.rmtree(self.home / "work" / contribution[:16], ignore_errors=True)
        books = books_from_dict(json.loads((folder / "books.json").read_text()))
        return Contribution(snapshots=known, books=books, folder=folder, repeated=True)

    def finish(self, work: HarmonisedWork, mapping: MappedSource) -> Contribution:
        """Keep what stays with the owner, seal the rest, and publish all of it or nothing."""
        run, folder = work.run, self.home / "contributions" / work.contribution[:16]
        self._forget_unpublished(mapping.dataset)
        work.progress("assess", mapping.dataset, 0)
        _keep(run, folder, reports={} if self.assess is None else self.assess(run))
        identity = self._seal(mapping, Holding.IDENTITY, _plain({IDENTITY: run.identity}, run), work=work)
        tables = _plain(run.tables, run)
        if work.at_home:
            self.identities.keep(identity)
            tables[NAME_KEYS] = self._name_keys(work)
        clinical = self._seal(mapping, Holding.CLINICAL, tables, work=work)
        sealed = (clinical,) if work.at_home else (clinical, identity)
        self.publishing.publish(sealed, facts=work.facts)
        shutil.rmtree(self.home / "work" / work.contribution[:16], ignore_errors=True)
        return Contribution(snapshots=sealed, books=run.books, folder=folder, repeated=False)

    def _identity(
        self, source: Source, point: RestorePointId, entries: Sequence[Entry], mapping: MappedSource
    ) -> Digest:
        """What makes two contributions the same: owner, restore point with its content, and mapping."""
        content = [[entry.path, entry.size, entry.content_id or str(entry.modified_at)] for entry in entries]
        return digest(
            {
                "owner": self.owner,
                "source": source.kind,
                "restore_point": point,
                "content": digest(content),
                "mapping": mapping.digest,
            }
        )

    def _seal(
        self, mapping: MappedSource, holding: Holding, tables: Mapping[str, Plain], *, work: HarmonisedWork
    ) -> PublishedSnapshot:
        """Seal tables into the room, or identifiers that stay at home into the owner's own folder."""
        label = Label(work.run.label)
        draft = self.publishing.draft(f"{mapping.dataset}-{holding.value}", label=label, origin=work.origin)
        stays = work.at_home and holding is Holding.IDENTITY
        name = draft.manifest.snapshot
        return self.publishing.seal(
            draft,
            tables,
            folder=self.identities.incoming(work.contribution) if stays else self.files.incoming(name),
            keep=lambda signed, dek: self.desk.register(signed, dek=dek),
            contribution=work.contribution,
            progress=partial(work.progress, "seal"),
        )

    def _name_keys(self, work: HarmonisedWork) -> Plain:
        """The keys of the register that this leaves in the owner's home: a referral gives them to the clinical team."""
        keys = work.run.identity.with_name(f"{NAME_KEYS}.parquet")
        register = self.identities.register(work.contribution)
        persons = self.seal_names(work.run.identity, owner=self.owner, keys=keys, register=register)
        return Plain(opens=partial(_opened, keys), rows=persons)

    def _forget_unpublished(self, dataset: str) -> None:
        """Remove what a killed contribution left sealed but never published."""
        published = {item.manifest.snapshot for item in self.state.snapshots()}
        for holding in (Holding.CLINICAL, Holding.IDENTITY):
            self.files.forget(f"{dataset}-{holding.value}-", keep=published)


def under(contribution: Digest, texts: frozenset[str], *, at_home: bool) -> Digest:
    """What identifies a contribution with this free text, and with identifiers that stay at home or do not."""
    more = [*sorted(texts), *([Holding.IDENTITY.value] if at_home else [])]
    return digest([contribution, more]) if more else contribution


def require_own(access: Access, owner: PartyId, mapping: MappedSource) -> None:
    """Raise ForeignMapping unless the mapping is for data of the owner who contributes."""
    contributor = Principal(kind=PrincipalKind.PARTY, id=owner, party=owner, roles=frozenset({Role.OWNER}))
    access.require(
        contributing(contributor, mapping.dataset, owner=mapping.owner),
        otherwise=ForeignMapping(owner=mapping.owner, party=owner),
    )


def _opener(source: Source, point: RestorePointId, path: str) -> Opener:
    return lambda: source.open(point, path)


def _taken_at(source: Source, point: RestorePointId) -> datetime | None:
    """When the restore point was taken: what the data are as of."""
    return next((one.taken_at.astimezone(UTC) for one in source.restore_points() if one.id == point), None)


def _plain(tables: Mapping[str, Path], run: Harmonised) -> dict[str, Plain]:
    return {
        table: Plain(opens=partial(_opened, path), rows=run.row_counts.get(table, 0)) for table, path in tables.items()
    }


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")


def _keep(run: Harmonised, folder: Path, *, reports: Mapping[str, str]) -> None:
    """Books, quarantine, provenance and reports stay with the owner, whole or not at all."""
    draft = folder.with_name(folder.name + ".partial")
    for leftover in (draft, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    draft.mkdir(parents=True, mode=0o700)
    waiting = (run.waiting, run.persons, run.partners, run.reading)
    for path in (run.quarantine, run.excluded, run.merged, run.provenance, *waiting):
        shutil.copyfile(path, draft / path.name)
    (draft / "books.json").write_text(json.dumps(run.books.as_dict(), indent=1, sort_keys=True))
    (draft / "books.txt").write_text(run.books.as_text() + "\n")
    for name, text in reports.items():
        (draft / name).write_text(text, encoding="utf-8")
    draft.rename(folder)
