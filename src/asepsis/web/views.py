"""What the pages show, gathered from the room before any template runs; tables come as released ones only."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from asepsis.bootstrap.room import Room
from asepsis.domain.attestation import LEVELS, read_evidence, read_grant
from asepsis.domain.contract_state import ContractState, ContractStatus
from asepsis.domain.explanation import MEANINGS
from asepsis.domain.finding import Finding
from asepsis.domain.ledger import LedgerEntry
from asepsis.domain.names import Digest, PartyId, ReleaseId
from asepsis.domain.referral import Referral, ReferralStatus
from asepsis.domain.release import ReleaseStatus
from asepsis.domain.room import PublishedSnapshot, Release
from asepsis.domain.run import Run, RunStatus
from asepsis.errors import AsepsisError
from asepsis.errors.contract import NoContract
from asepsis.ledger.checkpoint import WitnessedCheckpoint, open_checkpoint
from asepsis.services.access import deciders
from asepsis.services.analyses import Answer
from asepsis.services.audit import ledger_keys
from asepsis.web.charts import BarChart, StepChart, draw

PAGE: Final = 50
MOST_FILES: Final = 1000
_HOST_FILES: Final = (
    ("room.db", "state of the room: contract, runs, statistics, ledger"),
    ("keys", "the host's own keys: they sign the ledger and open no data"),
    ("snapshots", "ciphertext: its key is at the owner's desk"),
    ("packages", "ciphertext: sealed to a clinical team, or a link map"),
    ("incoming", "ciphertext that is being received"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Whose next step it is, and which."""

    who: str
    what: str
    release: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHead:
    """The newest checkpoint that is kept; ``fault`` is the code of what is wrong with it."""

    size: int
    witnessed: WitnessedCheckpoint | None
    missing: tuple[PartyId, ...]
    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The first page."""

    contract: ContractState | None
    standing: str
    turns: tuple[Turn, ...]
    snapshots: tuple[PublishedSnapshot, ...]
    releases: tuple[Release, ...]
    runs: tuple[Run, ...]
    referrals: tuple[Referral, ...]
    head: LedgerHead


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantLine:
    """One owner's yes to the run behind a release, and what its desk was shown."""

    owner: PartyId
    granted_at: datetime
    kind: str
    level: int
    measurement: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePage:
    """One output with everything that may be seen of it."""

    release: Release
    answer: Answer
    findings: tuple[Finding, ...]
    privacy: tuple[Finding, ...]
    """What an answer with noise cost, how far off it is and what is left."""
    done: tuple[tuple[str, int], ...]
    meanings: Mapping[str, str]
    chart: BarChart | StepChart | None
    grants: tuple[GrantLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerPage:
    """One page of the ledger, newest first, with the positions of its entries."""

    size: int
    page: int
    pages: int
    entries: tuple[tuple[int, LedgerEntry], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFile:
    """A file in the host's folder, as the host sees it: a name, a size, and no key for what is inside."""

    path: str
    size: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPage:
    """The whole of the host's folder, up to a limit."""

    files: tuple[HostFile, ...]
    count: int
    size: int


def overview(room: Room) -> Overview:
    """Gather the first page. Raises StoreUnavailable."""
    contract = contract_state(room)
    releases, referrals = tuple(room.state.releases()), tuple(room.state.referrals())
    return Overview(
        contract=contract,
        standing=_standing(room, contract),
        turns=tuple(_turns(contract, releases, referrals)),
        snapshots=tuple(room.state.snapshots()),
        releases=releases[::-1],
        runs=tuple(room.state.runs())[::-1],
        referrals=referrals[::-1],
        head=ledger_head(room, contract),
    )


def contract_state(room: Room) -> ContractState | None:
    """Where the contract stands, if there is one."""
    try:
        return room.contracts.status()
    except NoContract:
        return None


def ledger_head(room: Room, contract: ContractState | None) -> LedgerHead:
    """The newest checkpoint, verified with the contract's keys."""
    size, note = room.state.ledger().size(), room.state.checkpoint()
    if contract is None or note is None:
        return LedgerHead(size=size, witnessed=None, missing=(), fault="")
    keys = ledger_keys(contract.contract)
    try:
        witnessed = open_checkpoint(note, log_key=keys.log, witness_keys=keys.witnesses, quorum=0)
    except AsepsisError as error:
        return LedgerHead(size=size, witnessed=None, missing=(), fault=error.code)
    cosigned = {item.witness for item in witnessed.cosignatures}
    missing = tuple(owner.id for owner in contract.contract.owners if owner.id not in cosigned)
    return LedgerHead(size=size, witnessed=witnessed, missing=missing, fault="")


def release_page(room: Room, release_id: ReleaseId) -> ReleasePage:
    """Gather one output. Raises RecordMissing."""
    release = room.state.release(release_id)
    answer = room.analyses.show(release_id)
    table = answer.table
    done: Counter[str] = Counter() if table is None else Counter(cell.value for row in table.actions for cell in row)
    findings = answer.assessment.findings
    privacy = tuple(finding for finding in findings if finding.code.startswith("privacy."))
    return ReleasePage(
        release=release,
        answer=answer,
        findings=tuple(finding for finding in findings if finding not in privacy),
        privacy=privacy,
        meanings={action.value: meaning for action, meaning in MEANINGS.items()},
        done=tuple(sorted(done.items())),
        chart=None if table is None else draw(table),
        grants=tuple(_grants(room.state.run(release.run))),
    )


def ledger_page(room: Room, page: int) -> LedgerPage:
    """Gather one page of the ledger; page 1 holds the newest entries."""
    ledger = room.state.ledger()
    size = ledger.size()
    stop = max(size - (page - 1) * PAGE, 0)
    start = max(stop - PAGE, 0)
    entries = list(enumerate(ledger.entries(start, stop), start=start)) if start < stop else []
    return LedgerPage(size=size, page=page, pages=max(-(-size // PAGE), 1), entries=tuple(reversed(entries)))


def host_page(room: Room) -> HostPage:
    """List the host's folder: names and sizes."""
    root = room.folder / "host"
    files = [
        HostFile(path=path.relative_to(root).as_posix(), size=size, what=_what(path, root))
        for path, size in _files(root)
    ]
    return HostPage(files=tuple(files[:MOST_FILES]), count=len(files), size=sum(file.size for file in files))


def _standing(room: Room, state: ContractState | None) -> str:
    """The contract's status, and that it is over or not begun where time says so."""
    if state is None:
        return "missing"
    if state.status is not ContractStatus.IN_FORCE:
        return state.status.value
    try:
        state.require_in_force(room.contracts.clock())
    except AsepsisError as error:
        return error.code.rpartition(".")[2].replace("_", " ")
    return state.status.value


def _turns(
    state: ContractState | None, releases: tuple[Release, ...], referrals: tuple[Referral, ...]
) -> Iterator[Turn]:
    if state is None:
        yield Turn(who="any party", what="proposes a contract: asepsis contract sign room.yaml")
        return
    for party in state.waiting_for:
        yield Turn(who=party, what="signs the contract")
    for release in releases:
        if release.status is ReleaseStatus.IN_REVIEW:
            yield Turn(who=" or ".join(deciders(state.contract, release)), what="decides on", release=release.id)
    for referral in referrals:
        yield from _referral_turns(referral, [owner.id for owner in state.contract.owners])


def _referral_turns(referral: Referral, owners: list[PartyId]) -> Iterator[Turn]:
    if referral.status is ReferralStatus.REQUESTED:
        for owner in owners:
            if owner not in referral.approvals:
                yield Turn(who=owner, what=f"decides on {referral.id}")
    if referral.status is ReferralStatus.DELIVERED:
        for package in referral.packages:
            if package.team not in referral.collected_by:
                yield Turn(who=package.team, what=f"collects {referral.id}")


def _grants(run: Run) -> Iterator[GrantLine]:
    if run.status is not RunStatus.FINISHED or run.proof is None:
        return
    for owner, document in sorted(run.proof.grants.items()):
        evidence = read_evidence(run.proof.evidence[owner])
        yield GrantLine(
            owner=owner,
            granted_at=read_grant(document).granted_at,
            kind=evidence.kind.value,
            level=LEVELS[evidence.kind],
            measurement=evidence.measurement,
        )


def _files(root: Path) -> Iterator[tuple[Path, int]]:
    """All files with their sizes; one that is gone meanwhile is left out."""
    for folder, folders, names in os.walk(root):
        folders.sort()
        for path in (Path(folder) / name for name in sorted(names)):
            with suppress(FileNotFoundError):
                yield path, path.lstat().st_size


def _what(path: Path, root: Path) -> str:
    top = path.relative_to(root).parts[0]
    return next((what for begin, what in _HOST_FILES if top.startswith(begin)), "nothing that Asepsis wrote")
