"""Which kind of hardware made a report, told from the report itself; a label is only ever compared with that."""

from __future__ import annotations

from typing import Final

from asepsis.attest.snp.report import LENGTH as SNP_LENGTH
from asepsis.attest.snp.report import VERSIONS as SNP_VERSIONS
from asepsis.attest.tdx.quote import VERSION_4, VERSION_5
from asepsis.attest.tpm.quote import MAGIC as TPM_MAGIC
from asepsis.domain.attestation import EvidenceKind

_TDX_HEADS: Final = tuple(
    version.to_bytes(2, "little") + b"\x02\x00\x81\x00\x00\x00" for version in (VERSION_4, VERSION_5)
)
_COSE_HEADS: Final = (b"\xd2\x84", b"\x84")


def kind_of(report: bytes) -> EvidenceKind | None:
    """The kind whose format the report begins with, or None; the verifier of the kind then reads all of it."""
    if report.startswith(_TDX_HEADS):
        return EvidenceKind.TDX
    if len(report) == SNP_LENGTH and int.from_bytes(report[:4], "little") in SNP_VERSIONS:
        return EvidenceKind.SEV_SNP
    if report[2:6] == TPM_MAGIC:
        return EvidenceKind.TPM2
    if report.startswith(_COSE_HEADS):
        return EvidenceKind.NITRO
    return None
