"""One room, wired: its services joined to the adapters that they work with.

Embedded mode keeps a whole collaboration in one folder: ``host/`` is what the host of the room has (state,
ledger, ciphertext, its signing key), ``parties/<name>/`` is what each party has at home (keys, desk, books,
quarantine, collected packages). The code paths are those of separate machines: what crosses between the
folders is what would cross the network. What only some commands need is imported where it is wired.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from asepsis.desk_home import DeskHome, desk_of, has_settings, is_desk_home, make_identity, open_desk_home
from asepsis.desk_home import now as now  # noqa: PLC0414 - the clock of the whole program, for its entry points
from asepsis.desks.book import AddressBook, Certificate
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.documents import read_name
from asepsis.domain.keydesk import PublicKeys
from asepsis.domain.names import PartyId, ReferralId, ReleaseId
from asepsis.domain.referral import Referral
from asepsis.errors.contract import NoContract
from asepsis.errors.desk import DeskOfAnother
from asepsis.errors.room import FileUnreadable, RoomMissing, RoomVersionUnknown
from asepsis.keys.certificates import Identity, identity_in, read_introduction
from asepsis.keys.files import FileKeys
from asepsis.ports import Desk
from asepsis.sealing.agreement import contract_payload
from asepsis.sealing.signing import Purpose
from asepsis.services.audit import Audit
from asepsis.services.keydesk.desk import KeyDesk
from asepsis.store.room_state import SqlRoomState
from asepsis.store.snapshot_files import LocalSnapshotFiles

if TYPE_CHECKING:
    from asepsis.domain.statistic import Statistic
    from asepsis.services.analyses import Analyses, Answer
    from asepsis.services.contracts import Contracts
    from asepsis.services.contribute import Contribute
    from asepsis.services.epochs import Epochs
    from asepsis.services.erasures import Erasures
    from asepsis.services.evidence import Evidences
    from asepsis.services.linkage import Linkage
    from asepsis.services.narrowings import Narrowings
    from asepsis.services.referrals import Referrals
    from asepsis.services.runs import Progress, Runs

ROOM_FILE: Final = "room.json"
FORMAT: Final = 1
HOST: Final = PartyId("room")
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
        from asepsis.services.contracts import Contracts

        return Contracts(self.state, now, self.host)

    @cached_property
    def audit(self) -> Audit:
        """Checkpoints, export, proofs."""
        return Audit(self.state, self.keys(self.host), self.desks, self.host, self.origin, now)

    @cached_property
    def runs(self) -> Runs:
        """Submit and execute."""
        from asepsis.engines.runtime_process import RuntimeProcesses
        from asepsis.services.memories import Memories
        from asepsis.services.runs import Runs

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
        from asepsis.services.analyses import Analyses

        return Analyses(self.state, self.runs, self.contracts, self.audit, now, secrets.token_bytes)

    @cached_property
    def linkage(self) -> Linkage:
        """Link patients."""
        from asepsis.services.linkage import Linkage

        return Linkage(self.state, self.files, self.runs, self.contracts, self.epochs, self.audit, now)

    @cached_property
    def epochs(self) -> Epochs:
        """The owners agree on link keys."""
        from asepsis.services.epochs import Epochs

        return Epochs(self.state, self.desks, self.erasures, self.audit, now)

    @cached_property
    def referrals(self) -> Referrals:
        """Follow-up through the clinical teams."""
        from asepsis.services.referrals import Referrals

        return Referrals(self.state, self.files, self.runs, self.contracts, self.audit, now, secrets.token_bytes)

    @cached_property
    def narrowings(self) -> Narrowings:
        """Amendments that one owner signs alone."""
        from asepsis.services.narrowings import Narrowings

        return Narrowings(self.state, self.contracts, self.desks)

    @cached_property
    def evidences(self) -> Evidences:
        """Evidence bundles."""
        from asepsis.services.evidence import Evidences

        return Evidences(self.state, self.contracts, self.audit)

    @cached_property
    def erasures(self) -> Erasures:
        """What owners destroyed, and its certificates."""
        from asepsis.services.erasures import Erasures

        return Erasures(self.state, self.files, self.contracts, self.audit, now)

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

    def link(self, *, progress: Progress) -> Statistic:
        """Link the patients of all owners; where tokens are needed, every owner whose home is here gives its own.

        Raises what ``Linkage.link`` raises; TokensMissing names owners whose home is elsewhere.
        """
        from asepsis.bootstrap.tokens import tokenising

        for owner in self.linkage.waits_for():
            if owner in self._owners_here() and owner not in self.book.owners():
                progress(f"tokens of {owner}")
                tokenising(self, owner).give()
        return self.linkage.link(progress=progress)

    def contribute(
        self, owner: PartyId, *, vocabulary: Path | None = None, send_identifiers: bool | None = None
    ) -> Contribute:
        """The contributions of one owner, assessed with a vocabulary.

        Raises KeysMissing, OwnerKeyMissing or VocabularyMissing.
        """
        from asepsis.bootstrap.quality import quality_papers
        from asepsis.engines.referral.names import seal_names
        from asepsis.engines.vocabulary.store import open_vocabulary
        from asepsis.services.contribute import Contribute

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
            seal_names=partial(seal_names, randomness=secrets.token_bytes),
            assess=lambda run: quality_papers(run, vocabulary),
            send_identifiers=send_identifiers,
        )

    def quality(self, owner: PartyId, run: str | None, *, exact: bool) -> dict[str, object]:
        """The data-quality report of a contribution (the newest, if none is named). Raises QualityMissing."""
        from asepsis.engines.quality.papers import read_quality

        return read_quality(self.home(owner) / "contributions", run, exact=exact)

    def sign_contract(self, party: PartyId, document: object) -> bytes:
        """A party's signature over a contract; an owner signs at its own desk. Raises what the desk raises."""
        contract = read_contract(document)
        if is_desk_home(self.home(party)):
            before = {} if contract.amends is None else self.state.signatures(contract.amends.contract)
            return self.desk(party).sign_contract(document, before=before)
        return self.keys(party).sign(Purpose.CONTRACT, contract_payload(contract))

    def review(self, release_id: ReleaseId, *, by: PartyId, release_it: bool) -> Answer:
        """A party's decision on an output, signed with its key. Raises what ``Analyses.review`` raises, KeysMissing."""
        return self.analyses.review(
            release_id,
            by=by,
            release_it=release_it,
            sign=lambda payload: self.keys(by).sign(Purpose.REVIEW, payload),
        )

    def approve_referral(self, referral_id: ReferralId, *, owner: PartyId) -> Referral:
        """An owner's approval of exactly this referral, made at its own desk."""
        referral = self.state.referral(referral_id)
        signature = self.desk(owner).approve_referral(referral.analysis_digest, contract=referral.contract)
        return self.referrals.approve(referral_id, owner=owner, signature=signature)

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
