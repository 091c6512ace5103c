"""Joins adapters to services; the only module that knows both.

Embedded mode keeps a whole collaboration in one folder: ``host/`` is what the host of the room has (state,
ledger, ciphertext, its signing key), ``parties/<name>/`` is what each party has at home (keys, desk, books,
quarantine, collected packages). The code paths are those of separate machines: what crosses between the
folders is what would cross the network.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from asepsis.attest.appraise import appraise
from asepsis.attest.process import measure
from asepsis.desk_home import DeskHome, desk_of, has_settings, is_desk_home, make_identity, open_desk_home
from asepsis.desk_home import now as now  # noqa: PLC0414 - the clock of the whole program, for its entry points
from asepsis.desks.book import AddressBook, Certificate
from asepsis.disclosure.dp.noise import Bits
from asepsis.disclosure.memory import Memory
from asepsis.disclosure.profiles import profile_named
from asepsis.domain.contract import Contract, read_contract
from asepsis.domain.documents import read_name
from asepsis.domain.keydesk import PublicKeys
from asepsis.domain.names import Digest, PartyId, ReferralId
from asepsis.domain.privacy import NOTHING, Account, Privacy
from asepsis.domain.quotas import Quotas
from asepsis.domain.referral import Referral
from asepsis.engines.harmonise.checking import MappingRemark, check_mapping, mapping_docs
from asepsis.engines.harmonise.kept import KeptRun
from asepsis.engines.harmonise.load import load_mapping
from asepsis.engines.harmonise.rerun import rerun
from asepsis.engines.harmonise.result import HarmonisedRun
from asepsis.engines.harmonise.run import Resources, harmonise
from asepsis.engines.harmonise.trial import Trial, run_mapping_tests
from asepsis.engines.harmonise.unmapped import Unmapped, unmapped_codes
from asepsis.engines.importing.folder import read_document, read_headers, write_folder
from asepsis.engines.quality.papers import papers_of, read_quality
from asepsis.engines.quality.run import assess_quality
from asepsis.engines.query.folder import local_tables
from asepsis.engines.query.room import QueryRoom
from asepsis.engines.runtime_process import RuntimeProcesses, confinement_here
from asepsis.engines.vocabulary import load as vocabularies
from asepsis.engines.vocabulary.files import (
    read_code_maps,
    read_counts,
    read_gems,
    unmapped_beside,
    write_counts,
    write_map,
)
from asepsis.engines.vocabulary.store import open_vocabulary
from asepsis.errors.contract import NoContract
from asepsis.errors.desk import DeskOfAnother
from asepsis.errors.room import FileUnreadable, RoomMissing, RoomVersionUnknown
from asepsis.errors.vocabulary import CodesMalformed
from asepsis.harmonise.account import page_of
from asepsis.harmonise.importing.carrot import draft_from_carrot
from asepsis.harmonise.importing.declared import Declared
from asepsis.harmonise.importing.rabbit import draft_from_rabbit
from asepsis.harmonise.mapping import Mapping as SourceMapping
from asepsis.harmonise.quality.page import quality_html
from asepsis.harmonise.quality.text import quality_text
from asepsis.harmonise.vocabulary.code_map import Merge
from asepsis.harmonise.vocabulary.delta import Delta, deltas
from asepsis.harmonise.vocabulary.matching import MapReport, Via, map_codes, report_of
from asepsis.keys.certificates import Identity, identity_in, read_introduction
from asepsis.keys.files import FileKeys
from asepsis.ports import Desk, Source
from asepsis.sealing.agreement import contract_payload
from asepsis.sealing.signing import Purpose
from asepsis.services.analyses import Analyses
from asepsis.services.audit import Audit
from asepsis.services.contracts import Contracts
from asepsis.services.contribute import Contribute, Harmonise, Harmonised, Opener, Progress
from asepsis.services.evidence import Evidences, VerifiedRelease, verify_release
from asepsis.services.keydesk.desk import KeyDesk
from asepsis.services.linkage import Linkage
from asepsis.services.memories import Memories
from asepsis.services.referrals import Referrals
from asepsis.services.rehearsal import Noise, Rehearsal
from asepsis.services.rerun import Judge
from asepsis.services.runs import Runs
from asepsis.sources.registry import open_source
from asepsis.sql.omop import omop_catalogue
from asepsis.store.room_state import SqlRoomState
from asepsis.store.snapshot_files import LocalSnapshotFiles

ROOM_FILE: Final = "room.json"
FORMAT: Final = 1
HOST: Final = PartyId("room")
REHEARSING: Final = PartyId("owner")
HOME: Final = "ASEPSIS_HOME"
"""The variable that names the folder of the owner's desk where it is no part of the room's folder."""


@dataclass(frozen=True)
class Room:
    """One collaboration in one folder (embedded mode), with its use cases wired."""

    folder: Path
    host: PartyId
    origin: str
    homes: Mapping[PartyId, Path] = field(default_factory=dict)

    @cached_property
    def state(self) -> SqlRoomState:
        """The control plane's state."""
        return SqlRoomState(self.folder / "host" / "room.db")

    @cached_property
    def files(self) -> LocalSnapshotFiles:
        """The ciphertext store."""
        return LocalSnapshotFiles(self.folder / "host")

    @cached_property
    def contracts(self) -> Contracts:
        """Propose, sign, stop."""
        return Contracts(self.state, now, self.host)

    @cached_property
    def audit(self) -> Audit:
        """Checkpoints, export, proofs."""
        return Audit(self.state, self.keys(self.host), self.desks, self.host, self.origin)

    @cached_property
    def runs(self) -> Runs:
        """Submit and execute."""
        return Runs(
            state=self.state,
            files=self.files,
            desks=self.desks,
            launcher=RuntimeProcesses(),
            memories=Memories(self.state, self.files, self.desks, now, self.host),
            audit=self.audit,
            contracts=self.contracts,
            clock=now,
            randomness=secrets.token_bytes,
        )

    @cached_property
    def analyses(self) -> Analyses:
        """Ask and release."""
        return Analyses(self.state, self.runs, self.contracts, self.audit, now, secrets.token_bytes)

    @cached_property
    def linkage(self) -> Linkage:
        """Link patients."""
        return Linkage(self.state, self.files, self.runs, self.contracts, self.audit, now)

    @cached_property
    def referrals(self) -> Referrals:
        """Follow-up through the clinical teams."""
        return Referrals(self.state, self.files, self.runs, self.contracts, self.audit, now, secrets.token_bytes)

    @cached_property
    def evidences(self) -> Evidences:
        """Evidence bundles."""
        return Evidences(self.state, self.contracts, self.audit)

    @cached_property
    def desks(self) -> dict[PartyId, Desk]:
        """The desks of all owners, as the room asks them: across the network where they are connected."""
        near: dict[PartyId, Desk] = {
            owner: self.desk(owner) for owner in self._owners_here() if owner not in self.book.owners()
        }
        far: dict[PartyId, Desk] = {owner: self.book.desk(owner) for owner in self.book.owners()}
        return dict(sorted({**near, **far}.items()))

    @cached_property
    def book(self) -> AddressBook:
        """Where the desks of other machines answer."""
        own = identity_in(self.folder / "host" / "tls", "room")
        return AddressBook(self.folder / "host" / "desks", Certificate(certificate=own.certificate, key=own.key))

    def identity(self) -> Identity:
        """The room's certificate, by which desks know it; made when it is needed first."""
        return make_identity(self.folder / "host" / "tls", "room")

    def connect(self, owner: PartyId, url: str, *, certificate: Path, pin: str) -> Desk:
        """From now on, ask an owner's desk at an address; tried out before it is remembered.

        Raises:
            CertificateRefused: the file does not show this fingerprint.
            DeskAddressMalformed, DeskUnreachable: nobody answers there, or somebody else.
            DeskOfAnother: the desk holds other keys than the contract names.
        """
        read_name(owner, what="party")
        self.identity()
        known = read_introduction(certificate, pin=pin)
        desk = self.book.candidate(owner, url, pin=known.pin, authority=certificate)
        self._check_named(owner, desk.public())
        self.book.add(owner, url, pin=known.pin, authority=known.authority)
        self.__dict__.pop("desks", None)
        return desk

    def home(self, party: PartyId) -> Path:
        """What a party has at home; the host's is the host folder."""
        return self.folder / "host" if party == self.host else self.homes.get(party, self.folder / "parties" / party)

    def keys(self, party: PartyId) -> FileKeys:
        """A party's keys. Raises KeysMissing."""
        home = self.home(party)
        return open_desk_home(home).keys if has_settings(home) else FileKeys(home / "keys")

    def public(self, party: PartyId) -> PublicKeys:
        """A party's public keys; an owner's who is not here are asked from their desk. Raises KeysMissing."""
        is_far = party in self.book.owners() and not is_desk_home(self.home(party))
        return self.desks[party].public() if is_far else self.keys(party).public()

    def desk(self, owner: PartyId) -> KeyDesk:
        """An owner's own desk, for what the owner does at it. Raises KeysMissing."""
        known: dict[PartyId, KeyDesk] = self.__dict__.setdefault("own_desks", {})
        return known.get(owner) or known.setdefault(owner, self._desk(owner))

    def enrol(self, party: PartyId, *, owner: bool) -> FileKeys:
        """Make a party's home and keys. Raises KeysExist."""
        read_name(party, what="party")
        home = self.home(party)
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        keys = FileKeys.create(home / "keys", owner=owner)
        self.__dict__.pop("desks", None)
        return keys

    def contribute(self, owner: PartyId, *, vocabulary: Path | None = None) -> Contribute:
        """The contributions of one owner, assessed with a vocabulary.

        Raises KeysMissing, OwnerKeyMissing or VocabularyMissing.
        """
        self.keys(owner).require_owner()
        if vocabulary is not None:
            with open_vocabulary(vocabulary):
                pass  # it is there: found out now, not after the long part
        return Contribute(
            owner=owner,
            home=self.home(owner),
            state=self.state,
            files=self.files,
            desk=self.desk(owner),
            keys=self.keys(owner),
            audit=self.audit,
            clock=now,
            randomness=secrets.token_bytes,
            assess=lambda run: _assessed(run, vocabulary),
        )

    def quality(self, owner: PartyId, run: str | None, *, exact: bool) -> dict[str, object]:
        """The data-quality report of a contribution (the newest, if none is named). Raises QualityMissing."""
        return read_quality(self.home(owner) / "contributions", run, exact=exact)

    def sign_contract(self, party: PartyId, document: object) -> bytes:
        """A party's signature over a contract; an owner signs at its own desk. Raises what the desk raises."""
        if is_desk_home(self.home(party)):
            return self.desk(party).sign_contract(document)
        return self.keys(party).sign(Purpose.CONTRACT, contract_payload(read_contract(document)))

    def approve_referral(self, referral_id: ReferralId, *, owner: PartyId) -> Referral:
        """An owner's approval of exactly this referral, made at its own desk."""
        referral = self.state.referral(referral_id)
        signature = self.desk(owner).approve_referral(referral.analysis_digest, contract=referral.contract)
        return self.referrals.approve(referral_id, owner=owner, signature=signature)

    def collect_referral(self, referral_id: ReferralId, *, team: PartyId) -> tuple[Path, int]:
        """Open a team's package in the team's home; returns the file and how many patients it holds."""
        content = self.referrals.open_package(referral_id, team=team, keys=self.keys(team))
        path = self.home(team) / f"{referral_id}.json"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        return path, len({row["person_id"] for row in json.loads(content)["tables"]["identity"]})

    def _check_named(self, owner: PartyId, public: PublicKeys) -> None:
        try:
            party = self.contracts.contract().party(owner)
        except NoContract:
            return
        if (party.signing_key, party.sealing_key) != (public.signing, public.sealing):
            raise DeskOfAnother(owner=owner)

    def _owners_here(self) -> list[PartyId]:
        folders = {PartyId(path.name): path for path in (self.folder / "parties").glob("*")} | dict(self.homes)
        return [owner for owner, folder in folders.items() if is_desk_home(folder)]

    def _desk(self, owner: PartyId) -> KeyDesk:
        home = self.home(owner)
        return open_desk_home(home).desk if has_settings(home) else desk_of(owner, home, keys=self.keys(owner))


def _assessed(run: Harmonised, vocabulary: Path | None) -> dict[str, str]:
    books = run.books
    report = assess_quality(run.tables, run=books.run, as_of=now().date(), vocabulary=vocabulary, books=books)
    return papers_of(report)


def create_room(folder: Path, *, origin: str) -> Room:
    """Make an empty room; one that is there already is opened. Raises FileUnreadable where it cannot be written."""
    try:
        (folder / "host").mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "parties").mkdir(exist_ok=True, mode=0o700)
        if not (folder / ROOM_FILE).exists():
            draft = folder / f"{ROOM_FILE}.partial"
            draft.write_text(json.dumps({"format": FORMAT, "host": HOST, "origin": origin}, indent=1))
            draft.rename(folder / ROOM_FILE)
        if not (folder / "host" / "keys").exists():
            FileKeys.create(folder / "host" / "keys", owner=False)
    except OSError:
        raise FileUnreadable(path=str(folder)) from None
    return open_room(folder)


def open_room(folder: Path) -> Room:
    """Open the room in a folder. Raises RoomMissing or RoomVersionUnknown."""
    try:
        settings = json.loads((folder / ROOM_FILE).read_text())
    except OSError:
        raise RoomMissing(path=str(folder)) from None
    except ValueError:
        raise RoomVersionUnknown(path=str(folder)) from None
    if not isinstance(settings, dict) or settings.get("format") != FORMAT or not {"host", "origin"} <= set(settings):
        raise RoomVersionUnknown(path=str(folder))
    # The runtime works in another directory and is told where sealed files lie.
    return Room(folder.absolute(), PartyId(settings["host"]), settings["origin"], _homes())


def own_home() -> DeskHome | None:
    """The desk that the variable ``ASEPSIS_HOME`` names. Raises DeskHomeMissing or DeskHomeMalformed."""
    named = os.environ.get(HOME)
    return open_desk_home(Path(named)) if named else None


def _homes() -> dict[PartyId, Path]:
    home = own_home()
    return {} if home is None else {home.owner: home.folder}


def look_into(uri: str, *, secret: Callable[[], str] | None = None) -> Source:
    """Open a backup or folder, read-only. Raises the errors of the source."""
    return open_source(uri, secret=secret)


def mapping_of(folder: Path) -> SourceMapping:
    """Read and check a mapping folder. Raises MappingMissing, MappingMalformed or ExpressionRefused."""
    return load_mapping(folder)


def mapping_remarks(folder: Path) -> tuple[MappingRemark, ...]:
    """What is wrong with a mapping folder, or what it may lack."""
    return check_mapping(folder)


def mapping_unmapped(folder: Path, *, files: Path, out: Path | None) -> tuple[Unmapped, ...]:
    """Which codes of these files the mapping does not know; with ``out`` they are listed in files there.

    Raises what reading a mapping and harmonising raise.
    """
    found = unmapped_codes(load_mapping(folder), files)
    for one in found if out is not None else ():
        write_counts((out or folder) / f"{one.table}.{one.column}.csv", one.codes)
    return found


def mapping_trials(folder: Path) -> tuple[Trial, ...]:
    """Run the tests of a mapping folder. Raises MappingMissing, MappingMalformed or ExpressionRefused."""
    return run_mapping_tests(folder)


def mapping_page(folder: Path, *, as_html: bool) -> str:
    """A mapping as a page for people. Raises MappingMissing, MappingMalformed or ExpressionRefused."""
    text = mapping_docs(folder)
    return page_of(text) if as_html else text


def import_carrot(rules: Path, out: Path, *, declared: Declared, files: Path | None) -> tuple[str, ...]:
    """Make a mapping folder from rules of Carrot; returns what is left to decide. Raises the errors of imports."""
    headers = {} if files is None else read_headers(files, declared=declared)
    draft = draft_from_carrot(read_document(rules), file=rules.name, declared=declared, headers=headers)
    write_folder(draft, out, tool="Carrot")
    return tuple(draft.decisions)


def import_rabbit(document: Path, out: Path, *, declared: Declared) -> tuple[str, ...]:
    """Make a mapping folder from Rabbit-in-a-Hat; returns what is left to decide. Raises the errors of imports."""
    draft = draft_from_rabbit(read_document(document), file=document.name, declared=declared)
    write_folder(draft, out, tool="Rabbit-in-a-Hat")
    return tuple(draft.decisions)


def load_vocabulary(download: Path, out: Path, *, progress: Callable[[str, int], None]) -> vocabularies.Loaded:
    """Load a vocabulary download. Raises the errors of vocabularies."""
    return vocabularies.load_vocabulary(download, out, progress=progress)


@dataclass(frozen=True, kw_only=True)
class VocabularyRequest:
    """Which codes are to be mapped, with which vocabulary, in which ways."""

    codes: Path
    vocabulary: Path
    source: str
    ways: tuple[str, ...]
    gem: Path | None
    columns: tuple[str, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class VocabularyAnswer:
    """What became of the codes, and where it is written."""

    report: MapReport
    merge: Merge
    version: str
    unmapped: Path
    empty: int
    unusable: int


def map_to_concepts(request: VocabularyRequest, out: Path) -> VocabularyAnswer:
    """Map codes and merge them into a code map. Raises the errors of vocabularies."""
    unknown = [way for way in request.ways if way not in set(Via)]
    if unknown or (Via.GEM in request.ways and request.gem is None):
        problem = "a way is maps_to or gem" if unknown else "the way gem needs a GEM file"
        raise CodesMalformed(file="--via", place="the command line", problem=problem)
    counted = read_counts(request.codes, columns=request.columns, ignored=request.ignored)
    gems = None if request.gem is None else read_gems(request.gem)
    ways = [Via(way) for way in request.ways]
    with open_vocabulary(request.vocabulary) as concepts:
        mapped = map_codes(counted.codes, vocabulary=request.source, ways=ways, concepts=concepts, gems=gems)
        version = str(concepts.manifest.get("version", ""))
    return VocabularyAnswer(
        report=report_of(mapped),
        merge=write_map(out, mapped),
        version=version,
        unmapped=unmapped_beside(out),
        empty=counted.empty,
        unusable=counted.unusable,
    )


def vocabulary_delta(old: Path, new: Path, maps: Sequence[Path]) -> tuple[Delta, ...]:
    """What a new vocabulary changes in code maps. Raises VocabularyMissing or CodesMalformed."""
    listed = read_code_maps(maps)
    with open_vocabulary(old) as before, open_vocabulary(new) as after:
        return deltas(listed, old=before, new=after)


def quality_page(document: Mapping[str, object]) -> str:
    """A data-quality report as a page that stands alone."""
    return quality_html(document)


def quality_words(document: Mapping[str, object]) -> str:
    """A data-quality report as text."""
    return quality_text(document)


def runtime_measurement() -> Digest:
    """The measurement of the runtime as it is installed here, for a contract to name."""
    return measure()


@dataclass(frozen=True, kw_only=True)
class ConfinementFound:
    """What confines a runtime on this machine, and what data that are not synthetic need besides."""

    summary: str
    missing: tuple[str, ...]


def confinement_found() -> ConfinementFound:
    """Start a runtime's process and see how it is confined. Raises ConfinementFailed."""
    found = confinement_here()
    return ConfinementFound(summary=found.summary, missing=found.missing())


def harmoniser(mapping: SourceMapping, keys: FileKeys) -> Harmonise:
    """The pipeline for one mapping under one owner's person key."""

    def run(files: Mapping[str, Opener], *, run: str, workdir: Path, progress: Progress) -> HarmonisedRun:
        resources = Resources(progress=lambda step: progress(step.stage, step.subject, step.records))
        return harmonise(mapping, files, workdir=workdir, run=run, person_key=keys.person_key(), resources=resources)

    return run


def rejudge(mapping: SourceMapping, keys: FileKeys) -> Judge:
    """The pipeline that judges quarantined records again, for one mapping under one owner's person key."""

    def run(folder: Path, tables: Mapping[str, Path], *, run: str, workdir: Path, progress: Progress) -> HarmonisedRun:
        resources = Resources(progress=lambda step: progress(step.stage, step.subject, step.records))
        kept = KeptRun(folder=folder, tables=tables)
        return rerun(mapping, kept, workdir=workdir, run=run, person_key=keys.person_key(), resources=resources)

    return run


@contextmanager
def rehearsal(data: Path, *, contract: Contract | None, profile: str) -> Iterator[Rehearsal]:
    """Local tables under a contract's catalogue and profile, or under a profile with the built-in OMOP roles.

    Raises EngineFolderError, UnknownProfileError, or what the tables are refused with.
    """
    rules = profile_named(profile if contract is None else contract.profile)
    with TemporaryDirectory(prefix="asepsis-rehearsal-") as scratch:
        tables = local_tables(data, scratch=Path(scratch))
        built_in = omop_catalogue({name: table.columns for name, table in tables.items()})
        catalogue = built_in if contract is None else contract.catalogue
        with QueryRoom() as room:
            for table in catalogue.tables:
                found = {REHEARSING: tables[table.name].path} if table.name in tables else {}
                room.load(table, found)
            room.lock()
            memory = Memory(key=secrets.token_bytes(32))
            quotas = Quotas() if contract is None else contract.quotas
            noise = None if contract is None or contract.privacy is None else _noise(contract.privacy)
            yield Rehearsal(room=room, catalogue=catalogue, profile=rules, memory=memory, quotas=quotas, noise=noise)


def _noise(privacy: Privacy) -> Noise:
    """Fresh noise for a rehearsal, and an account from which nothing was spent."""
    account = Account(dataset="rehearsal", limit=privacy.budget, spent=NOTHING)
    return Noise(privacy=privacy, bits=Bits(secrets.token_bytes), account=account)


def verify_release_bundle(document: object, *, contract: Digest) -> VerifiedRelease:
    """Check an evidence bundle offline (see ``services.evidence``)."""
    return verify_release(document, contract=contract, appraise=appraise)
