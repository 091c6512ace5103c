"""The host rewrites the record: edits, drops, inserts or moves entries, rolls back, forks, or strips witnesses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import PartyId
from asepsis.errors import AsepsisError, Kind
from asepsis.errors.ledger import (
    BundleRefused,
    CheckpointRefused,
    ConsistencyRefused,
    HistorySplit,
    InclusionRefused,
    NoteRefused,
    ProofMalformed,
    QuorumMissing,
    RollbackDetected,
)
from asepsis.ledger.bundle import verify_bundle, write_bundle
from asepsis.ledger.checkpoint import Checkpoint, cosign, sign_checkpoint
from asepsis.ledger.entry import entry_hash
from asepsis.ledger.note import Algorithm, VerifierKey, add_signature
from asepsis.ledger.proof import verify_entry_proof, write_entry_proof
from asepsis.ledger.tree import MemoryNodes, consistency_proof, inclusion_proof, root
from asepsis.ledger.witness import check_growth
from asepsis.services.audit import LedgerKeys, verify_export

START = datetime(2026, 1, 1, tzinfo=UTC)
LOG_PRIVATE, *WITNESS_PRIVATE, STRANGER_PRIVATE = (bytes([seed]) * 32 for seed in range(1, 5))
NAMES = ("northgate.example/desk", "riverside.example/desk")


def verifier(name: str, private: bytes, algorithm: Algorithm) -> VerifierKey:
    key = Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    return VerifierKey(name=name, public_key=key, algorithm=algorithm)


LOG = verifier("room.example/audit", LOG_PRIVATE, Algorithm.ED25519)
WITNESSES = [verifier(*pair, Algorithm.COSIGNATURE) for pair in zip(NAMES, WITNESS_PRIVATE, strict=True)]
ENTRIES = [
    LedgerEntry(
        at=START + timedelta(seconds=number),
        actor=PartyId("northgate"),
        act=Act.RUN_SUBMITTED if number % 2 else Act.GRANT_GIVEN,
        subject=f"run-{number}",
        facts={"count": number},
    )
    for number in range(11)
]


def tree(entries: list[LedgerEntry]) -> MemoryNodes:
    return MemoryNodes(entry_hash(entry) for entry in entries)


def checkpoint(entries: list[LedgerEntry]) -> Checkpoint:
    return Checkpoint(origin=LOG.name, size=len(entries), root=root(tree(entries), size=len(entries)))


def note(entries: list[LedgerEntry], *, witnesses: int = 2) -> str:
    seen = checkpoint(entries)
    text = sign_checkpoint(seen, private_key=LOG_PRIVATE)
    for name, private in list(zip(NAMES, WITNESS_PRIVATE, strict=True))[:witnesses]:
        text = add_signature(text, line=cosign(seen, name=name, private_key=private, at=START))
    return text


def export(entries: list[LedgerEntry], **changes: Any) -> bytes:
    parts: dict[str, Any] = {"checkpoint_note": note(entries), "log_key": LOG, "witness_keys": WITNESSES}
    return write_bundle(entries, **{**parts, **changes})


def audit(bundle: bytes, **changes: Any) -> Any:
    return verify_bundle(bundle, **{"log_key": LOG, "witness_keys": WITNESSES, "quorum": 2, **changes})


BUNDLE = export(ENTRIES)
LINES = BUNDLE.splitlines(keepends=True)


def test_an_honest_bundle_verifies_with_public_keys_only() -> None:
    report = audit(BUNDLE)
    assert report.entries == tuple(ENTRIES)
    assert (report.origin, report.size, report.root) == (LOG.name, 11, checkpoint(ENTRIES).root)
    assert [seen.witness for seen in report.witnesses] == list(NAMES)
    assert report.acts == {Act.GRANT_GIVEN: 6, Act.RUN_SUBMITTED: 5}
    assert export(ENTRIES) == BUNDLE
    assert audit(export([])).size == 0


def test_an_auditor_may_trust_fewer_witnesses_than_the_bundle_names() -> None:
    report = audit(BUNDLE, witness_keys=WITNESSES[:1], quorum=1)
    assert [seen.witness for seen in report.witnesses] == [NAMES[0]]
    with pytest.raises(QuorumMissing):
        audit(BUNDLE, witness_keys=WITNESSES[:1], quorum=2)


@given(st.integers(0, len(BUNDLE) * 8 - 1))
def test_any_flipped_bit_is_refused(position: int) -> None:
    damaged = bytearray(BUNDLE)
    damaged[position // 8] ^= 1 << position % 8
    with pytest.raises(AsepsisError) as refusal:
        audit(bytes(damaged))
    assert refusal.value.kind is Kind.UNTRUSTED


def test_any_flipped_bit_around_the_entries_is_refused_even_where_one_witness_is_enough() -> None:
    around = [*range(len(LINES[0])), *range(len(BUNDLE) - len(LINES[-1]), len(BUNDLE))]
    for position in around:
        for bit in (0, 5):
            damaged = bytearray(BUNDLE)
            damaged[position] ^= 1 << bit
            with pytest.raises(AsepsisError):
                audit(bytes(damaged), witness_keys=WITNESSES[:1], quorum=1)


@pytest.mark.parametrize("number", range(len(ENTRIES)))
def test_an_edited_dropped_repeated_or_moved_entry_is_refused(number: int) -> None:
    edited = [*ENTRIES]
    edited[number] = replace(edited[number], facts={"count": 99})
    honest = note(ENTRIES)
    for entries in (
        edited,
        ENTRIES[:number] + ENTRIES[number + 1 :],
        ENTRIES[: number + 1] + ENTRIES[number:],
        ENTRIES[number + 1 :] + ENTRIES[: number + 1] if number + 1 < len(ENTRIES) else ENTRIES[::-1],
    ):
        with pytest.raises(BundleRefused, match="the root"):
            audit(export(entries, checkpoint_note=honest))


def test_entries_cut_off_the_end_are_refused() -> None:
    for kept in range(len(ENTRIES)):
        with pytest.raises(BundleRefused):
            audit(export(ENTRIES[:kept], checkpoint_note=note(ENTRIES)))
    for cut in range(1, len(BUNDLE), 37):
        with pytest.raises(BundleRefused):
            audit(BUNDLE[:-cut])


def test_a_rewritten_ledger_with_a_new_signature_of_the_host_finds_no_witnesses() -> None:
    rewritten = [replace(ENTRIES[0], subject="run-x"), *ENTRIES[1:]]
    with pytest.raises(QuorumMissing):
        audit(export(rewritten, checkpoint_note=note(rewritten, witnesses=0)))
    with pytest.raises(QuorumMissing):
        audit(export(rewritten, checkpoint_note=note(rewritten, witnesses=1)))


def test_the_host_cannot_name_witnesses_of_its_own() -> None:
    own = verifier(NAMES[1], STRANGER_PRIVATE, Algorithm.COSIGNATURE)
    seen = checkpoint(ENTRIES)
    forged = add_signature(
        note(ENTRIES, witnesses=1),
        line=cosign(seen, name=own.name, private_key=STRANGER_PRIVATE, at=START),
    )
    bundle = export(ENTRIES, checkpoint_note=forged, witness_keys=[WITNESSES[0], own])
    with pytest.raises(QuorumMissing):
        audit(bundle)
    report = audit(bundle, witness_keys=WITNESSES, quorum=1)
    assert [seen.witness for seen in report.witnesses] == [NAMES[0]]


def test_another_ledger_or_another_ledger_key_is_refused() -> None:
    stranger = verifier(LOG.name, STRANGER_PRIVATE, Algorithm.ED25519)
    with pytest.raises(BundleRefused, match="the header"):
        audit(BUNDLE, log_key=stranger)
    with pytest.raises((NoteRefused, CheckpointRefused)):
        audit(export(ENTRIES, log_key=stranger), log_key=stranger)


def test_a_signature_that_nobody_can_check_has_no_place_in_a_bundle() -> None:
    line = cosign(checkpoint(ENTRIES), name="x.example", private_key=STRANGER_PRIVATE, at=START)
    with pytest.raises(BundleRefused, match="the signatures"):
        audit(export(ENTRIES, checkpoint_note=add_signature(note(ENTRIES), line=line)))


HEADER: dict[str, Any] = {
    "format": "asepsis/ledger-bundle/1",
    "origin": LOG.name,
    "log_key": LOG.text,
    "witness_keys": sorted(key.text for key in WITNESSES),
}


@pytest.mark.parametrize(
    "head",
    [
        [],
        {**HEADER, "format": "asepsis/ledger-bundle/2"},
        {**HEADER, "extra": 1},
        {**HEADER, "witness_keys": "none"},
        {**HEADER, "witness_keys": 1},
        {**HEADER, "witness_keys": [1]},
        {**HEADER, "witness_keys": ["a+b+c"]},
        {**HEADER, "witness_keys": HEADER["witness_keys"][::-1]},
    ],
)
def test_a_malformed_header_is_refused(head: Any) -> None:
    with pytest.raises(BundleRefused, match="the header"):
        audit(rfc8785.dumps(head) + b"\n" + b"".join(LINES[1:]))


@pytest.mark.parametrize(
    "tail", [b"{}", b'{"checkpoint":1}', b"[]", b'{"checkpoint": ""}', b"", b"\xff", b"[" * 100_000]
)
def test_a_malformed_checkpoint_line_is_refused(tail: bytes) -> None:
    with pytest.raises(BundleRefused, match="the checkpoint"):
        audit(b"".join(LINES[:-1]) + tail + b"\n")


@pytest.mark.parametrize("bundle", [b"", b"\n", b"{}\n", BUNDLE[:-1], LINES[0]])
def test_a_bundle_without_its_parts_is_refused(bundle: bytes) -> None:
    with pytest.raises(BundleRefused):
        audit(bundle)


def test_a_line_that_is_no_entry_is_refused_by_its_number() -> None:
    spaced = LINES[3].replace(b":", b": ", 1)
    with pytest.raises(BundleRefused, match="entry 2"):
        audit(b"".join([*LINES[:3], spaced, *LINES[4:]]))


@pytest.mark.parametrize("kept", range(len(ENTRIES) + 1))
def test_a_bundle_extends_every_earlier_checkpoint_of_the_ledger(kept: int) -> None:
    audit(BUNDLE, earlier=checkpoint(ENTRIES[:kept]))
    if kept:
        other = checkpoint([replace(ENTRIES[0], subject="run-x"), *ENTRIES[1:kept]])
        with pytest.raises(RollbackDetected):
            audit(BUNDLE, earlier=other)


def test_a_ledger_that_was_rolled_back_is_refused_even_with_all_signatures() -> None:
    with pytest.raises(RollbackDetected):
        audit(export(ENTRIES[:5]), earlier=checkpoint(ENTRIES))


def grown(old: list[LedgerEntry] | None, new: list[LedgerEntry], proof: list[bytes] | None = None) -> None:
    if proof is None:
        proof = consistency_proof(tree(new), old_size=min(len(old or []), len(new)), new_size=len(new))
    check_growth(None if old is None else checkpoint(old), new=checkpoint(new), proof=proof)


def seen_by(name: str, entries: list[LedgerEntry]) -> str:
    """A checkpoint as an owner's desk hands it out: its own signature, and nobody else's."""
    private = dict(zip(NAMES, WITNESS_PRIVATE, strict=True))[name]
    shown = checkpoint(entries)
    return shown.text + "\n" + cosign(shown, name=name, private_key=private, at=START)


KEYS = LedgerKeys(log=LOG, witnesses=tuple(WITNESSES))


def test_two_histories_shown_to_two_witnesses_are_found_side_by_side() -> None:
    """Guard: ``check_seen``. The host signs both branches, and each is cosigned by a witness that saw no other."""
    ours = ENTRIES[:7]
    theirs = [*ENTRIES[:5], replace(ENTRIES[5], subject="run-of-another-history"), *ENTRIES[6:9]]
    for shown, other in ((ours, theirs), (theirs, ours)):
        exported = export(shown, checkpoint_note=note(shown))
        here = [seen_by(name, shown[:size]) for name in NAMES for size in (1, 5, len(shown))]
        assert verify_export(exported, KEYS, seen=here).size == len(shown)
        with pytest.raises(HistorySplit) as split:
            verify_export(exported, KEYS, seen=[here[0], seen_by(NAMES[1], other)])
        assert NAMES[1] in split.value.detail
        assert split.value.kind is Kind.UNTRUSTED


def test_an_export_that_ends_before_what_a_witness_saw_is_refused() -> None:
    with pytest.raises(HistorySplit):
        verify_export(export(ENTRIES[:4], checkpoint_note=note(ENTRIES[:4])), KEYS, seen=[seen_by(NAMES[0], ENTRIES)])


def test_only_a_witness_of_the_contract_says_what_was_seen() -> None:
    stranger = checkpoint(ENTRIES)
    note_of_a_stranger = stranger.text + "\n" + cosign(stranger, name=NAMES[0], private_key=STRANGER_PRIVATE, at=START)
    by_the_host = sign_checkpoint(stranger, private_key=LOG_PRIVATE)
    for claim in (note_of_a_stranger, by_the_host, "", seen_by(NAMES[0], ENTRIES)[1:]):
        with pytest.raises(AsepsisError):
            verify_export(BUNDLE, KEYS, seen=[claim])


def test_a_witness_follows_a_ledger_that_only_grows() -> None:
    grown(None, [], [])
    grown(None, ENTRIES, [])
    for old in range(len(ENTRIES) + 1):
        for new in range(old, len(ENTRIES) + 1):
            grown(ENTRIES[:old], ENTRIES[:new])


def test_a_witness_refuses_a_rollback_a_fork_and_a_rewrite() -> None:
    rewritten = [replace(ENTRIES[2], subject="run-x") if number == 2 else entry for number, entry in enumerate(ENTRIES)]
    for new in range(len(ENTRIES)):
        with pytest.raises(RollbackDetected):
            grown(ENTRIES, ENTRIES[:new])
    with pytest.raises(RollbackDetected):
        grown(ENTRIES, rewritten, [])
    for old in range(3, len(ENTRIES)):
        with pytest.raises(ConsistencyRefused):
            grown(ENTRIES[:old], rewritten)
    with pytest.raises(ConsistencyRefused):
        grown(ENTRIES[:5], ENTRIES, [])
    with pytest.raises(ConsistencyRefused):
        grown(None, ENTRIES, [b"x" * 32])


def test_a_witness_refuses_another_ledger_and_a_false_empty_one() -> None:
    other = replace(checkpoint(ENTRIES), origin="other.example/audit")
    with pytest.raises(CheckpointRefused):
        check_growth(checkpoint(ENTRIES[:5]), new=other, proof=[])
    with pytest.raises(RollbackDetected):
        check_growth(None, new=replace(checkpoint([]), root=b"x" * 32), proof=[])


def receipt(index: int) -> str:
    hashes = inclusion_proof(tree(ENTRIES), index=index, size=len(ENTRIES))
    return write_entry_proof(note(ENTRIES), index=index, hashes=hashes)


def check_receipt(text: str, *, entry: LedgerEntry) -> Any:
    return verify_entry_proof(text, entry=entry, log_key=LOG, witness_keys=WITNESSES, quorum=2)


def test_a_receipt_shows_its_entry_and_no_other() -> None:
    for index, entry in enumerate(ENTRIES):
        verified = check_receipt(receipt(index), entry=entry)
        assert (verified.index, verified.witnessed.checkpoint) == (index, checkpoint(ENTRIES))
        with pytest.raises(InclusionRefused):
            check_receipt(receipt(index), entry=ENTRIES[index - 1])


RECEIPT = receipt(6)


@given(st.integers(0, len(RECEIPT.encode()) * 8 - 1))
def test_any_flipped_bit_of_a_receipt_is_refused(position: int) -> None:
    damaged = bytearray(RECEIPT.encode())
    damaged[position // 8] ^= 1 << position % 8
    try:
        text = damaged.decode()
    except UnicodeDecodeError:
        return
    with pytest.raises(AsepsisError):
        check_receipt(text, entry=ENTRIES[6])


HASH = RECEIPT.split("\n")[2]
MALFORMED = {
    "empty": "",
    "other version": RECEIPT.replace("@v1", "@v2"),
    "leading zero": RECEIPT.replace("index 6", "index 06"),
    "extra data": RECEIPT.replace("index 6", "extra QQ==\nindex 6"),
    "no index": RECEIPT.replace("index 6\n", ""),
    "short hash": RECEIPT.replace("index 6\n", "index 6\nAAAA\n"),
    "another spelling": RECEIPT.replace(HASH, HASH[:-2] + chr(ord(HASH[-2]) + 1) + "="),
    "no base64": RECEIPT.replace("index 6\n", "index 6\n!\n"),
    "too many hashes": RECEIPT.replace("index 6\n", "index 6\n" + ("A" * 43 + "=\n") * 64),
    "no checkpoint": RECEIPT.partition("\n\n")[0],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_receipt_is_refused(name: str) -> None:
    with pytest.raises(ProofMalformed):
        check_receipt(MALFORMED[name], entry=ENTRIES[6])
