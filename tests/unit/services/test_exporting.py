"""An export of the ledger is an act: it stands in the ledger, and in the export itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from asepsis.bootstrap.room import create_room
from asepsis.domain.ledger import Act
from asepsis.domain.names import PartyId
from asepsis.ledger.bundle import verify_bundle
from asepsis.services.audit import ExportFormat


@pytest.mark.parametrize("kind", ExportFormat)
def test_whoever_exports_the_ledger_is_its_last_entry(kind: ExportFormat, tmp_path: Path) -> None:
    """Guard: the entry in ``Audit.export``."""
    room = create_room(tmp_path / "room", origin="asepsis.local/test")
    room.enrol(PartyId("northgate"), owner=True)
    before, exported = room.audit.entries(), room.audit.export(kind)
    (added,) = room.audit.entries()[len(before) :]
    assert (added.act, added.actor, dict(added.facts)) == (Act.LEDGER_EXPORTED, room.host, {"mode": kind.value})
    assert b"ledger.exported" in exported
    if kind is ExportFormat.BUNDLE:
        report = verify_bundle(exported, log_key=room.audit.log_key, witness_keys=(), quorum=0)
        assert report.entries[-1] == added
