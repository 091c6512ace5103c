"""Hardware that the tests make up: its own roots, keys, certificates and reports, correct in every other respect."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from asepsis.attest.trust import Trust
from asepsis.domain.attestation import Binding, Endorsement, EndorsementKind, Evidence, EvidenceKind
from asepsis.domain.names import Digest

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BEFORE, AFTER = NOW - timedelta(days=30), NOW + timedelta(days=3650)
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
AMD = "1.3.6.1.4.1.3704.1."
PSS_384 = padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=48)


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """One key per name; the smallest that our verifiers take."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def p384(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


@cache
def p256(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pin(key: Key) -> str:
    """What a trust store pins of a key."""
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


@dataclass(frozen=True, kw_only=True)
class Issue:
    """What a certificate is to say; an authority unless ``path_length`` is None."""

    subject: str
    issuer: str
    key: Key
    signer: Key
    path_length: int | None = None
    is_authority: bool = False
    digest: hashes.HashAlgorithm = field(default_factory=hashes.SHA384)
    pss: bool = False
    not_before: datetime = BEFORE
    not_after: datetime = AFTER
    extensions: Mapping[str, bytes] = field(default_factory=dict)
    critical: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    usage: bool = True

    def der(self) -> bytes:
        return self.sign().public_bytes(Encoding.DER)

    def sign(self) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(self.subject))
            .issuer_name(name(self.issuer))
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(self.not_before)
            .not_valid_after(self.not_after)
        )
        if self.is_authority:
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=self.path_length), critical=True)
        if self.usage:
            builder = builder.add_extension(self._usage(), critical=True)
        if self.purposes:
            oids = [x509.ObjectIdentifier(purpose) for purpose in self.purposes]
            builder = builder.add_extension(x509.ExtendedKeyUsage(oids), critical=False)
        for oid, value in self.extensions.items():
            extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
            builder = builder.add_extension(extension, critical=oid in self.critical)
        if self.pss and isinstance(self.signer, rsa.RSAPrivateKey):
            return builder.sign(self.signer, self.digest, rsa_padding=PSS_384)  # type: ignore[arg-type]
        return builder.sign(self.signer, self.digest)  # type: ignore[arg-type]

    def _usage(self) -> x509.KeyUsage:
        flags = dict.fromkeys(
            (
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "crl_sign",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        return x509.KeyUsage(digital_signature=not self.is_authority, key_cert_sign=self.is_authority, **flags)


def with_serial_zero(certificate: bytes, signer: rsa.RSAPrivateKey) -> bytes:
    """The certificate again, with AMD's serial number 0 instead of 1, signed again."""
    one, zero = (b"\xa0\x03\x02\x01\x02\x02\x01" + bytes([serial]) for serial in (1, 0))
    if certificate.count(one) != 1:
        raise ValueError(certificate)
    changed = certificate.replace(one, zero)
    length = signer.key_size // 8
    return changed[:-length] + signer.sign(_signed(changed), PSS_384, hashes.SHA384())


def _signed(certificate: bytes) -> bytes:
    start = 4
    return certificate[start : start + 4 + int.from_bytes(certificate[start + 2 : start + 4], "big")]


def der_integer(value: int) -> bytes:
    return b"\x02\x01" + bytes([value]) if value < 0x80 else b"\x02\x02\x00" + bytes([value])


def der_text(value: str) -> bytes:
    return b"\x16" + bytes([len(value)]) + value.encode()


# --- SEV-SNP --------------------------------------------------------------------------------------------------------

LEVELS = {"boot_loader": 4, "tee": 1, "snp": 24, "microcode": 219}
TURIN_LEVELS = {"fmc": 1, **LEVELS}
CPUS = {"Milan": (0x19, 0x01), "Genoa": (0x19, 0x11), "Turin": (0x1A, 0x02)}
LEVEL_OIDS = {"boot_loader": "3.1", "tee": "3.2", "snp": "3.3", "microcode": "3.8", "fmc": "3.9"}


@dataclass(frozen=True, kw_only=True)
class SnpHost:
    """A host with SEV-SNP of one product line; ``cloud`` makes its key a VLEK."""

    product: str = "Milan"
    cloud: str | None = None
    levels: Mapping[str, int] | None = None
    says: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tcb(self) -> Mapping[str, int]:
        return self.levels or (TURIN_LEVELS if self.product == "Turin" else LEVELS)

    @property
    def chip(self) -> bytes:
        return bytes(range(1, 9)) if self.product == "Turin" else bytes(range(1, 65))

    @property
    def roots(self) -> dict[str, str]:
        return {pin(rsa_key(f"ark-{self.product}")): self.product}

    @property
    def key(self) -> ec.EllipticCurvePrivateKey:
        return p384(f"ek-{self.product}-{self.cloud}")

    def certificates(self, **changes: Any) -> bytes:
        """Endorsement key, signing key and root, in DER; ``says`` and ``changes`` alter the endorsement key's."""
        ark, ask = rsa_key(f"ark-{self.product}"), rsa_key(f"ask-{self.product}")
        between = f"SEV-{'VLEK-' if self.cloud else ''}{self.product}"
        extensions = {
            AMD + "1": der_integer(1),
            AMD + "2": der_text(self.product if self.cloud else f"{self.product}-B0"),
            **{AMD + LEVEL_OIDS[part]: der_integer(level) for part, level in self.tcb.items()},
            **({AMD + "5": der_text(self.cloud)} if self.cloud else {AMD + "4": self.chip}),
        }
        extensions |= changes.pop("extensions", {})
        leaf = Issue(
            **{
                "subject": "SEV-VLEK" if self.cloud else "SEV-VCEK",
                "issuer": between,
                "key": self.key,
                "signer": ask,
                "pss": True,
                "usage": False,
                "extensions": {oid: value for oid, value in extensions.items() if value},
                **changes,
            }
        ).der()
        middle = Issue(
            subject=between,
            issuer=f"ARK-{self.product}",
            key=ask,
            signer=ark,
            pss=True,
            is_authority=True,
            path_length=0,
        )
        return with_serial_zero(leaf, ask) + middle.der() + self.root()

    def root(self) -> bytes:
        ark = rsa_key(f"ark-{self.product}")
        common = f"ARK-{self.product}"
        return Issue(subject=common, issuer=common, key=ark, signer=ark, pss=True, is_authority=True).der()

    def tcb_bytes(self, levels: Mapping[str, int]) -> bytes:
        turin = {"fmc": 0, "boot_loader": 1, "tee": 2, "snp": 3, "microcode": 7}
        layout = turin if self.product == "Turin" else {"boot_loader": 0, "tee": 1, "snp": 6, "microcode": 7}
        raw = bytearray(8)
        for part, at in layout.items():
            raw[at] = levels.get(part, 0)
        return bytes(raw)

    def report(self, **changes: Any) -> bytes:
        """A signed report; ``changes`` name what differs from a good one."""
        fields: dict[str, Any] = {
            "version": 3,
            "policy": 0x3001F,
            "vmpl": 0,
            "algorithm": 1,
            "signing_key": 1 if self.cloud else 0,
            "report_data": bytes(64),
            "measurement": bytes(range(48)),
            "host_data": bytes(range(32)),
            "cpu": CPUS[self.product],
            "chip": bytes(64) if self.cloud else self.chip.ljust(64, b"\0"),
            "reported": self.tcb,
            "committed": self.tcb,
            "launch": self.tcb,
            "signer": self.key,
            **changes,
        }
        raw = bytearray(1184)
        put(raw, 0x00, fields["version"].to_bytes(4, "little"))
        put(raw, 0x08, fields["policy"].to_bytes(8, "little"))
        put(raw, 0x30, fields["vmpl"].to_bytes(4, "little"))
        put(raw, 0x34, fields["algorithm"].to_bytes(4, "little"))
        put(raw, 0x48, (fields["signing_key"] << 2).to_bytes(4, "little"))
        put(raw, 0x50, fields["report_data"])
        put(raw, 0x90, fields["measurement"])
        put(raw, 0xC0, fields["host_data"])
        put(raw, 0x180, self.tcb_bytes(fields["reported"]))
        if fields["version"] > 2:
            put(raw, 0x188, bytes(fields["cpu"]))
        put(raw, 0x1A0, fields["chip"])
        put(raw, 0x1E0, self.tcb_bytes(fields["committed"]))
        put(raw, 0x1F0, self.tcb_bytes(fields["launch"]))
        r, s = sign_numbers(fields["signer"], bytes(raw[:0x2A0]), hashes.SHA384())
        put(raw, 0x2A0, r.to_bytes(72, "little"))
        put(raw, 0x2E8, s.to_bytes(72, "little"))
        return bytes(raw)


def put(raw: bytearray, at: int, value: bytes) -> None:
    raw[at : at + len(value)] = value


def sign_numbers(key: ec.EllipticCurvePrivateKey, data: bytes, digest: hashes.HashAlgorithm) -> tuple[int, int]:
    return decode_dss_signature(key.sign(data, ec.ECDSA(digest)))


# --- launch endorsements --------------------------------------------------------------------------------------------

PURPOSE = "1.3.6.1.4.1.311.76.59.1.2"
FEED = "ContainerPlat-AMD-UVM"


def launch_chain(**changes: Any) -> list[bytes]:
    """Leaf, authority and root of somebody who endorses firmware."""
    root, middle, leaf = rsa_key("uvm-root"), rsa_key("uvm-ca"), rsa_key("uvm-leaf")
    return [
        Issue(
            **{
                "subject": "Leaf",
                "issuer": "CA",
                "key": leaf,
                "signer": middle,
                "purposes": (PURPOSE,),
                **changes,
            }
        ).der(),
        Issue(subject="CA", issuer="Root", key=middle, signer=root, is_authority=True, path_length=0).der(),
        Issue(subject="Root", issuer="Root", key=root, signer=root, is_authority=True).der(),
    ]


@cache
def launch_root() -> bytes:
    return launch_chain()[-1]


def launch_issuer(root: bytes | None = None) -> str:
    digest = hashlib.sha256(root or launch_root()).digest()
    return f"did:x509:0:sha256:{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}::eku:{PURPOSE}"


def launch_statement(measurement: bytes, *, payload: bytes | None = None, **changes: Any) -> bytes:
    """A COSE_Sign1 that endorses a launch measurement; ``changes`` alter its protected header."""
    chain = changes.pop("chain", None) or [*launch_chain()[:2], launch_root()]
    header: dict[Any, Any] = {1: -38, 3: "application/json", 33: chain, "iss": launch_issuer(), "feed": FEED}
    header.update(changes)
    protected = cbor2.dumps({label: value for label, value in header.items() if value is not None})
    said = {"x-ms-sevsnpvm-launchmeasurement": measurement.hex(), "x-ms-sevsnpvm-guestsvn": "103"}
    body = json.dumps(said).encode() if payload is None else payload
    signed = cbor2.dumps(["Signature1", protected, b"", body])
    signature = rsa_key("uvm-leaf").sign(signed, PSS_384, hashes.SHA384())
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, body, signature]))


# --- TDX ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TdxHost:
    """A host with TDX, its provisioning key and its quoting enclave."""

    name: str = "tdx"

    @property
    def roots(self) -> dict[str, str]:
        return {pin(p256(f"{self.name}-root")): "Test root"}

    def certificates(self, **changes: Any) -> list[bytes]:
        root, middle, leaf = (p256(f"{self.name}-{part}") for part in ("root", "ca", "pck"))
        sha = hashes.SHA256()
        pck = {"subject": "PCK", "issuer": "CA", "key": leaf, "signer": middle, "digest": sha, **changes}
        return [
            Issue(**pck).der(),
            Issue(
                subject="CA", issuer="Root", key=middle, signer=root, digest=sha, is_authority=True, path_length=0
            ).der(),
            Issue(
                subject="Root", issuer="Root", key=root, signer=root, digest=sha, is_authority=True, path_length=1
            ).der(),
        ]

    def quote(self, **changes: Any) -> bytes:
        """A signed quote; ``changes`` name what differs from a good one."""
        fields: dict[str, Any] = {
            "version": 4,
            "body_type": 2,
            "attributes": bytes(8),
            "mrsignerseam": bytes(48),
            "mrtd": bytes(range(48)),
            "report_data": bytes(64),
            "authentication": bytes(range(32)),
            "bound": None,
            "qe_flags": 0,
            "certificates": None,
            "vendor": bytes.fromhex("939a7233f79c4ca9940a0db3957f0607"),
            **changes,
        }
        body = bytearray(584 if fields["body_type"] == 2 else 648)
        put(body, 0, bytes([5, 1, 2]))
        put(body, 64, fields["mrsignerseam"])
        put(body, 120, fields["attributes"])
        put(body, 136, fields["mrtd"])
        put(body, 520, fields["report_data"])
        header = fields["version"].to_bytes(2, "little") + b"\x02\x00\x81\x00\x00\x00" + bytes(4)
        signed = header + fields["vendor"] + bytes(20)
        if fields["version"] == 5:
            signed += fields["body_type"].to_bytes(2, "little") + len(body).to_bytes(4, "little")
        signed += bytes(body)
        return bytes(signed) + sized(self._signatures(signed, fields), 4)

    def _signatures(self, signed: bytes, fields: dict[str, Any]) -> bytes:
        key, pck = p256(f"{self.name}-ak"), p256(f"{self.name}-pck")
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
        report = bytearray(384)
        report[48] = fields["qe_flags"]
        put(report, 320, fields["bound"] or hashlib.sha256(point + fields["authentication"]).digest())
        pem = b"".join(to_pem(item) for item in fields["certificates"] or self.certificates()) + b"\0"
        inner = bytes(report) + concise(pck, bytes(report)) + sized(fields["authentication"], 2)
        inner += b"\x05\x00" + sized(pem, 4)
        return concise(key, signed) + point + b"\x06\x00" + sized(inner, 4)


def sized(value: bytes, length: int) -> bytes:
    return len(value).to_bytes(length, "little") + value


def concise(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    size = key.key_size // 8
    numbers = sign_numbers(key, data, hashes.SHA256() if size == 32 else hashes.SHA384())
    return b"".join(number.to_bytes(size, "big") for number in numbers)


def to_pem(certificate: bytes, *, newline: bytes = b"\n") -> bytes:
    text = base64.b64encode(certificate)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    head, tail = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    return newline.join([head, *lines, tail]) + newline


# --- Nitro ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class NitroHost:
    """A host of enclaves with its chain."""

    name: str = "nitro"

    @property
    def roots(self) -> dict[str, str]:
        return {pin(p384(f"{self.name}-root")): "Test root"}

    def chain(self, **changes: Any) -> tuple[bytes, list[bytes]]:
        """The leaf, and the authorities with the root first."""
        root, middle, leaf = (p384(f"{self.name}-{part}") for part in ("root", "ca", "leaf"))
        pair = {"not_before": NOW - timedelta(minutes=5), "not_after": NOW + timedelta(hours=3)}
        return (
            Issue(**{"subject": "Leaf", "issuer": "CA", "key": leaf, "signer": middle, **pair, **changes}).der(),
            [
                Issue(subject="Root", issuer="Root", key=root, signer=root, is_authority=True).der(),
                Issue(subject="CA", issuer="Root", key=middle, signer=root, is_authority=True, path_length=0).der(),
            ],
        )

    def document(
        self, *, header: object = None, unprotected: object = None, tag: bool = False, **changes: Any
    ) -> bytes:
        """A signed document; ``changes`` replace fields of the payload, and None removes one."""
        leaf, authorities = self.chain()
        fields = {
            "module_id": "i-0123456789abcdef0-enc0123456789abcdef",
            "digest": "SHA384",
            "timestamp": int(NOW.timestamp() * 1000),
            "pcrs": {index: bytes([index + 1] * 48) if index < 3 else bytes(48) for index in range(16)},
            "certificate": leaf,
            "cabundle": authorities,
            "public_key": None,
            "user_data": bytes(64),
            "nonce": None,
            **changes,
        }
        removed = {key for key, value in changes.items() if value is None}
        payload = cbor2.dumps({key: value for key, value in fields.items() if key not in removed})
        return self.message(payload, header=header, unprotected=unprotected, tag=tag)

    def message(self, payload: bytes, *, header: object = None, unprotected: object = None, tag: bool = False) -> bytes:
        protected = cbor2.dumps({1: -35} if header is None else header)
        signed = cbor2.dumps(["Signature1", protected, b"", payload])
        parts = [protected, {} if unprotected is None else unprotected, payload, self.sign(signed)]
        return cbor2.dumps(cbor2.CBORTag(18, parts) if tag else parts)

    def sign(self, signed: bytes) -> bytes:
        return concise(p384(f"{self.name}-leaf"), signed)


# --- TPM 2.0 --------------------------------------------------------------------------------------------------------

RESTRICTED_SIGNING = 0x00050072
"""fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign."""


@dataclass(frozen=True, kw_only=True)
class TpmHost:
    """A machine with a TPM whose attestation key is on P-256 or RSA."""

    name: str = "tpm"
    is_rsa: bool = False

    @property
    def private(self) -> Key:
        return rsa_key(f"{self.name}-ak") if self.is_rsa else p256(f"{self.name}-ak")

    def key(self, *, attributes: int = RESTRICTED_SIGNING, scheme: bytes | None = None) -> bytes:
        """TPMT_PUBLIC."""
        head = (b"\x00\x01" if self.is_rsa else b"\x00\x23") + b"\x00\x0b" + attributes.to_bytes(4, "big") + b"\0\0"
        private = self.private
        if isinstance(private, rsa.RSAPrivateKey):
            modulus = private.public_key().public_numbers().n.to_bytes(256, "big")
            chosen = b"\x00\x14\x00\x0b" if scheme is None else scheme
            return head + b"\x00\x10" + chosen + b"\x08\x00" + bytes(4) + big(modulus)
        numbers = private.public_key().public_numbers()
        chosen = b"\x00\x18\x00\x0b" if scheme is None else scheme
        point = big(numbers.x.to_bytes(32, "big")) + big(numbers.y.to_bytes(32, "big"))
        return head + b"\x00\x10" + chosen + b"\x00\x03" + b"\x00\x10" + point

    def quote(self, **changes: Any) -> bytes:
        """TPM2B_ATTEST and TPMT_SIGNATURE; ``changes`` name what differs from a good one."""
        fields: dict[str, Any] = {
            "magic": b"\xffTCG",
            "type": b"\x80\x18",
            "extra_data": bytes(32),
            "selection": [(0x000B, b"\x81\x40\x00")],
            "pcr_digest": bytes(range(32)),
            "safe": b"\x01",
            "tail": b"",
            **changes,
        }
        selection = len(fields["selection"]).to_bytes(4, "big")
        for bank, bits in fields["selection"]:
            selection += bank.to_bytes(2, "big") + bytes([len(bits)]) + bits
        clock = bytes(8) + (7).to_bytes(4, "big") + (1).to_bytes(4, "big") + fields["safe"]
        signed = fields["magic"] + fields["type"] + big(b"\x00\x0b" + bytes(32)) + big(fields["extra_data"])
        signed += clock + bytes(8) + selection + big(fields["pcr_digest"]) + fields["tail"]
        return big(signed) + self.signature(signed)

    def signature(self, signed: bytes) -> bytes:
        private = self.private
        if isinstance(private, rsa.RSAPrivateKey):
            return b"\x00\x14\x00\x0b" + big(private.sign(signed, padding.PKCS1v15(), hashes.SHA256()))
        r, s = sign_numbers(private, signed, hashes.SHA256())
        return b"\x00\x18\x00\x0b" + big(r.to_bytes(32, "big")) + big(s.to_bytes(32, "big"))


def big(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


# --- evidence of a run ----------------------------------------------------------------------------------------------

SNP, TDX, NITRO, TPM = SnpHost(), TdxHost(), NitroHost(), TpmHost()
TRUST_ROOTS: dict[str, Any] = {
    "amd_roots": SNP.roots,
    "intel_roots": TDX.roots,
    "nitro_roots": NITRO.roots,
    "launch_issuers": {launch_issuer(): FEED},
}


def trust(**changes: Any) -> Trust:
    """A desk that believes in the made-up roots."""
    return Trust(**{**TRUST_ROOTS, **changes})


def show(
    kind: EvidenceKind,
    binding: Binding,
    *,
    report: bytes,
    measurement: Digest,
    endorsements: Sequence[tuple[EndorsementKind, bytes]] = (),
) -> Evidence:
    """Unsigned evidence of hardware for a run."""
    return Evidence(
        kind=kind,
        confidential=kind is not EvidenceKind.TPM2,
        measurement=measurement,
        report_data=binding.report_data(),
        sealing_key=binding.sealing_key,
        signing_key=binding.signing_key,
        signature=b"",
        report=report,
        endorsements=tuple(Endorsement(kind=item, value=value) for item, value in endorsements),
        confined=True,
    )


def flipped(raw: bytes, bit: int) -> bytes:
    """The bytes with one bit changed."""
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


Refusal = Callable[[bytes], object]
