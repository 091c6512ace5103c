"""The SEV-SNP attestation report: its layout, and nothing believed yet.

Source: AMD, SEV Secure Nested Paging Firmware ABI Specification (publication 56860), table "ATTESTATION_REPORT"; the
layout of TCB_VERSION for Turin from the same, "TCB_VERSION" of family 1Ah.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from asepsis.attest.octets import Octets
from asepsis.attest.roots import GENOA, MILAN, TURIN
from asepsis.errors.attest import EvidenceMalformed

LENGTH: Final = 1184
VERSIONS: Final = frozenset({2, 3, 4, 5})
ECDSA_P384_SHA384: Final = 1
SIGNED_LENGTH: Final = 0x2A0
VCEK: Final = 0
VLEK: Final = 1

_FIRST_WITH_CPUID: Final = 3
_NUMBER: Final = 72
_POLICY_ONE: Final = 17
_POLICY_MIGRATE: Final = 18
_POLICY_DEBUG: Final = 19
_ZEN_3_4: Final = 0x19
_ZEN_5: Final = 0x1A
_BASIC_TCB: Final = {"boot_loader": 0, "tee": 1, "snp": 6, "microcode": 7}
_TURIN_TCB: Final = {"fmc": 0, "boot_loader": 1, "tee": 2, "snp": 3, "microcode": 7}


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpReport:
    """The fields that are judged; a TCB is kept as its eight bytes, because its layout depends on the product."""

    version: int
    guest_svn: int
    policy: int
    vmpl: int
    signature_algorithm: int
    key_info: int
    report_data: bytes
    measurement: bytes
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    cpu: tuple[int, int] | None
    chip_id: bytes
    reported_tcb: bytes
    committed_tcb: bytes
    launch_tcb: bytes
    signed: bytes
    r: bytes
    s: bytes

    @property
    def signing_key(self) -> int:
        """Which key signed: VCEK or VLEK, or a number that is reserved."""
        return self.key_info >> 2 & 7

    @property
    def is_debug(self) -> bool:
        """Whether the host may read the guest's memory by debug commands."""
        return bool(self.policy >> _POLICY_DEBUG & 1)

    @property
    def is_migratable(self) -> bool:
        """Whether a migration agent may be bound to the guest."""
        return bool(self.policy >> _POLICY_MIGRATE & 1)

    @property
    def product(self) -> str | None:
        """The product line that the processor's family and model say; None before version 3 and for unknown ones."""
        if self.cpu is None:
            return None
        family, model = self.cpu
        if family == _ZEN_5 and model <= 0x11:  # noqa: PLR2004 - models of the family
            return TURIN
        if family == _ZEN_3_4:
            return {0x0: MILAN, 0x1: GENOA, 0xA: GENOA}.get(model >> 4)
        return None


def read_report(raw: bytes) -> SnpReport:
    """Read a report. Raises EvidenceMalformed."""
    if len(raw) != LENGTH:
        raise EvidenceMalformed(part="the length of an SEV-SNP report")
    cursor = Octets(raw, part="the SEV-SNP report", order="little")
    version, guest_svn, policy = cursor.number(4), cursor.number(4), cursor.number(8)
    cursor.require(version in VERSIONS and bool(policy >> _POLICY_ONE & 1))
    tail = Octets(raw[SIGNED_LENGTH:], part="the signature of the SEV-SNP report", order="little")
    r, s = tail.take(_NUMBER)[::-1], tail.take(_NUMBER)[::-1]
    tail.require(not any(tail.rest()))
    return SnpReport(
        version=version,
        guest_svn=guest_svn,
        policy=policy,
        vmpl=int.from_bytes(raw[0x30:0x34], "little"),
        signature_algorithm=int.from_bytes(raw[0x34:0x38], "little"),
        key_info=int.from_bytes(raw[0x48:0x4C], "little"),
        report_data=raw[0x50:0x90],
        measurement=raw[0x90:0xC0],
        host_data=raw[0xC0:0xE0],
        id_key_digest=raw[0xE0:0x110],
        author_key_digest=raw[0x110:0x140],
        cpu=(raw[0x188], raw[0x189]) if version >= _FIRST_WITH_CPUID else None,
        chip_id=raw[0x1A0:0x1E0],
        reported_tcb=raw[0x180:0x188],
        committed_tcb=raw[0x1E0:0x1E8],
        launch_tcb=raw[0x1F0:0x1F8],
        signed=raw[:SIGNED_LENGTH],
        r=r,
        s=s,
    )


def tcb_levels(raw: bytes, *, product: str) -> Mapping[str, int]:
    """The components of a TCB_VERSION, in the layout of the product line."""
    layout = _TURIN_TCB if product == TURIN else _BASIC_TCB
    return {name: raw[at] for name, at in layout.items()}
