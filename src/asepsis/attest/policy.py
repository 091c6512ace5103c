"""Policies: what claims must say. Each is an object with ``check``, which raises; AllOf and AnyOf combine them.

After the idiom of sigstore-python's verify.policy. A policy about something that the claims do not carry refuses:
silence never passes. A policy without alternatives or conditions refuses everything.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from asepsis.attest.claims import Claims
from asepsis.attest.published import PUBLISHED_HOST_DATA, PUBLISHED_REPORT_DATA, PUBLISHED_REPORTS
from asepsis.attest.signatures import Scheme
from asepsis.domain.attestation import EvidenceKind
from asepsis.domain.names import Digest
from asepsis.errors.attest import (
    AlgorithmRefused,
    DebugEnabled,
    EvidenceRefused,
    HostDataUnknown,
    KindNotAllowed,
    MeasurementUnknown,
    MigrationAllowed,
    NoPolicyHolds,
    PrivilegeRefused,
    ProductRefused,
    PublishedEvidence,
    TcbStatusRefused,
    TcbTooLow,
)

UP_TO_DATE: Final = "UpToDate"
"""The only status of Intel's collateral that needs no excuse."""


class Policy(Protocol):
    """A requirement on claims."""

    def check(self, claims: Claims) -> None:
        """Raise EvidenceRefused unless the claims meet the requirement."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one of some policies."""

    policies: tuple[Policy, ...]

    def check(self, claims: Claims) -> None:
        """Raise what the first policy that does not hold raises."""
        if not self.policies:
            raise NoPolicyHolds
        for policy in self.policies:
            policy.check(claims)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of some policies."""

    policies: tuple[Policy, ...]

    def check(self, claims: Claims) -> None:
        """Raise NoPolicyHolds if none holds; of a single policy, what it raises."""
        for policy in self.policies:
            try:
                policy.check(claims)
            except EvidenceRefused:
                if len(self.policies) == 1:
                    raise
            else:
                return
        raise NoPolicyHolds


@dataclass(frozen=True, slots=True)
class ForKind:
    """A policy for one kind of hardware; claims of another kind pass."""

    kind: EvidenceKind
    policy: Policy

    def check(self, claims: Claims) -> None:
        """Raise what the policy raises."""
        if claims.kind is self.kind:
            self.policy.check(claims)


@dataclass(frozen=True, slots=True)
class KindIn:
    """The kind of hardware is one of a set."""

    allowed: Collection[EvidenceKind]

    def check(self, claims: Claims) -> None:
        """Raise KindNotAllowed."""
        if claims.kind not in self.allowed:
            raise KindNotAllowed(kind=claims.kind.value, what="another kind of hardware")


@dataclass(frozen=True, slots=True)
class MeasurementIn:
    """The code is one of a set."""

    allowed: Collection[Digest | str]

    def check(self, claims: Claims) -> None:
        """Raise MeasurementUnknown."""
        if claims.measurements.isdisjoint(self.allowed):
            raise MeasurementUnknown


@dataclass(frozen=True, slots=True)
class HostDataIn:
    """The instructions that the guest was started with are one of a set (SEV-SNP)."""

    allowed: Collection[bytes]

    def check(self, claims: Claims) -> None:
        """Raise HostDataUnknown or KindNotAllowed."""
        if claims.host_data is None:
            raise KindNotAllowed(kind=claims.kind.value, what="known HOST_DATA")
        if claims.host_data not in self.allowed:
            raise HostDataUnknown


@dataclass(frozen=True, slots=True)
class MinimumTcb:
    """Every trusted computing base of the report has these components at these levels or above."""

    levels: Mapping[str, int]

    def check(self, claims: Claims) -> None:
        """Raise TcbTooLow, which names the component, or KindNotAllowed."""
        for name, needed in self.levels.items():
            if not claims.tcb or not all(name in levels for levels in claims.tcb.values()):
                raise KindNotAllowed(kind=claims.kind.value, what=f"a minimum of {name}")
            for which, levels in claims.tcb.items():
                if levels[name] < needed:
                    raise TcbTooLow(which=which, component=name, level=levels[name], needed=needed)


@dataclass(frozen=True, slots=True)
class TcbStatusIn:
    """The vendor's collateral gives the platform an accepted status (TDX)."""

    accepted: Collection[str] = frozenset({UP_TO_DATE})

    def check(self, claims: Claims) -> None:
        """Raise TcbStatusRefused."""
        if claims.tcb_status not in self.accepted:
            raise TcbStatusRefused(status=claims.tcb_status or "unknown (no collateral)")


@dataclass(frozen=True, slots=True)
class PrivilegeIn:
    """The report was asked for at one of these levels (VMPL of SEV-SNP); kinds without levels pass."""

    allowed: Collection[int] = frozenset({0})

    def check(self, claims: Claims) -> None:
        """Raise PrivilegeRefused."""
        if claims.privilege is not None and claims.privilege not in self.allowed:
            raise PrivilegeRefused(level=claims.privilege)


@dataclass(frozen=True, slots=True)
class ProductIn:
    """The hardware is of one of these product lines."""

    allowed: Collection[str]

    def check(self, claims: Claims) -> None:
        """Raise ProductRefused."""
        if claims.product not in self.allowed:
            raise ProductRefused(product=claims.product)


@dataclass(frozen=True, slots=True)
class AlgorithmIn:
    """The report is signed by one of these algorithms."""

    allowed: Collection[Scheme]

    def check(self, claims: Claims) -> None:
        """Raise AlgorithmRefused."""
        if claims.algorithm not in self.allowed:
            raise AlgorithmRefused(algorithm=claims.algorithm.value)


@dataclass(frozen=True, slots=True)
class NoDebug:
    """The host cannot look into the environment by a debug interface."""

    def check(self, claims: Claims) -> None:
        """Raise DebugEnabled."""
        if claims.is_debug:
            raise DebugEnabled(kind=claims.kind.value)


@dataclass(frozen=True, slots=True)
class NoMigration:
    """No migration agent may move the guest."""

    def check(self, claims: Claims) -> None:
        """Raise MigrationAllowed."""
        if claims.is_migratable:
            raise MigrationAllowed


@dataclass(frozen=True, slots=True)
class NotPublished:
    """Neither the report, nor what it binds, nor its instructions are public samples."""

    reports: Collection[str] = field(default=PUBLISHED_REPORTS)
    report_data: Collection[str] = field(default=PUBLISHED_REPORT_DATA)
    host_data: Collection[str] = field(default=PUBLISHED_HOST_DATA)

    def check(self, claims: Claims) -> None:
        """Raise PublishedEvidence."""
        host_data = None if claims.host_data is None else claims.host_data.hex()
        is_listed = (
            claims.report_digest in self.reports
            or claims.report_data.hex() in self.report_data
            or host_data in self.host_data
        )
        if is_listed:
            raise PublishedEvidence


STANDING: Final = AllOf((NoDebug(), NoMigration(), PrivilegeIn(), NotPublished()))
"""What no setting can lift: it holds for all evidence of hardware at a key desk."""

DEFAULT: Final = ForKind(EvidenceKind.TDX, TcbStatusIn())
"""What holds where an owner sets nothing: TDX needs collateral; a minimum TCB for SEV-SNP is the owner's to set."""
