"""``asepsis contract erase`` and ``verify-erasure``: the keys of data that may not be kept longer, and the proof."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asepsis.cli.options import DEFAULT_ROOM, AsOption, JsonOption, RoomOption
from asepsis.cli.report import emit, reported

if TYPE_CHECKING:
    from asepsis.domain.erasure import Erasure


def erase(party: AsOption, room: RoomOption = DEFAULT_ROOM, as_json: JsonOption = False) -> None:
    """Destroy an owner's keys of data that the contract does not let be kept any longer; run it every day."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.erasures import erase_due
        from asepsis.bootstrap.room import open_room
        from asepsis.domain.names import PartyId

        written = erase_due(open_room(room), PartyId(party))
        document = [{"file": str(path), "new": is_new, **one.to_document()} for path, one, is_new in written]
        blocks = [f"{_erased(one)}\ncertificate {path}" for path, one, is_new in written if is_new]
        emit(document, as_json=as_json, text="\n\n".join(blocks) or "nothing is due: no key was destroyed")


def verify(
    certificate: Path,
    contract: Annotated[str, typer.Option("--contract", help="The contract's digest, from an owner you trust.")],
    as_json: JsonOption = False,
) -> None:
    """Check a certificate of erasure offline: the owner's signature and the ledger's proof."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.erasures import verify_erasure_certificate
        from asepsis.cli.files import read_json
        from asepsis.domain.names import Digest

        verified = verify_erasure_certificate(read_json(certificate), contract=Digest(contract))
        document = {
            **verified.erasure.to_document(),
            "ledger_position": verified.position,
            "ledger_size": verified.ledger_size,
        }
        text = (
            f"{_erased(verified.erasure)}\n"
            f"signed by {verified.erasure.owner}; entry {verified.position} of {verified.ledger_size} of the ledger, "
            "cosigned by every owner"
        )
        emit(document, as_json=as_json, text=text)


def _erased(erasure: Erasure) -> str:
    """What was destroyed, when and why, in words."""
    from asepsis.domain.erasure import Clause

    why = {
        Clause.ENDED: "the contract was ended",
        Clause.EXPIRED: "the contract's time is over",
        Clause.RETENTION: "they were older than retention_days allows",
        Clause.EPOCH: "the linkage that they were made for is over",
    }[erasure.clause]
    lines = [f"{erasure.owner} destroyed {len(erasure.keys)} keys at {erasure.at:%Y-%m-%d %H:%M} UTC: {why}"]
    lines += [f"  {key.kind.value:<9} {key.id}" for key in erasure.keys]
    lines += [f"  spared    {key.id}, which contract {key.contract[:16]} lets be used" for key in erasure.spared]
    if erasure.leases_until > erasure.at:
        lines.append(f"  a runtime may have held such a key until {erasure.leases_until:%H:%M} UTC")
    return "\n".join(lines)
