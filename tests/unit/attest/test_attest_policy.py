"""Policies: each refuses exactly what it is about, and silence never passes."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from asepsis.attest.claims import Claims, measurement_of
from asepsis.attest.policy import (
    DEFAULT,
    STANDING,
    AlgorithmIn,
    AllOf,
    AnyOf,
    ForKind,
    HostDataIn,
    KindIn,
    MeasurementIn,
    MinimumTcb,
    NoDebug,
    NoMigration,
    NotPublished,
    Policy,
    PrivilegeIn,
    ProductIn,
    TcbStatusIn,
)
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

LEVELS = {"snp": 24, "microcode": 219}
GOOD = Claims(
    kind=EvidenceKind.SEV_SNP,
    product="Milan",
    algorithm=Scheme.ECDSA_P384_SHA384,
    report_data=bytes(64),
    measurements=frozenset({Digest("a"), Digest("b")}),
    parts={"measurement": "00"},
    report_digest=Digest("r"),
    privilege=0,
    host_data=b"h" * 32,
    tcb={"reported": LEVELS, "committed": LEVELS, "launch": LEVELS},
)
TDX = replace(GOOD, kind=EvidenceKind.TDX, host_data=None, privilege=None, tcb_status="UpToDate")
NITRO = replace(GOOD, kind=EvidenceKind.NITRO, host_data=None, privilege=None, tcb={})
YES, NO = ProductIn({"Milan"}), ProductIn(set())


@pytest.mark.parametrize(
    "policy",
    [
        KindIn({EvidenceKind.SEV_SNP}),
        MeasurementIn({"b", "c"}),
        HostDataIn({b"h" * 32}),
        MinimumTcb(LEVELS),
        MinimumTcb({}),
        PrivilegeIn(),
        ProductIn({"Milan"}),
        AlgorithmIn({Scheme.ECDSA_P384_SHA384}),
        NoDebug(),
        NoMigration(),
        NotPublished(),
        ForKind(EvidenceKind.TDX, NO),
        AllOf((YES, YES)),
        AnyOf((NO, YES)),
        STANDING,
        DEFAULT,
    ],
    ids=map(str, itertools.count()),
)
def test_good_claims_pass(policy: Policy) -> None:
    policy.check(GOOD)


@pytest.mark.parametrize(
    ("policy", "changes", "refusal"),
    [
        (KindIn({EvidenceKind.TDX}), {}, KindNotAllowed),
        (MeasurementIn({"c"}), {}, MeasurementUnknown),
        (MeasurementIn(set()), {}, MeasurementUnknown),
        (HostDataIn({bytes(32)}), {}, HostDataUnknown),
        (HostDataIn({b"h" * 32}), {"host_data": None}, KindNotAllowed),
        (MinimumTcb({"fmc": 1}), {}, KindNotAllowed),
        (MinimumTcb({"snp": 1}), {"tcb": {}}, KindNotAllowed),
        (PrivilegeIn(), {"privilege": 1}, PrivilegeRefused),
        (PrivilegeIn({1, 2}), {}, PrivilegeRefused),
        (ProductIn({"Genoa"}), {}, ProductRefused),
        (AlgorithmIn({Scheme.RSA_PSS_SHA384}), {}, AlgorithmRefused),
        (TcbStatusIn(), {}, TcbStatusRefused),
        (TcbStatusIn(), {"tcb_status": "OutOfDate"}, TcbStatusRefused),
        (NoDebug(), {"is_debug": True}, DebugEnabled),
        (NoMigration(), {"is_migratable": True}, MigrationAllowed),
        (ForKind(EvidenceKind.SEV_SNP, NO), {}, ProductRefused),
        (AllOf((YES, NO)), {}, ProductRefused),
        (AllOf(()), {}, NoPolicyHolds),
        (AnyOf(()), {}, NoPolicyHolds),
        (AnyOf((NO,)), {}, ProductRefused),
        (AnyOf((NO, NO)), {}, NoPolicyHolds),
        (STANDING, {"is_debug": True}, DebugEnabled),
        (STANDING, {"is_migratable": True}, MigrationAllowed),
        (STANDING, {"privilege": 3}, PrivilegeRefused),
        (STANDING, {"report_digest": Digest(next(iter(PUBLISHED_REPORTS)))}, PublishedEvidence),
        (STANDING, {"report_data": bytes.fromhex(next(iter(PUBLISHED_REPORT_DATA)))}, PublishedEvidence),
        (STANDING, {"host_data": bytes.fromhex(next(iter(PUBLISHED_HOST_DATA)))}, PublishedEvidence),
    ],
    ids=range(27),
)
def test_claims_that_do_not_meet_a_policy_are_refused(
    policy: Policy, changes: dict[str, Any], refusal: type[EvidenceRefused]
) -> None:
    with pytest.raises(refusal):
        policy.check(replace(GOOD, **changes))


@pytest.mark.parametrize("which", ["reported", "committed", "launch"])
@pytest.mark.parametrize("component", LEVELS)
def test_every_tcb_has_to_reach_the_minimum_and_the_component_is_named(which: str, component: str) -> None:
    low = {**GOOD.tcb, which: {**LEVELS, component: LEVELS[component] - 1}}
    with pytest.raises(TcbTooLow, match=f"{which} TCB has {component} at {LEVELS[component] - 1}"):
        MinimumTcb(LEVELS).check(replace(GOOD, tcb=low))


def test_tdx_needs_collateral_where_an_owner_sets_nothing() -> None:
    DEFAULT.check(TDX)
    DEFAULT.check(NITRO)
    with pytest.raises(TcbStatusRefused, match="no collateral"):
        DEFAULT.check(replace(TDX, tcb_status=None))


def test_policies_of_a_room_read_as_they_are_meant() -> None:
    policy = AnyOf(
        (
            AllOf((ProductIn({"Milan"}), MinimumTcb({"snp": 24}), HostDataIn({b"h" * 32}))),
            AllOf((KindIn({EvidenceKind.TDX}), TcbStatusIn({"UpToDate", "SWHardeningNeeded"}))),
        )
    )
    policy.check(GOOD)
    policy.check(replace(TDX, product="Intel TDX", tcb_status="SWHardeningNeeded"))
    with pytest.raises(NoPolicyHolds):
        policy.check(NITRO)


def test_a_measurement_is_of_one_kind() -> None:
    assert measurement_of(EvidenceKind.TDX, value="1") != measurement_of(EvidenceKind.SEV_SNP, value="1")


def test_the_text_of_claims_names_levels_and_status() -> None:
    texts = replace(TDX, tcb={"reported": {"svn00": 5}}).to_texts()
    assert texts["reported_tcb"] == "svn00=5"
    assert texts["tcb_status"] == "UpToDate"
    assert "tcb_status" not in GOOD.to_texts()
