"""A small certificate authority for one room: it names the room and its desks to each other, and nobody else.

X.509 certificates (RFC 5280) on P-256, made once, valid for a limited time. The authority alone opens nothing: desks
pin the room's certificate and the room pins each desk's, by SHA-256 over the certificate.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from asepsis.errors.keys import CertificateRefused, KeysExist, KeysMissing, KeysUnwritable

VALID: Final = timedelta(days=398)
_BACK: Final = timedelta(minutes=5)
_LARGEST: Final = 1 << 16
"""Bytes of a file that introduces somebody; two certificates have about 1500."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Where a certificate, its private key and the authority's certificate lie (PEM)."""

    certificate: Path
    key: Path
    authority: Path

    def pin(self) -> str:
        """SHA-256 over the certificate, in hex. Raises KeysMissing."""
        try:
            certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        except (OSError, ValueError):
            raise KeysMissing(path=str(self.certificate)) from None
        return _pin(certificate)

    def introduction(self) -> bytes:
        """What others get to know this program: its certificate and the authority's. Raises KeysMissing."""
        try:
            return self.certificate.read_bytes() + self.authority.read_bytes()
        except OSError:
            raise KeysMissing(path=str(self.certificate)) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction:
    """Somebody else's certificate: the authority that made it (PEM), and its SHA-256 in hex, which is what counts."""

    authority: bytes
    pin: str


def read_introduction(path: Path, *, pin: str) -> Introduction:
    """Read the file that introduces a room or a desk; ``pin`` is the fingerprint that was heard another way.

    Colons, spaces and the case of the fingerprint do not matter.

    Raises:
        CertificateRefused: the file is none, or it shows another fingerprint.
    """
    try:
        with path.open("rb") as file:
            certificate, authority = x509.load_pem_x509_certificates(file.read(_LARGEST))
        certificate.verify_directly_issued_by(authority)
    except OSError:
        raise CertificateRefused(path=str(path), problem="the file cannot be read") from None
    except (ValueError, TypeError, InvalidSignature):
        raise CertificateRefused(path=str(path), problem="it does not hold a certificate and its authority") from None
    if _pin(certificate) != "".join(pin.split()).replace(":", "").lower():
        raise CertificateRefused(path=str(path), problem="it has another fingerprint")
    return Introduction(authority=authority.public_bytes(serialization.Encoding.PEM), pin=_pin(certificate))


def identity_in(folder: Path, name: str) -> Identity:
    """The identity that an authority once issued into its folder."""
    return Identity(certificate=folder / f"{name}.pem", key=folder / f"{name}.key", authority=folder / "authority.pem")


class Authority:
    """The certificate authority of one room."""

    def __init__(self, folder: Path, *, now: datetime) -> None:
        """Make a new authority in a new folder. Raises KeysExist or KeysUnwritable."""
        self._folder = folder
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "asepsis room authority")])
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            raise KeysExist(path=str(folder)) from None
        except OSError:
            raise KeysUnwritable(path=str(folder)) from None
        builder = self._builder(self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs=True), critical=True)
        _write(folder / "authority.pem", self._sign(builder))

    def issue(self, name: str, *, hosts: Sequence[str] = ()) -> Identity:
        """A certificate for one program: a server's where ``hosts`` names its addresses, else a client's."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_host(one) for one in hosts]), critical=False)
        identity = identity_in(self._folder, name)
        _write(identity.certificate, self._sign(builder))
        _write(
            identity.key,
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
        return identity

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(self._now - _BACK).not_valid_after(self._now + VALID)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return builder.add_extension(issuer, critical=False)

    def _sign(self, builder: x509.CertificateBuilder) -> bytes:
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _pin(certificate: x509.Certificate) -> str:
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise KeysExist(path=str(path)) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
