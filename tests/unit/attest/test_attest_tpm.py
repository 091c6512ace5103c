"""TPM 2.0: quotes of made-up keys and, where it is installed, of the TPM that Debian ships (swtpm)."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

sys.path.insert(0, str(Path(__file__).parent))

from attest_world import RESTRICTED_SIGNING, TPM, TpmHost, big, flipped, p384, sign_numbers

from asepsis.attest.signatures import Scheme, verify_signature
from asepsis.attest.tpm.key import read_key
from asepsis.attest.tpm.quote import read_quote
from asepsis.attest.tpm.verify import tpm_measurement, verify_tpm
from asepsis.errors.attest import EndorsementMismatch, EvidenceMalformed, EvidenceSignatureInvalid

RSA = TpmHost(is_rsa=True)


@pytest.mark.parametrize("host", [TPM, RSA], ids=["P-256", "RSA"])
def test_a_good_quote_is_taken(host: TpmHost) -> None:
    claims = verify_tpm(host.quote(extra_data=b"e" * 32), host.key())
    assert claims.report_data == b"e" * 32
    assert claims.parts["pcrs"] == "sha256:0,7,14"
    assert claims.parts["resets"] == "7"


@pytest.mark.parametrize("host", [TPM, RSA], ids=["P-256", "RSA"])
def test_the_scheme_of_a_key_may_be_left_open(host: TpmHost) -> None:
    verify_tpm(host.quote(), host.key(scheme=b"\x00\x10"))


def test_the_measurement_names_key_registers_and_their_digest() -> None:
    base: dict[str, Any] = {"key": "k", "selection": {"sha256": (0, 7)}, "pcr_digest": bytes(32)}
    others: list[dict[str, Any]] = [{"key": "l"}, {"selection": {"sha256": (0, 8)}}, {"selection": {"sha384": (0, 7)}}]
    names = {tpm_measurement(**{**base, **change}) for change in [{}, *others, {"pcr_digest": b"1" * 32}]}
    assert len(names) == 5


@pytest.mark.parametrize("bit", [1, 4, 5, 16, 18])
def test_a_key_that_would_sign_anything_is_refused(bit: int) -> None:
    with pytest.raises(EndorsementMismatch):
        verify_tpm(TPM.quote(), TPM.key(attributes=RESTRICTED_SIGNING & ~(1 << bit)))


def test_a_key_that_also_decrypts_is_refused() -> None:
    with pytest.raises(EndorsementMismatch):
        verify_tpm(TPM.quote(), TPM.key(attributes=RESTRICTED_SIGNING | 1 << 17))


def test_a_quote_of_another_key_is_refused() -> None:
    with pytest.raises(EvidenceSignatureInvalid):
        verify_tpm(TPM.quote(), TpmHost(name="other").key())
    with pytest.raises(EvidenceSignatureInvalid):
        verify_tpm(TPM.quote(), RSA.key())


@pytest.mark.parametrize(
    "changes",
    [
        {"magic": b"\xffTCH"},
        {"type": b"\x80\x17"},
        {"safe": b"\x02"},
        {"tail": b"x"},
        {"selection": []},
        {"selection": [(0x0004, b"\x81\x40\x00")]},
        {"selection": [(0x000B, b"\x00\x00\x00")]},
        {"selection": [(0x000B, b"\x01")] * 2},
        {"selection": [(0x000B, b"\x01" * 5)]},
        {"selection": [(bank, b"\x01") for bank in (0xB, 0xC, 0xD, 0xE, 0xF)]},
        {"pcr_digest": bytes(65)},
    ],
    ids=map(str, itertools.count()),
)
def test_a_quote_of_another_format_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(EvidenceMalformed):
        verify_tpm(TPM.quote(**changes), TPM.key())


@pytest.mark.parametrize("tail", [b"", b"\x00\x14\x00\x04" + big(bytes(32)), b"\x00\x05\x00\x0b" + big(bytes(32))])
def test_an_unknown_signature_is_refused(tail: bytes) -> None:
    quote = TPM.quote()
    length = 2 + int.from_bytes(quote[:2], "big")
    with pytest.raises(EvidenceMalformed):
        read_quote(quote[:length] + tail)


def test_a_quote_with_bytes_behind_it_or_cut_is_refused() -> None:
    quote = TPM.quote()
    for changed in (quote + b"\0", quote[:-1], quote[:40], b""):
        with pytest.raises(EvidenceMalformed):
            read_quote(changed)


@pytest.mark.parametrize(
    "change",
    [
        lambda key: key + b"\0",
        lambda key: key[:-1],
        lambda key: b"\x00\x08" + key[2:],
        lambda key: key[:2] + b"\x00\x04" + key[4:],
        lambda key: key[:10] + b"\x00\x06" + key[12:],
        lambda key: key.replace(b"\x00\x03\x00\x10", b"\x00\x05\x00\x10"),
        lambda key: key.replace(b"\x00\x03\x00\x10", b"\x00\x03\x00\x20"),
        lambda key: flipped(key, 8 * (len(key) - 1)),
    ],
    ids=["longer", "cut", "type", "name", "symmetric", "curve", "derivation", "not on the curve"],
)
def test_a_key_of_another_format_is_refused(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(EvidenceMalformed):
        read_key(change(TPM.key()))


def test_an_rsa_key_with_an_even_exponent_is_refused() -> None:
    key = RSA.key()
    with pytest.raises(EvidenceMalformed):
        read_key(key[: -256 - 6] + b"\0\0\0\2" + key[-256 - 2 :])


def test_a_key_on_p384_is_taken() -> None:
    numbers = p384("tpm-384").public_key().public_numbers()
    head = b"\x00\x23\x00\x0b" + RESTRICTED_SIGNING.to_bytes(4, "big") + b"\0\0" + b"\x00\x10\x00\x18\x00\x0c"
    point = big(numbers.x.to_bytes(48, "big")) + big(numbers.y.to_bytes(48, "big"))
    signed = TPM.quote()[2 : 2 + int.from_bytes(TPM.quote()[:2], "big")]
    r, s = sign_numbers(p384("tpm-384"), signed, hashes.SHA384())
    tail = b"\x00\x18\x00\x0c" + big(r.to_bytes(48, "big")) + big(s.to_bytes(48, "big"))
    claims = verify_tpm(big(signed) + tail, head + b"\x00\x04\x00\x10" + point)
    assert claims.algorithm is Scheme.ECDSA_P384_SHA384


def test_the_vtpm_quotes_of_azure_are_read_and_verify(shared_data: Path) -> None:
    """Their key stands as a JWK in the SNP-signed runtime claims; binding it to SNP is not built."""
    folder = shared_data / "data" / "attestation" / "snp-azure"
    old = json.loads((folder / "trustee_vtpm_evidence-genoa.json").read_bytes())
    new = json.loads((folder / "trustee_vtpm_evidence-v2.json").read_bytes())
    cases = [
        (bytes(old["quote"]["message"]), bytes(old["quote"]["signature"]), bytes(old["report"])),
        (
            bytes.fromhex(new["tpm_quote"]["message"]),
            bytes.fromhex(new["tpm_quote"]["signature"]),
            base64.urlsafe_b64decode(new["hcl_report"] + "=="),
        ),
    ]
    for message, signature, hcl in cases:
        claims = json.loads(hcl[hcl.index(b'{"keys"') : hcl.rindex(b"}") + 1])
        jwk = next(key for key in claims["keys"] if key["kid"] == "HCLAkPub")
        n, e = (
            int.from_bytes(base64.urlsafe_b64decode(jwk[part] + "=" * (-len(jwk[part]) % 4)), "big")
            for part in ("n", "e")
        )
        spki = rsa.RSAPublicNumbers(e, n).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        quote = read_quote(big(message) + b"\x00\x14\x00\x0b" + big(signature))
        assert quote.selection == {"sha256": tuple(range(24))}
        verify_signature(spki, scheme=quote.scheme, signature=quote.signature, data=quote.signed)
        with pytest.raises(EvidenceSignatureInvalid):
            verify_signature(spki, scheme=quote.scheme, signature=quote.signature, data=flipped(quote.signed, 99))


# --- a TPM that we did not write ------------------------------------------------------------------------------------

TOOLS = ("swtpm", "tpm2_createek", "tpm2_createak", "tpm2_quote", "tpm2_flushcontext", "tpm2_pcrextend")
Command = Callable[..., None]


@pytest.fixture
def tpm(tmp_path: Path) -> Iterator[Command]:
    """A running software TPM with its own state, and a way to call the tools on it."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed (Debian packages swtpm and tpm2-tools)")
    state, socket = tmp_path / "state", tmp_path / "s"
    state.mkdir()
    options = ["--tpmstate", f"dir={state}", "--server", f"type=unixio,path={socket}"]
    control = ["--ctrl", f"type=unixio,path={socket}.ctrl", "--flags", "not-need-init,startup-clear"]
    with subprocess.Popen(["swtpm", "socket", "--tpm2", *options, *control]) as process:
        until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < until:
            if Path(f"{socket}.ctrl").exists() and socket.exists():
                break
            time.sleep(0.02)
        environment = {**os.environ, "TPM2TOOLS_TCTI": f"swtpm:path={socket}"}

        def run(*command: str) -> None:
            subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=300)

        try:
            yield run
        finally:
            process.terminate()


@pytest.mark.parametrize(("kind", "scheme"), [("ecc", "ecdsa"), ("rsa", "rsassa"), ("rsa", "rsapss")])
def test_a_quote_of_a_software_tpm_is_taken(tpm: Command, tmp_path: Path, kind: str, scheme: str) -> None:
    bound = hashlib.sha256(b"report data").digest()
    tpm("tpm2_createek", "-c", "ek", "-G", kind, "-u", "ek.pub")
    tpm("tpm2_flushcontext", "-t")
    ak = ("-u", "ak.pub", "-n", "ak.name", "-f", "tss")
    tpm("tpm2_createak", "-C", "ek", "-c", "ak", "-G", kind, "-g", "sha256", "-s", scheme, *ak)
    tpm("tpm2_flushcontext", "-t")
    tpm("tpm2_pcrextend", "14:sha256=" + "ab" * 32)

    def quote(extra: bytes) -> bytes:
        files = ("-m", "message", "-s", "signature", "-o", "pcrs", "-f", "tss")
        tpm(
            "tpm2_quote",
            "--scheme",
            scheme,
            "-c",
            "ak",
            "-l",
            "sha256:0,7,14",
            "-q",
            extra.hex(),
            "-g",
            "sha256",
            *files,
        )
        tpm("tpm2_flushcontext", "-t")
        return big((tmp_path / "message").read_bytes()) + (tmp_path / "signature").read_bytes()

    key = (tmp_path / "ak.pub").read_bytes()[2:]
    before = verify_tpm(quote(bound), key)
    values = bytes(32) + bytes(32) + hashlib.sha256(bytes(32) + b"\xab" * 32).digest()
    assert before.report_data == bound
    assert before.parts["attestation_key"] == (tmp_path / "ak.name").read_bytes().hex()
    assert before.parts["pcr_digest"] == hashlib.sha256(values).hexdigest()
    tpm("tpm2_pcrextend", "7:sha256=" + "cd" * 32)
    after = verify_tpm(quote(bound), key)
    assert after.measurements.isdisjoint(before.measurements)
    with pytest.raises((EvidenceSignatureInvalid, EvidenceMalformed)):
        verify_tpm(flipped(quote(bound), 8 * 60), key)
