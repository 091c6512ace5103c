"""Signed manifests: what the owner says a snapshot consists of, checked before anything is decrypted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from asepsis.domain.names import Digest
from asepsis.domain.snapshot import Manifest
from asepsis.errors.sealing import DocumentNotCanonical, ManifestMalformed, RootMismatch
from asepsis.sealing.canonical import canonical, digest, parse_canonical
from asepsis.sealing.container import measure, sealed_length
from asepsis.sealing.signing import Purpose, sign, verify


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedManifest:
    """The canonical bytes of a manifest and the owner's Ed25519 signature over them."""

    document: bytes
    signature: bytes


def sign_manifest(manifest: Manifest, private_key: bytes) -> SignedManifest:
    """Sign a manifest with the owner's signing key; raises `KeyMalformed`."""
    document = canonical(manifest.to_document())
    return SignedManifest(
        document=document,
        signature=sign(private_key, purpose=Purpose.MANIFEST, payload=document),
    )


def manifest_digest(manifest: Manifest) -> Digest:
    """SHA-256 of the canonical manifest: what contracts, grants and ledger entries refer to."""
    return digest(manifest.to_document())


def verify_manifest(signed: SignedManifest, public_key: bytes) -> Manifest:
    """Check the signature, then read the manifest: nothing unsigned is parsed.

    Raises:
        SignatureInvalid: the owner did not sign these bytes.
        ManifestMalformed: the owner signed something that is no manifest of this version.
    """
    verify(public_key, purpose=Purpose.MANIFEST, payload=signed.document, signature=signed.signature)
    try:
        document = parse_canonical(signed.document)
    except DocumentNotCanonical:
        raise ManifestMalformed(place="manifest") from None
    return Manifest.from_document(document)


def check_files(manifest: Manifest, opener: Callable[[str], BinaryIO]) -> None:
    """Check root and length of every sealed file before any of them is decrypted.

    ``opener`` gives the sealed bytes of a file id from their start; each stream is closed here.

    Raises:
        RootMismatch: a file is not the one that its owner signed.
        ManifestMalformed: the stated lengths cannot belong together.
    """
    for file in manifest.files:
        if sealed_length(file.length) != file.sealed_length:
            raise ManifestMalformed(place="files.sealed_length")
    for file in manifest.files:
        with opener(file.id) as source:
            if measure(source) != (file.root, file.sealed_length):
                raise RootMismatch(file=file.id)
