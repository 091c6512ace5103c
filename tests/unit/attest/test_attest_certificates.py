"""Certificates: our reader sees what the library sees, takes AMD's serial number 0, and takes nothing that is loose."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

import attest_vectors as vectors
from attest_world import CPUS, NITRO, SNP, TDX, Issue, SnpHost, p384, to_pem

from asepsis.attest import der
from asepsis.attest.certificates import Certificate, parse_certificate, read_certificate
from asepsis.attest.pem import MOST, read_certificates
from asepsis.errors.attest import EvidenceMalformed

ZERO_SERIAL = "Parsed a serial number which wasn't positive"


@contextmanager
def serial_zero_allowed() -> Iterator[None]:
    """Only the library's warning about AMD's serial numbers is let pass."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=ZERO_SERIAL, category=CryptographyDeprecationWarning)
        yield


def assert_same(certificate: Certificate) -> None:
    with serial_zero_allowed():
        other = x509.load_der_x509_certificate(certificate.raw)
        assert certificate.serial == other.serial_number
    spki = other.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert certificate.signed == other.tbs_certificate_bytes
    assert certificate.signature == other.signature
    assert certificate.issuer == other.issuer.public_bytes()
    assert certificate.subject == other.subject.public_bytes()
    assert certificate.not_before == other.not_valid_before_utc
    assert certificate.not_after == other.not_valid_after_utc
    assert certificate.public_key == spki
    assert set(certificate.extensions) == {item.oid.dotted_string for item in other.extensions}
    assert certificate.critical == {item.oid.dotted_string for item in other.extensions if item.critical}
    for item in other.extensions:
        if isinstance(item.value, x509.UnrecognizedExtension):
            assert certificate.extensions[item.oid.dotted_string] == item.value.value
        if isinstance(item.value, x509.BasicConstraints):
            assert (certificate.path_length is not None) == item.value.ca
            assert item.value.path_length is None or certificate.path_length == item.value.path_length
        if isinstance(item.value, x509.KeyUsage):
            assert certificate.may_sign == item.value.digital_signature
        if isinstance(item.value, x509.ExtendedKeyUsage):
            assert certificate.purposes == {oid.dotted_string for oid in item.value}


def made_up() -> list[bytes]:
    hosts = [SnpHost(product=product, cloud=cloud) for product in CPUS for cloud in (None, "CN=cloud")]
    chains = [item.raw for host in hosts for item in read_certificates(host.certificates())]
    leaf, authorities = NITRO.chain()
    return [*chains, *TDX.certificates(), leaf, *authorities]


def test_our_reader_and_the_library_read_made_up_certificates_alike() -> None:
    for raw in made_up():
        assert_same(parse_certificate(raw))


def test_our_reader_and_the_library_read_the_public_certificates_alike(shared_data: Path) -> None:
    folder = shared_data / "data" / "attestation"
    raws = [item.raw for name in vectors.GOOD_SNP for item in read_certificates(vectors.snp(folder, name).certificates)]
    for file in [*folder.glob("snp/*.pem"), *folder.glob("snp/*.der"), *folder.glob("*/*root*.pem")]:
        raws += [item.raw for item in read_certificates(file.read_bytes())]
    assert sum(parse_certificate(raw).serial == 0 for raw in raws) >= 10
    for raw in set(raws):
        assert_same(parse_certificate(raw))


def test_the_library_is_not_asked_about_a_serial_number_of_0(monkeypatch: pytest.MonkeyPatch) -> None:
    zero, positive = (read_certificates(SNP.certificates())[at].raw for at in (0, 1))
    read_certificate.cache_clear()
    asked: list[bytes] = []

    def refuse(raw: bytes) -> x509.Certificate:
        asked.append(raw)
        raise ValueError(raw)

    monkeypatch.setattr(x509, "load_der_x509_certificate", refuse)
    assert read_certificate(zero).serial == 0
    with pytest.raises(EvidenceMalformed):
        read_certificate(positive)
    assert asked == [positive]


def test_the_library_has_to_see_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (read_certificates(SNP.certificates())[at].raw for at in (1, 2))
    read_certificate.cache_clear()
    seen = x509.load_der_x509_certificate(other)
    monkeypatch.setattr(x509, "load_der_x509_certificate", lambda _raw: seen)
    with pytest.raises(EvidenceMalformed):
        read_certificate(one)


def test_the_last_certificates_are_kept_and_not_read_again() -> None:
    raw = TDX.certificates()[2]
    assert read_certificate(raw) is read_certificate(raw)


def test_a_time_after_2049_is_read() -> None:
    end = datetime(2051, 1, 2, 3, 4, 5, tzinfo=UTC)
    key = p384("late")
    assert parse_certificate(Issue(subject="a", issuer="a", key=key, signer=key, not_after=end).der()).not_after == end


@given(data=st.binary(max_size=300))
def test_bytes_that_are_no_certificate_are_one_error(data: bytes) -> None:
    with pytest.raises(EvidenceMalformed):
        parse_certificate(data)


@given(at=st.integers(0, 900), value=st.integers(0, 255), cut=st.integers(0, 900))
def test_a_changed_or_cut_certificate_is_read_or_is_one_error(at: int, value: int, cut: int) -> None:
    raw = bytearray(TDX.certificates()[0])
    raw[at % len(raw)] = value
    for changed in (bytes(raw), bytes(raw[:cut]), bytes(raw) + b"\0"):
        try:
            read = read_certificate(changed)
        except EvidenceMalformed:
            continue
        assert read.raw == changed


def test_an_oversized_certificate_is_refused() -> None:
    with pytest.raises(EvidenceMalformed):
        parse_certificate(b"\x30\x82\xff\xff" + bytes(65535))


def element(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"\x30\x80\x00\x00",
        b"\x30\x81\x01\x00",
        b"\x30\x81\x7f" + bytes(127),
        b"\x30\x82\x00\x80" + bytes(128),
        b"\x30\x84\x00\x00\x00\x01\x00",
        b"\x30\x83\xff\xff\xff",
        b"\x3f\x01\x00",
        b"\x30\x02\x00",
        b"\x31\x00",
        b"\x30\x00\x00",
    ],
    ids=[
        "nothing",
        "no length",
        "indefinite",
        "long form of a short length",
        "long form below 128",
        "leading zero",
        "four bytes of length",
        "longer than the data",
        "tag of two bytes",
        "cut",
        "another tag",
        "trailing",
    ],
)
def test_loose_der_is_refused(data: bytes) -> None:
    with pytest.raises(EvidenceMalformed):
        der.whole(data, der.SEQUENCE)


@given(value=st.integers(-(2**80), 2**80))
def test_integers_are_read_in_their_shortest_form_only(value: int) -> None:
    content = value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)
    assert der.integer(der.whole(element(der.INTEGER, content), der.INTEGER)) == value
    longer = (b"\xff" if value < 0 else b"\0") + content
    with pytest.raises(EvidenceMalformed):
        der.integer(der.whole(element(der.INTEGER, longer), der.INTEGER))


def test_a_tag_of_two_bytes_is_refused_where_any_tag_is_taken() -> None:
    with pytest.raises(EvidenceMalformed):
        der.DerReader(b"\x1f\x01\x00").element()


@pytest.mark.parametrize("content", [b"", b"\x80\x01", b"\x2a\x86", b"\x2a" * 33])
def test_loose_object_identifiers_are_refused(content: bytes) -> None:
    with pytest.raises(EvidenceMalformed):
        der.object_identifier(der.whole(element(der.OBJECT_IDENTIFIER, content), der.OBJECT_IDENTIFIER))


@pytest.mark.parametrize("content", [b"", b"\x01\x00", b"\x07\x80"])
def test_bit_strings_of_part_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(EvidenceMalformed):
        der.bits(der.whole(element(der.BIT_STRING, content), der.BIT_STRING))


def test_certificates_come_in_pem_with_either_newline_or_in_der() -> None:
    raws = TDX.certificates()
    for newline in (b"\n", b"\r\n"):
        text = b"".join(to_pem(raw, newline=newline) for raw in raws)
        assert [item.raw for item in read_certificates(text)] == raws
        assert [item.raw for item in read_certificates(text.rstrip())] == raws
    assert [item.raw for item in read_certificates(b"".join(raws))] == raws


def loose_texts() -> dict[str, bytes]:
    text = to_pem(TDX.certificates()[0])
    lines = text.split(b"\n")
    last = lines[-3]
    return {
        "nothing": b"",
        "text before": b"-----\n" + text,
        "text behind": text + b"x",
        "text between": text + b"# comment\n" + text,
        "space in a line": text.replace(lines[1], lines[1][:10] + b" " + lines[1][10:]),
        "shorter lines": text.replace(lines[1], lines[1][:10] + b"\n" + lines[1][10:]),
        "one line": lines[0] + b"\n" + b"".join(lines[1:-2]) + b"\n" + lines[-2] + b"\n",
        "mixed newlines": text.replace(b"\n", b"\r\n", 2),
        "another label": text.replace(b"CERTIFICATE", b"X509 CRL"),
        "bits behind the end": text.replace(last, last.replace(b"=", b"", 1)) if b"=" in last else text + b"=",
        "too many": text * (MOST + 1),
        "too many in DER": TDX.certificates()[0] * (MOST + 1),
    }


@pytest.mark.parametrize("what", loose_texts())
def test_loose_text_is_refused(what: str) -> None:
    with pytest.raises(EvidenceMalformed):
        read_certificates(loose_texts()[what])


def test_a_long_text_without_an_end_is_refused_at_once() -> None:
    with pytest.raises(EvidenceMalformed):
        read_certificates(b"-----BEGIN CERTIFICATE-----\n" + b"A" * 60_000)
