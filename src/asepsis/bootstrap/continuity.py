"""Continuity, wired: the backups are judged, the pack is made and written whole, and read back to be verified."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from asepsis.attest.appraise import appraise
from asepsis.bootstrap.backups import look_into
from asepsis.bootstrap.room import Room, now
from asepsis.domain.continuity_pack import Pack
from asepsis.domain.names import Digest, PartyId
from asepsis.errors.continuity import InstantUnclear, VerdictUnclear
from asepsis.errors.recovery import OutputExists, OutputUnwritable
from asepsis.errors.room import FileUnreadable
from asepsis.ports import Source
from asepsis.sealing.signing import Purpose
from asepsis.services.continuity import Continuity
from asepsis.services.continuity_choice import Judged, Occasion
from asepsis.services.continuity_drill import last_drills
from asepsis.services.continuity_files import PackFiles
from asepsis.services.continuity_verify import Expected, VerifiedPack, verify_pack
from asepsis.services.estate import Estate
from asepsis.services.runs import Progress
from asepsis.store.estate_index import EstateIndex

DRILLS: Final = "drills"
_MOST_FILES: Final = 2_000
_LARGEST_FILE: Final = 64 << 20


def continuity(room: Room) -> Continuity:
    """The use cases of continuity in a room."""
    return Continuity(
        state=room.state,
        contracts=room.contracts,
        analyses=room.analyses,
        referrals=room.referrals,
        evidences=room.evidences,
        audit=room.audit,
        clock=now,
        randomness=secrets.token_bytes,
    )


def judge_backups(
    named: Sequence[str], room: Room, *, index: Path, progress: Progress = lambda _: None
) -> dict[PartyId, Judged]:
    """Judge the restore points of backups that are named as OWNER=SOURCE.

    Raises VerdictUnclear, IndexUnusable, or the errors of a source.
    """
    owners = {owner.id for owner in room.contracts.in_force().contract.owners}
    found: dict[PartyId, Judged] = {}
    for text in named:
        owner, sign, uri = text.partition("=")
        if not sign or owner not in owners or owner in found:
            raise VerdictUnclear(text=text)
        found[PartyId(owner)] = judge_source(look_into(uri), index=index, progress=progress)
    return found


def judge_source(source: Source, *, index: Path, progress: Progress = lambda _: None) -> Judged:
    """Judge every restore point of a source; what the index knows is not read again. Raises IndexUnusable."""
    opened = EstateIndex(index)
    try:
        estate = Estate(source=source, index=opened, clock=now)
        scan = estate.scan(report=lambda seen: progress(f"judge object {seen.objects} of {seen.of_objects}"))
    finally:
        opened.close()
    return Judged(scan=scan, at=now())


def make_pack(room: Room, occasion: Occasion, *, progress: Progress = lambda _: None) -> tuple[Pack, PackFiles]:
    """Run what was pre-approved, signed with the lead's key. Raises what ``Continuity.pack`` raises, KeysMissing."""
    use_cases = continuity(room)
    keys = room.keys(use_cases.terms().lead)
    return use_cases.pack(occasion, sign=lambda payload: keys.sign(Purpose.CONTINUITY_PACK, payload), progress=progress)


def drilled(room: Room) -> dict[Digest, datetime]:
    """When each analysis was last drilled in this room."""
    folder = room.folder / "host" / DRILLS
    contents = [path.read_bytes() for path in sorted(folder.glob("*.json"))]
    return last_drills(contents, room.contracts.contract())


def approve_essentials(room: Room, owner: PartyId) -> tuple[str, tuple[PartyId, ...]]:
    """An owner's approval beforehand, made at its own desk; returns the referral and who is still missing."""
    referral = continuity(room).ask_essentials()
    signature = room.desk(owner).approve_referral(referral.analysis_digest, contract=referral.contract)
    approved = room.referrals.approve(referral.id, owner=owner, signature=signature)
    owners = room.contracts.in_force().contract.owners
    return approved.id, tuple(one.id for one in owners if one.id not in approved.approvals)


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a new folder, whole or not at all. Raises OutputExists or OutputUnwritable."""
    if folder.exists():
        raise OutputExists(path=str(folder))
    draft = folder.with_name(folder.name + ".partial")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        for name, content in files.items():
            target = draft / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        draft.rename(folder)
    except OSError:
        raise OutputUnwritable(path=str(folder)) from None


def read_files(folder: Path) -> dict[str, bytes]:
    """Every file of a pack's folder, by its path inside it. Raises FileUnreadable."""
    found: dict[str, bytes] = {}
    try:
        for path in sorted(folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                continue
            is_plain = path.is_file() and not path.is_symlink() and path.stat().st_size <= _LARGEST_FILE
            if not is_plain or len(found) >= _MOST_FILES:
                raise FileUnreadable(path=str(path))
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    except OSError:
        raise FileUnreadable(path=str(folder)) from None
    if not found:
        raise FileUnreadable(path=str(folder))
    return found


def verify_folder(folder: Path, expected: Expected) -> VerifiedPack:
    """Check the pack in a folder, offline (see ``services.continuity_verify``)."""
    return verify_pack(read_files(folder), expected, appraise=appraise)


def past_instant(text: str, *, clock: Callable[[], datetime] = now) -> datetime:
    """An instant of the past that a person typed. Raises InstantUnclear."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InstantUnclear(text=text) from None
    if moment.tzinfo is None or moment > clock():
        raise InstantUnclear(text=text)
    return moment.astimezone(UTC)
