"""The addresses of version 1; every one of them only reads."""

from __future__ import annotations

import json
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from asepsis import __version__
from asepsis.api import documents
from asepsis.api.record import kept_checkpoint, kept_evidences
from asepsis.bootstrap.room import Room
from asepsis.domain.names import ReleaseId
from asepsis.wire import v1

RELEASE_FORM: Final = "^release-[0-9a-f]{16}$"
LONGEST_PAGE: Final = 500
_LARGEST: Final = 2**53

router = APIRouter()


def _room(request: Request) -> Room:
    room: Room = request.app.state.room
    return room


InRoom = Annotated[Room, Depends(_room)]
WantedRelease = Annotated[str, Path(pattern=RELEASE_FORM)]


@router.get("/healthz")
def health() -> v1.Health:
    """Say that the server answers."""
    return v1.Health(status="ok", version=__version__)


@router.get("/v1/contract")
def contract(room: InRoom) -> v1.ContractStanding:
    """Tell where the contract stands and whose turn it is."""
    return documents.contract_standing(room.contracts.status())


@router.get("/v1/releases")
def releases(room: InRoom) -> list[v1.ReleaseLine]:
    """List all outputs that asked to leave the room, oldest first."""
    return [documents.release_line(release) for release in room.state.releases()]


@router.get("/v1/releases/{release_id}")
def release(release_id: WantedRelease, room: InRoom) -> v1.Release:
    """Show one output: its findings and, once it is released, its table."""
    found = room.state.release(ReleaseId(release_id))
    return documents.release_document(found, room.analyses.show(found.id))


@router.get("/v1/releases/{release_id}/bundle", response_class=Response)
def bundle(release_id: WantedRelease, room: InRoom) -> Response:
    """Hand out the evidence bundle of a release: a file that verifies offline."""
    document = kept_evidences(room).bundle(ReleaseId(release_id))
    headers = {"Content-Disposition": f'attachment; filename="{release_id}.json"'}
    return Response(json.dumps(document, indent=1, sort_keys=True), headers=headers, media_type="application/json")


@router.get("/v1/runs")
def runs(room: InRoom) -> list[v1.RunLine]:
    """List all runs with their status, oldest first."""
    return [documents.run_line(run) for run in room.state.runs()]


@router.get("/v1/referrals")
def referrals(room: InRoom) -> list[v1.ReferralLine]:
    """List all referrals with their status, oldest first."""
    return [documents.referral_line(referral) for referral in room.state.referrals()]


@router.get("/v1/snapshots")
def snapshots(room: InRoom) -> list[v1.Snapshot]:
    """List all sealed snapshots with what their manifests say, oldest first."""
    return [documents.snapshot_facts(snapshot) for snapshot in room.state.snapshots()]


@router.get("/v1/ledger")
def ledger(
    room: InRoom,
    start: Annotated[int, Query(ge=0, le=_LARGEST)] = 0,
    limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = 100,
) -> v1.LedgerPage:
    """Show a range of the ledger, oldest first."""
    record = room.state.ledger()
    size = record.size()
    stop = min(start + limit, size)
    entries = record.entries(start, stop) if start < stop else []
    return v1.LedgerPage(
        size=size,
        start=start,
        entries=[documents.ledger_entry(position, entry) for position, entry in enumerate(entries, start=start)],
        next=stop if start < stop < size else None,
    )


@router.get("/v1/checkpoint")
def checkpoint(room: InRoom) -> v1.Checkpoint:
    """Show the newest checkpoint with the cosignatures that verify."""
    return kept_checkpoint(room)
