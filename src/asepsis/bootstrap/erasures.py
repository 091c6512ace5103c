"""Erasing at an owner's desk, the record of it in the room, and the check of its certificate, offline."""

from __future__ import annotations

import json
from pathlib import Path

from asepsis.bootstrap.room import Room
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.erasure import Erasure
from asepsis.domain.names import Digest, PartyId
from asepsis.errors.room import FileUnreadable
from asepsis.sealing.agreement import contract_digest
from asepsis.sealing.erasure import SignedErasure
from asepsis.services.erasures import VerifiedErasure, verify_certificate


def erase_due(room: Room, owner: PartyId) -> list[tuple[Path, Erasure, bool]]:
    """Destroy an owner's keys of what may not be kept any longer, at its own desk, and record it.

    Returns every erasure under the contract's lineage with its certificate in the owner's home, and whether the
    certificate is new. Raises what the desk raises, or FileUnreadable where the certificate cannot be written.
    """
    papers = room.contracts.papers()
    contract = contract_digest(read_contract(papers.contract))
    done = room.desk(owner).erase(contract, statements=papers.statements)
    room.erasures.record(done)
    return [_written(room, room.home(owner) / "erasures", signed) for signed in done]


def verify_erasure_certificate(document: object, *, contract: Digest) -> VerifiedErasure:
    """Check a certificate of erasure offline (see ``services.erasures``)."""
    return verify_certificate(document, contract=contract)


def _written(room: Room, folder: Path, signed: SignedErasure) -> tuple[Path, Erasure, bool]:
    path = folder / f"{signed.digest[:16]}.json"
    if path.exists():
        return path, signed.erasure, False
    text = json.dumps(room.erasures.certificate(signed.digest), indent=1, sort_keys=True)
    draft = path.with_suffix(".partial")
    try:
        folder.mkdir(exist_ok=True, mode=0o700)
        draft.write_text(text, encoding="utf-8")
        draft.rename(path)
    except OSError:
        raise FileUnreadable(path=str(path)) from None
    return path, signed.erasure, True
