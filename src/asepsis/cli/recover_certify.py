"""``asepsis recover certify``, ``keys`` and ``verify``: what is certified of an incident, and its check offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asepsis.cli.new_files import refuse_existing, write_new
from asepsis.cli.options import DEFAULT_ROOM, AsOption, JsonOption, RoomOption
from asepsis.cli.report import emit, reported


def certify(
    incident: Annotated[str, typer.Argument(help="The incident's name, or the beginning of it.")],
    out: Annotated[Path, typer.Argument(help="Where to write the signed certificate.")],
    party: AsOption,
    pdf: Annotated[Path | None, typer.Option("--pdf", help="Also write it as pages to read.")] = None,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Sign a certificate over an incident that is signed off; one made after its end says so."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.incidents import issue_certificate
        from asepsis.bootstrap.room import open_room
        from asepsis.domain.names import PartyId
        from asepsis.integrity.incident.certificate_text import certificate_sections
        from asepsis.integrity.incident.pdf import pages_of

        refuse_existing(out, pdf)
        signed, content, digest = issue_certificate(open_room(room), PartyId(party), incident)
        write_new(out, signed)
        if pdf is not None:
            write_new(pdf, pages_of(certificate_sections(content, digest=digest), footer=f"{incident} {digest}"))
        files = [str(path) for path in (out, pdf) if path is not None]
        emit(
            {"certificate": str(out), "pdf": None if pdf is None else str(pdf), "digest": digest},
            as_json=as_json,
            text=f"certificate {digest}: {', '.join(files)}\nnext: asepsis recover verify {out} --keys KEYS",
        )


def write_keys(
    out: Annotated[Path, typer.Argument(help="Where to write the public keys.")],
    party: AsOption,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Write the public keys with which certificates of this room are verified; hand them over by a way of their own."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.incidents import open_incidents
        from asepsis.bootstrap.room import open_room
        from asepsis.domain.names import PartyId
        from asepsis.sealing.canonical import canonical
        from asepsis.sealing.canonical import digest as digest_of
        from asepsis.services.recovery_certificates import recovery_keys

        refuse_existing(out)
        document = recovery_keys(open_incidents(open_room(room), PartyId(party))).to_document()
        write_new(out, canonical(document))
        digest = digest_of(document)
        emit({"keys": str(out), "digest": digest}, as_json=as_json, text=f"{out}: SHA-256 {digest}")


def verify(
    certificate: Annotated[Path, typer.Argument(help="The signed certificate.")],
    keys: Annotated[Path, typer.Option("--keys", help="The public keys, from somebody whom you trust.")],
    export: Annotated[
        Path | None, typer.Option("--export", help="Also read this clean set, and compare it with its root.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a certificate offline: every signature, every act, the ledger's proofs, and that it says what they do."""
    with reported(as_json=as_json):
        from asepsis.cli.files import read_bytes, read_json
        from asepsis.integrity.incident.certificate_text import certificate_sections
        from asepsis.sealing.canonical import digest
        from asepsis.services.clean_sets import check_certified_set
        from asepsis.services.recovery_certificates import read_recovery_keys, verify_certificate

        content = verify_certificate(read_bytes(certificate), read_recovery_keys(read_json(keys)))
        lines = []
        for section in certificate_sections(content, digest=digest(content)):
            lines += [f"{section.heading}:", *(f"  {line}" for line in section.lines)]
        if export is not None:
            lines.append(f"clean set: all {check_certified_set(export, content)} files are as certified")
        emit(content, as_json=as_json, text="\n".join([*lines, "the certificate verifies"]))
