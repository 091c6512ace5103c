"""The public vectors of real hardware, read from the shared material; each with the time at which it was good."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SNP_TIME = datetime(2025, 10, 15, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class SnpVector:
    """A report, its certificates (PEM or DER) and, of Azure, the endorsement of its firmware."""

    report: bytes
    certificates: bytes
    launch: bytes | None = None
    at: datetime = SNP_TIME


GOOD_SNP = ("trustee", "virtee", "vlek", "azure-encryption", "azure-signing", "azure-2", "azure-cvm")
AZURE = {
    "azure-encryption": "insecure-virtual/encryption",
    "azure-signing": "insecure-virtual/signing",
    "azure-2": "insecure-virtual-2/encryption",
}
GOOD_TDX: Mapping[str, datetime] = {
    "google_cos-113-tdx-quote.dat": datetime(2025, 6, 20, tzinfo=UTC),
    "google_quote_v5_sample.dat": datetime(2026, 3, 1, tzinfo=UTC),
    "phala_tdx_quote": datetime(2025, 6, 20, tzinfo=UTC),
    "phala_tdx_quote_outdated": datetime(2026, 3, 1, tzinfo=UTC),
    "trustee_tdx_quote_5.dat": datetime(2025, 6, 20, tzinfo=UTC),
    "trustee_tdx_quote_6.dat": datetime(2025, 6, 20, tzinfo=UTC),
}
NITRO_GOOD = "evervault_valid-attestation-doc-bytes"
NITRO_TIME = datetime(2022, 10, 13, 9, 0, tzinfo=UTC)


def snp(folder: Path, name: str) -> SnpVector:
    """One vector of SEV-SNP by its short name."""
    if name in AZURE:
        values = document(folder, f"snp-azure/{AZURE[name]}/attestation.json")["report"]["snpCACI"]
        parts = [base64.b64decode(values[key]) for key in ("attestation", "platformCertificates", "uvmEndorsements")]
        return SnpVector(report=parts[0], certificates=parts[1], launch=parts[2])
    if name == "azure-cvm":
        values = document(folder, "snp-azure/cvm/attestation.json")["report"]["snpCvm"]
        report = base64.b64decode(values["evidence"]["snpReport"])
        return SnpVector(report=report, certificates=values["platformCertificates"].encode())
    files = {
        "google": ("google_milan_v2_report.bin", "google_milan_vcek.der", "amd_ask_ark_milan.pem"),
        "trustee": ("trustee_test-report.bin", "trustee_test-vcek.der", "amd_ask_ark_milan.pem"),
        "legacy": ("trustee_test-report.bin", "trustee_test-vcek-invalid-legacy.der", "amd_ask_ark_milan.pem"),
        "new": ("trustee_test-report.bin", "trustee_test-vcek-invalid-new.der", "amd_ask_ark_milan.pem"),
        "vlek": ("trustee_test-vlek-report.bin", "trustee_test-vlek.der", "amd_ask_ark_milan_vlek.pem"),
        "vlek-genoa": ("trustee_test-vlek-report.bin", "trustee_test-vlek.der", "amd_ask_ark_genoa_vlek.pem"),
        "virtee": ("virtee_report_milan.hex", "virtee_vcek_milan.der", "virtee_cert_chain_milan"),
    }[name]
    report, leaf, issuers = ((folder / "snp" / file).read_bytes() for file in files)
    if files[0].endswith(".hex"):
        report = bytes.fromhex(report.decode())
    return SnpVector(report=report, certificates=to_pem_text(leaf) + issuers)


def to_pem_text(certificate: bytes) -> bytes:
    text = base64.b64encode(certificate).decode()
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n".encode()


def tdx(folder: Path, name: str) -> bytes:
    """One TDX quote."""
    return (folder / "tdx" / name).read_bytes()


def nitro(folder: Path, name: str) -> bytes:
    """One Nitro document; the one in base64 is decoded."""
    raw = (folder / "nitro" / name).read_bytes()
    return base64.b64decode(raw) if name.endswith("base64") else raw


def document(folder: Path, name: str) -> Any:
    """One JSON file."""
    return json.loads((folder / name).read_bytes())
