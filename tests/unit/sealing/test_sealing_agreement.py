"""The agreement, approvals, statements, link maps and packages: who signed what, and what any edit does to it."""

from __future__ import annotations

import base64
import copy
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.domain.contract_reading import read_contract
from asepsis.domain.names import Digest, PartyId, RestorePointId, SnapshotId
from asepsis.domain.snapshot import Label, Manifest, Origin
from asepsis.domain.statements import Statement, StatementKind
from asepsis.errors.contract import (
    ApprovalMissing,
    ContractNotSigned,
    DocumentMalformed,
    StatementNotTrusted,
    UnknownParty,
)
from asepsis.errors.sealing import ContainerForged, EnvelopeRefused, KeyMalformed, LinksNotEndorsed
from asepsis.sealing.agreement import Agreement, contract_payload, verify_agreement
from asepsis.sealing.approval import approval_payload, verify_approvals
from asepsis.sealing.canonical import canonical
from asepsis.sealing.container import generate_data_key, unseal
from asepsis.sealing.context import manifest_context
from asepsis.sealing.draft import SnapshotDraft
from asepsis.sealing.keys import file_key
from asepsis.sealing.links import SignedLinks, combine, verify_links
from asepsis.sealing.package import pad, unpad
from asepsis.sealing.signing import KeyPair, Purpose, generate_sealing_key, generate_signing_key, sign
from asepsis.sealing.statement import SignedStatement, read_statements, statement_payload

OWNERS = (PartyId("north"), PartyId("south"))
PARTIES = (*OWNERS, PartyId("lab"), PartyId("room"))
ROLES = {"north": "owner", "south": "owner", "lab": "researcher", "room": "host"}
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def keys() -> dict[PartyId, KeyPair]:
    return {party: generate_signing_key() for party in PARTIES}


@pytest.fixture
def document(keys: dict[PartyId, KeyPair]) -> dict[str, Any]:
    sealing = base64.b64encode(generate_sealing_key().public).decode()
    return {
        "version": 1,
        "name": "study",
        "title": "A study",
        "purpose": "counting",
        "legal_basis": "none needed",
        "valid": {"from": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"},
        "retention_days": 30,
        "parties": {
            party: {
                "name": party.title(),
                "roles": [ROLES[party]],
                "signing_key": base64.b64encode(keys[party].public).decode(),
                "sealing_key": sealing,
            }
            for party in PARTIES
        },
        "datasets": {"north-clinical": {"owner": "north", "label": "synthetic", "holds": "clinical"}},
        "tables": {"person": {"columns": {"person_id": {"type": "integer", "uses": ["unit"]}}}},
        "analyses": {"queries": True, "methods": [], "referrals": True},
        "disclosure": {"profile": "strict-10", "automatic_release": []},
        "budgets": {"north": 5, "south": 5},
        "runtime": {"level": 0, "measurements": ["00" * 32]},
        "ledger": {"origin": "example.org/room"},
    }


def signatures_of(document: dict[str, Any], keys: dict[PartyId, KeyPair]) -> dict[PartyId, bytes]:
    payload = contract_payload(read_contract(document))
    return {party: sign(pair.private, purpose=Purpose.CONTRACT, payload=payload) for party, pair in keys.items()}


@pytest.fixture
def agreement(document: dict[str, Any], keys: dict[PartyId, KeyPair]) -> Agreement:
    return verify_agreement(document, signatures_of(document, keys))


def test_a_contract_counts_once_every_party_has_signed_the_same_text(agreement: Agreement) -> None:
    assert {party.id for party in agreement.contract.parties} == set(PARTIES)


@pytest.mark.parametrize("party", PARTIES)
def test_one_missing_signature_is_enough_to_refuse(party: PartyId, document: dict[str, Any], keys: Any) -> None:
    signatures = signatures_of(document, keys)
    del signatures[party]
    with pytest.raises(ContractNotSigned):
        verify_agreement(document, signatures)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("budgets", "north"), 6),
        (("disclosure", "automatic_release"), ["north"]),
        (("runtime", "measurements"), ["11" * 32]),
        (("valid", "until"), "2028-01-01T00:00:00Z"),
        (("analyses", "methods"), ["kaplan_meier"]),
        (("purpose",), "something else"),
    ],
    ids=str.split("budget release measurement end method purpose"),
)
def test_any_edit_voids_all_signatures(
    place: tuple[str, ...], value: object, document: dict[str, Any], keys: Any
) -> None:
    signatures = signatures_of(document, keys)
    edited = copy.deepcopy(document)
    inner = edited
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(ContractNotSigned):
        verify_agreement(edited, signatures)


def test_a_signature_for_another_purpose_is_no_signature_of_the_contract(document: dict[str, Any], keys: Any) -> None:
    signatures = signatures_of(document, keys)
    payload = contract_payload(read_contract(document))
    signatures[OWNERS[0]] = sign(keys[OWNERS[0]].private, purpose=Purpose.APPROVAL, payload=payload)
    with pytest.raises(ContractNotSigned):
        verify_agreement(document, signatures)


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d.update(extra=1),
        lambda d: d["parties"]["lab"].update(colour="red"),
        lambda d: d.pop("purpose"),
        lambda d: d["valid"].update(until="2025-01-01T00:00:00Z"),
        lambda d: d["valid"].update(until="2027-01-01"),
        lambda d: d["budgets"].update(lab=1),
        lambda d: d["budgets"].pop("south"),
        lambda d: d["datasets"]["north-clinical"].update(owner="lab"),
        lambda d: d["parties"]["north"].pop("sealing_key"),
        lambda d: d["parties"]["room"].update(roles=["auditor"]),
        lambda d: d["runtime"].update(level=3),
        lambda d: d.update(retention_days=True),
    ],
    ids=str.split(
        "extra_key party_key missing_key early_end no_zone foreign_budget no_budget foreign_dataset no_sealing_key "
        "no_host high_level flag_for_number"
    ),
)
def test_the_schema_of_a_contract_is_closed(edit: Any, document: dict[str, Any]) -> None:
    edit(document)
    with pytest.raises(DocumentMalformed):
        read_contract(document)


def test_a_contract_reads_back_from_its_own_document(document: dict[str, Any]) -> None:
    contract = read_contract(document)
    assert read_contract(contract.to_document()) == contract


def test_a_referral_needs_every_owners_approval_of_exactly_this_analysis(agreement: Agreement, keys: Any) -> None:
    analysis, other = Digest("aa" * 32), Digest("bb" * 32)
    payload = approval_payload(agreement.digest, analysis=analysis)
    approvals = {owner: sign(keys[owner].private, purpose=Purpose.APPROVAL, payload=payload) for owner in OWNERS}
    verify_approvals(agreement, analysis=analysis, approvals=approvals)
    with pytest.raises(ApprovalMissing):
        verify_approvals(agreement, analysis=other, approvals=approvals)
    with pytest.raises(ApprovalMissing):
        verify_approvals(agreement, analysis=analysis, approvals={OWNERS[0]: approvals[OWNERS[0]]})
    swapped = {OWNERS[0]: approvals[OWNERS[1]], OWNERS[1]: approvals[OWNERS[0]]}
    with pytest.raises(ApprovalMissing):
        verify_approvals(agreement, analysis=analysis, approvals=swapped)


def signed_statement(agreement: Agreement, keys: Any, party: PartyId, **changes: Any) -> SignedStatement:
    fields = {"kind": StatementKind.SUSPEND, "contract": agreement.digest, "party": party, "at": NOW} | changes
    statement = Statement(**fields)
    signature = sign(keys[OWNERS[0]].private, purpose=Purpose.SUSPENSION, payload=statement_payload(statement))
    return SignedStatement(statement=statement, signature=signature)


def test_a_statement_counts_only_from_the_party_that_it_names(agreement: Agreement, keys: Any) -> None:
    good = signed_statement(agreement, keys, OWNERS[0])
    assert read_statements([good.to_document()], agreement) == [good.statement]
    for bad in (
        signed_statement(agreement, keys, OWNERS[1]),
        signed_statement(agreement, keys, OWNERS[0], contract=Digest("cc" * 32)),
        signed_statement(agreement, keys, OWNERS[0], kind=StatementKind.RESUME),
    ):
        with pytest.raises(StatementNotTrusted):
            read_statements([bad.to_document()], agreement)
    with pytest.raises(UnknownParty):
        read_statements([signed_statement(agreement, keys, PartyId("stranger")).to_document()], agreement)


def an_empty_manifest(owner: PartyId, dataset: str) -> Manifest:
    origin = Origin(
        source_kind="dir", restore_point=RestorePointId("now"), mapping=Digest("aa" * 32), books=Digest("bb" * 32)
    )
    return Manifest(
        owner=owner,
        dataset=dataset,
        snapshot=SnapshotId("s-1"),
        label=Label.SYNTHETIC,
        created_at=NOW,
        origin=origin,
        files=(),
    )


def test_a_link_map_needs_the_endorsement_of_every_owner(agreement: Agreement, keys: Any) -> None:
    document = canonical(an_empty_manifest(PartyId("room"), "links").to_document())
    endorsements = {owner: sign(keys[owner].private, purpose=Purpose.MANIFEST, payload=document) for owner in OWNERS}
    verify_links(SignedLinks(document=document, endorsements=endorsements), agreement.contract)
    for owner in OWNERS:
        fewer = {name: value for name, value in endorsements.items() if name != owner}
        with pytest.raises(LinksNotEndorsed):
            verify_links(SignedLinks(document=document, endorsements=fewer), agreement.contract)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=2, max_size=5))
def test_the_key_of_a_link_map_needs_every_share(shares: list[bytes]) -> None:
    key = combine(shares)
    assert combine(reversed(shares)) == key
    if any(shares[-1]):
        assert combine(shares[:-1]) != key


@pytest.mark.parametrize("shares", [[], [b"short"], [b"x" * 32, b""]], ids=["none", "short", "empty"])
def test_shares_that_are_no_keys_are_refused(shares: list[bytes]) -> None:
    with pytest.raises(KeyMalformed):
        combine(shares)


@given(st.binary(max_size=200_000))
def test_a_package_tells_nothing_of_its_size_but_a_power_of_two(content: bytes) -> None:
    padded = pad(content)
    assert unpad(padded) == content
    assert len(padded) >= 65536
    assert len(padded) & (len(padded) - 1) == 0


@pytest.mark.parametrize(
    "padded", [b"\xff" * 64, (3).to_bytes(8, "big") + b"abc\x01"], ids=["too_short", "something_behind"]
)
def test_a_package_with_anything_but_its_content_is_refused(padded: bytes) -> None:
    with pytest.raises(EnvelopeRefused):
        unpad(padded)


def test_a_drafted_file_opens_only_at_its_place(agreement: Agreement) -> None:
    draft = SnapshotDraft(manifest=an_empty_manifest(OWNERS[0], "north-clinical"), dek=generate_data_key())
    sealed = io.BytesIO()
    file = draft.seal(io.BytesIO(b"rows" * 10_000), sealed, table="person", rows=7)
    manifest = draft.finish([file])
    plain = io.BytesIO()
    context = manifest_context(manifest, file=file)
    unseal(io.BytesIO(sealed.getvalue()), plain, key=file_key(draft.dek, file.id), context=context, root=file.root)
    assert plain.getvalue() == b"rows" * 10_000
    elsewhere = manifest_context(an_empty_manifest(OWNERS[1], "north-clinical"), file=file)
    with pytest.raises(ContainerForged):
        unseal(io.BytesIO(sealed.getvalue()), io.BytesIO(), key=file_key(draft.dek, file.id), context=elsewhere)
    assert "dek" not in repr(draft)
