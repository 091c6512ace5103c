"""Whoever holds the storage changes manifests, or exchanges files under an honest manifest."""

from __future__ import annotations

import copy
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.domain.names import Digest, PartyId, RestorePointId, SnapshotId
from asepsis.domain.snapshot import Label, Manifest, Origin, SealedFile
from asepsis.errors.sealing import (
    ContainerForged,
    KeyMalformed,
    ManifestMalformed,
    RootMismatch,
    SignatureInvalid,
)
from asepsis.sealing.canonical import canonical
from asepsis.sealing.container import generate_data_key, seal, unseal
from asepsis.sealing.context import manifest_context
from asepsis.sealing.keys import file_key
from asepsis.sealing.manifest import SignedManifest, check_files, manifest_digest, sign_manifest, verify_manifest
from asepsis.sealing.signing import Purpose, generate_signing_key, sign

OWNER = generate_signing_key()
DEK = generate_data_key()
ROWS = {"person-0": b"p" * 40_000, "visit-0": b"", "visit-1": b"v" * 16384}


def snapshot(name: str) -> tuple[Manifest, dict[str, bytes]]:
    """Seal the same rows as one snapshot; returns its manifest and the stored files."""
    manifest = Manifest(
        owner=PartyId("northgate"),
        dataset="emr",
        snapshot=SnapshotId(name),
        label=Label.SYNTHETIC,
        created_at=datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC),
        origin=Origin(
            source_kind="restic",
            restore_point=RestorePointId("8f3a (2012)"),
            mapping=Digest("a" * 64),
            books=Digest("b" * 64),
        ),
        files=(),
    )
    stored, files = {}, []
    for file_id, plaintext in ROWS.items():
        file = SealedFile(id=file_id, table=file_id.split("-")[0], rows=1, length=0, sealed_length=72, root="0" * 64)
        target = io.BytesIO()
        context = manifest_context(manifest, file=file)
        receipt = seal(io.BytesIO(plaintext), target, key=file_key(DEK, file_id), context=context)
        stored[file_id] = target.getvalue()
        files.append(
            replace(file, length=receipt.length, sealed_length=receipt.sealed_length, root=receipt.root),
        )
    return replace(manifest, files=tuple(files)), stored


MANIFEST, STORED = snapshot("s1")
SIGNED = sign_manifest(MANIFEST, OWNER.private)


def opener(stored: dict[str, bytes]) -> Any:
    return lambda file_id: io.BytesIO(stored[file_id])


def test_an_honest_snapshot_verifies_checks_and_opens() -> None:
    manifest = verify_manifest(SIGNED, OWNER.public)
    assert manifest == MANIFEST
    check_files(manifest, opener(STORED))
    for file in manifest.files:
        target = io.BytesIO()
        unseal(
            io.BytesIO(STORED[file.id]),
            target,
            key=file_key(DEK, file.id),
            context=manifest_context(manifest, file=file),
            root=file.root,
        )
        assert target.getvalue() == ROWS[file.id]
    assert manifest.file("visit-1").length == 16384
    assert manifest_digest(manifest) == manifest_digest(MANIFEST)


@given(st.integers(0, len(SIGNED.document) * 8 - 1))
def test_any_flipped_bit_of_a_manifest_is_refused(position: int) -> None:
    document = bytearray(SIGNED.document)
    document[position // 8] ^= 1 << position % 8
    with pytest.raises(SignatureInvalid):
        verify_manifest(replace(SIGNED, document=bytes(document)), OWNER.public)


def test_a_changed_signature_another_signer_or_another_purpose_is_refused() -> None:
    with pytest.raises(SignatureInvalid):
        verify_manifest(replace(SIGNED, signature=SIGNED.signature[::-1]), OWNER.public)
    with pytest.raises(SignatureInvalid):
        verify_manifest(SIGNED, generate_signing_key().public)
    release = sign(OWNER.private, purpose=Purpose.RELEASE, payload=SIGNED.document)
    with pytest.raises(SignatureInvalid):
        verify_manifest(replace(SIGNED, signature=release), OWNER.public)
    with pytest.raises(KeyMalformed):
        verify_manifest(SIGNED, b"short")


def test_every_file_is_checked_before_any_is_opened() -> None:
    for file_id in STORED:
        for position in (0, len(STORED[file_id]) // 2, len(STORED[file_id]) - 1):
            damaged = bytearray(STORED[file_id])
            damaged[position] ^= 1
            with pytest.raises(RootMismatch, match=file_id):
                check_files(MANIFEST, opener({**STORED, file_id: bytes(damaged)}))
        for wrong in (STORED[file_id][:-1], STORED[file_id] + b"\x00", b""):
            with pytest.raises(RootMismatch, match=file_id):
                check_files(MANIFEST, opener({**STORED, file_id: wrong}))


def test_a_file_of_another_snapshot_is_refused_by_root_and_by_context() -> None:
    _, others = snapshot("s2")
    with pytest.raises(RootMismatch):
        check_files(MANIFEST, opener({**STORED, "person-0": others["person-0"]}))
    with pytest.raises(ContainerForged):
        unseal(
            io.BytesIO(others["person-0"]),
            io.BytesIO(),
            key=file_key(DEK, "person-0"),
            context=manifest_context(MANIFEST, file=MANIFEST.file("person-0")),
        )


def test_two_files_of_one_snapshot_cannot_change_places() -> None:
    swapped = {**STORED, "visit-0": STORED["visit-1"], "visit-1": STORED["visit-0"]}
    with pytest.raises(RootMismatch):
        check_files(MANIFEST, opener(swapped))


def test_an_older_sealing_of_the_same_place_is_refused_while_unsealing() -> None:
    _, again = snapshot("s1")
    file = MANIFEST.file("person-0")
    with pytest.raises(RootMismatch):
        unseal(
            io.BytesIO(again["person-0"]),
            io.BytesIO(),
            key=file_key(DEK, file.id),
            context=manifest_context(MANIFEST, file=file),
            root=file.root,
        )


def test_lengths_that_cannot_belong_together_are_refused() -> None:
    lying = replace(MANIFEST, files=(replace(MANIFEST.files[0], length=1), *MANIFEST.files[1:]))
    with pytest.raises(ManifestMalformed):
        check_files(lying, opener(STORED))


def owner_signs(document: bytes) -> SignedManifest:
    return SignedManifest(
        document=document,
        signature=sign(OWNER.private, purpose=Purpose.MANIFEST, payload=document),
    )


@pytest.mark.parametrize("document", [b"", b"[]", b"null", b'{"a":1}', b"\xff", SIGNED.document + b" "])
def test_what_is_signed_but_no_manifest_is_refused(document: bytes) -> None:
    with pytest.raises(ManifestMalformed):
        verify_manifest(owner_signs(document), OWNER.public)


CHANGES: list[tuple[str, Any]] = [
    ("format", "asepsis/manifest/2"),
    ("owner", ""),
    ("owner", "north\ngate"),
    ("owner", 7),
    ("dataset", "a b"),
    ("snapshot", "../s1"),
    ("label", "unknown"),
    ("label", None),
    ("created_at", "2026-01-31T12:00:00Z"),
    ("created_at", "2026-01-31T12:00:00.5Z"),
    ("created_at", "2026-02-31T12:00:00.000000Z"),
    ("created_at", 0),
    ("files", {}),
    ("files", [7]),
    ("origin", []),
    ("origin.mapping", "A" * 64),
    ("origin.books", "a" * 63),
    ("origin.restore_point", ""),
    ("origin.restore_point", "a\nb"),
    ("origin.source_kind", "x" * 300),
    ("files.id", "../person"),
    ("files.id", "/etc/passwd"),
    ("files.id", ".."),
    ("files.id", "visit-1"),
    ("files.rows", -1),
    ("files.rows", True),
    ("files.rows", 1.5),
    ("files.rows", "1"),
    ("files.length", None),
    ("files.sealed_length", 2**53),
    ("files.root", "0" * 63),
    ("files.root", "g" * 64),
]


@pytest.mark.parametrize(("place", "value"), CHANGES)
def test_a_value_of_another_type_or_form_is_refused(place: str, value: Any) -> None:
    document: Any = copy.deepcopy(MANIFEST.to_document())
    *outer, last = place.split(".")
    inner = document if not outer else document["files"][0] if outer == ["files"] else document[outer[0]]
    inner[last] = value
    with pytest.raises(ManifestMalformed):
        Manifest.from_document(document)


@pytest.mark.parametrize("outer", [None, "origin", "files"])
def test_a_missing_or_unknown_key_is_refused(outer: str | None) -> None:
    for unknown in (False, True):
        document: Any = copy.deepcopy(MANIFEST.to_document())
        inner = document if outer is None else document["files"][0] if outer == "files" else document[outer]
        for key in ["extra"] if unknown else list(inner):
            changed = copy.deepcopy(inner)
            if unknown:
                changed[key] = 1
            else:
                del changed[key]
            broken = changed if outer is None else {**document, outer: [changed] if outer == "files" else changed}
            with pytest.raises(ManifestMalformed):
                Manifest.from_document(broken)


def test_a_manifest_round_trips_and_needs_universal_time() -> None:
    assert Manifest.from_document(MANIFEST.to_document()) == MANIFEST
    assert canonical(MANIFEST.to_document()) == SIGNED.document
    for zone in (None, timezone(timedelta(hours=1))):
        with pytest.raises(ManifestMalformed):
            replace(MANIFEST, created_at=MANIFEST.created_at.replace(tzinfo=zone))
    with pytest.raises(ManifestMalformed):
        MANIFEST.file("absent")
