"""Signed notes and checkpoints agree with the published formats and examples."""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from asepsis.errors.ledger import CheckpointRefused, NoteRefused, QuorumMissing, VerifierKeyMalformed
from asepsis.errors.sealing import KeyMalformed
from asepsis.ledger.checkpoint import (
    Checkpoint,
    Cosignature,
    cosign,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
    verify_checkpoint,
)
from asepsis.ledger.note import (
    Algorithm,
    VerifierKey,
    add_signature,
    parse_verifier_key,
    sign_note,
    signature_line,
    verify_note,
)

# The example of the Go package golang.org/x/mod/sumdb/note.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_PRIVATE = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
LINE = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
NOTE = TEXT + "\n" + LINE
PETER_KEY = parse_verifier_key(PETER)

AT = datetime(2023, 3, 20, 12, 25, 47, tzinfo=UTC)
LOG_PRIVATE, *WITNESS_PRIVATE = (bytes([seed]) * 32 for seed in range(1, 5))


def public(private: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


LOG = VerifierKey(name="room.example/audit", public_key=public(LOG_PRIVATE))
WITNESSES = [
    VerifierKey(name=f"hospital{number}.example", public_key=public(private), algorithm=Algorithm.COSIGNATURE)
    for number, private in enumerate(WITNESS_PRIVATE)
]
CHECKPOINT = Checkpoint(origin=LOG.name, size=7, root=hashlib.sha256(b"root").digest())


def witnessed(*numbers: int) -> str:
    note = sign_checkpoint(CHECKPOINT, private_key=LOG_PRIVATE)
    for number in numbers:
        line = cosign(CHECKPOINT, name=WITNESSES[number].name, private_key=WITNESS_PRIVATE[number], at=AT)
        note = add_signature(note, line=line)
    return note


def test_the_published_note_verifies_and_is_made_byte_for_byte() -> None:
    verified = verify_note(NOTE, keys=[PETER_KEY])
    assert verified.text == TEXT
    assert [signature.key for signature in verified.signatures] == [PETER_KEY]
    assert sign_note(TEXT, name="PeterNeumann", private_key=PETER_PRIVATE) == NOTE
    assert PETER_KEY.text == PETER
    assert PETER_KEY.id.hex() == "c74f20a3"


def test_every_mangled_verifier_key_of_the_reference_tests_is_refused() -> None:
    mangled = {PETER[start:end] for start in range(len(PETER)) for end in range(start, len(PETER) + 1)} - {PETER}
    mangled |= {PETER[:at] + chr(ord(PETER[at]) + 1) + PETER[at + 1 :] for at in range(len(PETER))}
    mangled |= {
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    }
    for text in mangled:
        with pytest.raises(VerifierKeyMalformed):
            parse_verifier_key(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\nb", "a\tb"])
def test_a_name_that_no_note_can_carry_is_refused(name: str) -> None:
    with pytest.raises(VerifierKeyMalformed):
        replace(LOG, name=name)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_verifier_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(VerifierKeyMalformed):
        replace(LOG, public_key=bytes(length))


MALFORMED = [
    "",
    "\n",
    TEXT,
    TEXT + "\n",
    NOTE[:-1],
    NOTE + "\n",
    TEXT + LINE,
    TEXT + "\n" + LINE.replace("— ", "- "),
    TEXT + "\n" + LINE.replace("— ", ""),
    TEXT + "\n" + LINE.replace("—", "\u2013"),
    TEXT + "\n" + LINE.replace(" x08", "  x08"),
    TEXT + "\n" + LINE.replace("PeterNeumann ", ""),
    TEXT + "\n" + LINE.replace("nAM=", "nAN="),
    TEXT + "\n" + LINE.replace("nAM=", "nAM"),
    TEXT + "\n— PeterNeumann AAA=\n",
    TEXT + "\n— PeterNeumann x08gow==\n",
    NOTE.replace("\n", "\r\n"),
    NOTE.replace("think", "think\x00"),
    NOTE.replace("think", "think\ud800"),
    NOTE + "— Paul x08gow==\n",
    NOTE + LINE.replace("Peter", "Peter+"),
    TEXT + "\n" + LINE + LINE,
    TEXT + "\n" + LINE * 101,
    sign_note("x" * 1_000_000 + "\n", name="PeterNeumann", private_key=PETER_PRIVATE),
    signature_line(b"\n", name="PeterNeumann", private_key=PETER_PRIVATE),
    NOTE + "".join(LINE.replace("PeterNeumann", f"stranger{number}") for number in range(100)),
]


@pytest.mark.parametrize("note", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_note_is_refused(note: str) -> None:
    with pytest.raises(NoteRefused):
        verify_note(note, keys=[PETER_KEY])


def test_a_wrong_signature_of_a_known_key_spoils_the_note_and_unknown_ones_are_counted() -> None:
    stranger = signature_line(TEXT.encode(), name="Enoch", private_key=LOG_PRIVATE)
    assert verify_note(NOTE + stranger, keys=[PETER_KEY]).unknown == 1
    enoch = VerifierKey(name="Enoch", public_key=LOG.public_key)
    wrong = signature_line(b"another text\n", name="Enoch", private_key=LOG_PRIVATE)
    with pytest.raises(NoteRefused):
        verify_note(NOTE + wrong, keys=[PETER_KEY, enoch])
    for keys in ([], [enoch], [replace(PETER_KEY, name="Paul")]):
        with pytest.raises(NoteRefused):
            verify_note(NOTE, keys=keys)


def test_two_keys_that_answer_to_one_identity_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VerifierKey, "id", b"same")
    with pytest.raises(NoteRefused):
        verify_note(NOTE, keys=[PETER_KEY, replace(PETER_KEY, public_key=LOG.public_key)])


def test_up_to_a_hundred_signatures_are_read() -> None:
    strangers = "".join(LINE.replace("PeterNeumann", f"stranger{number}") for number in range(99))
    assert verify_note(NOTE + strangers, keys=[PETER_KEY]).unknown == 99


@pytest.mark.parametrize("text", ["", "no newline", "tab\t\n", "\ud800\n"])
def test_a_text_that_no_note_can_carry_is_not_signed(text: str) -> None:
    with pytest.raises(NoteRefused):
        sign_note(text, name="a", private_key=LOG_PRIVATE)
    with pytest.raises(KeyMalformed):
        sign_note("text\n", name="a", private_key=b"short")


@pytest.mark.parametrize("line", ["", "\n", "text\n", LINE[:-1], LINE + LINE, "a\n\n" + LINE])
def test_only_one_signature_line_can_be_added(line: str) -> None:
    with pytest.raises(NoteRefused):
        add_signature(NOTE, line=line)


def test_a_checkpoint_has_the_three_lines_of_the_specification() -> None:
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    checkpoint = parse_checkpoint(text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.text == text


ROOT = base64.b64encode(CHECKPOINT.root).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"a\n1\n{ROOT}",
        f"a\n1\n{ROOT}\nmore",
        f"a\n1\n{ROOT}\nextension\n",
        f"\n1\n{ROOT}\n",
        f"a\n01\n{ROOT}\n",
        f"a\n-1\n{ROOT}\n",
        f"a\n1_0\n{ROOT}\n",
        f"a\n\u0661\n{ROOT}\n",
        f"a\n{10**18}\n{ROOT}\n",
        f"a\n1\n{ROOT[:-4]}\n",
        f"a\n1\n{ROOT[:-1]}\n",
        f"a\n1\n{ROOT[:-2]}{chr(ord(ROOT[-2]) + 1)}=\n",
        "a\n1\nAAAA\n",
        "a\n1\n!\n",
    ],
)
def test_any_other_checkpoint_text_is_refused(text: str) -> None:
    with pytest.raises(CheckpointRefused):
        parse_checkpoint(text)


def test_a_cosignature_signs_what_the_specification_says() -> None:
    line = cosign(CHECKPOINT, name="w.example", private_key=WITNESS_PRIVATE[0], at=AT)
    dash, name, encoded = line.rstrip("\n").split(" ")
    blob = base64.b64decode(encoded)
    assert (dash, name, len(blob)) == ("—", "w.example", 4 + 8 + 64)
    key = public(WITNESS_PRIVATE[0])
    assert blob[:4] == hashlib.sha256(b"w.example\n\x04" + key).digest()[:4]
    assert blob[4:12] == struct.pack(">Q", 1679315147)
    message = b"cosignature/v1\ntime 1679315147\n" + CHECKPOINT.text.encode()
    Ed25519PublicKey.from_public_bytes(key).verify(blob[12:], message)


def test_a_checkpoint_with_its_quorum_verifies() -> None:
    opened = open_checkpoint(witnessed(0, 2), log_key=LOG, witness_keys=WITNESSES, quorum=2)
    assert opened.checkpoint == CHECKPOINT
    assert opened.cosignatures == (
        Cosignature(witness="hospital0.example", at=AT),
        Cosignature(witness="hospital2.example", at=AT),
    )
    assert verify_checkpoint(witnessed(), log_key=LOG, witness_keys=[], quorum=0) == CHECKPOINT


def test_too_few_or_unknown_witnesses_make_no_quorum() -> None:
    for note, keys, quorum in (
        (witnessed(), WITNESSES, 1),
        (witnessed(0), WITNESSES, 2),
        (witnessed(0, 1), WITNESSES[2:], 1),
        (witnessed(0, 1, 2), WITNESSES, 4),
    ):
        with pytest.raises(QuorumMissing):
            verify_checkpoint(note, log_key=LOG, witness_keys=keys, quorum=quorum)


def test_one_witness_under_two_names_counts_once() -> None:
    alias = replace(WITNESSES[0], name="alias.example")
    line = cosign(CHECKPOINT, name=alias.name, private_key=WITNESS_PRIVATE[0], at=AT)
    note = add_signature(witnessed(0), line=line)
    with pytest.raises(QuorumMissing):
        verify_checkpoint(note, log_key=LOG, witness_keys=[WITNESSES[0], alias], quorum=2)


def test_the_ledger_is_no_witness_of_itself() -> None:
    itself = replace(LOG, algorithm=Algorithm.COSIGNATURE)
    note = add_signature(witnessed(), line=cosign(CHECKPOINT, name=LOG.name, private_key=LOG_PRIVATE, at=AT))
    with pytest.raises(QuorumMissing):
        verify_checkpoint(note, log_key=LOG, witness_keys=[itself], quorum=1)


def test_a_checkpoint_of_another_ledger_or_without_the_ledgers_signature_is_refused() -> None:
    other = replace(CHECKPOINT, origin="other.example/audit")
    note = sign_note(other.text, name=LOG.name, private_key=LOG_PRIVATE)
    with pytest.raises(CheckpointRefused):
        verify_checkpoint(note, log_key=LOG, witness_keys=[], quorum=0)
    unsigned = CHECKPOINT.text + "\n"
    unsigned += cosign(CHECKPOINT, name=WITNESSES[0].name, private_key=WITNESS_PRIVATE[0], at=AT)
    with pytest.raises(CheckpointRefused):
        verify_checkpoint(unsigned, log_key=LOG, witness_keys=WITNESSES, quorum=1)


def test_keys_of_the_wrong_kind_are_refused() -> None:
    with pytest.raises(NoteRefused):
        verify_checkpoint(witnessed(0), log_key=LOG, witness_keys=[LOG], quorum=1)
    with pytest.raises(NoteRefused):
        verify_checkpoint(witnessed(0), log_key=WITNESSES[0], witness_keys=[], quorum=0)


def test_a_time_without_zone_or_before_1970_is_not_stated() -> None:
    for at in (AT.replace(tzinfo=None), datetime(1969, 1, 1, tzinfo=UTC)):
        with pytest.raises(NoteRefused):
            cosign(CHECKPOINT, name="w", private_key=LOG_PRIVATE, at=at)


def test_a_time_beyond_every_calendar_is_refused() -> None:
    key = Ed25519PrivateKey.from_private_bytes(WITNESS_PRIVATE[0])
    for seconds in (2**63, 253_402_300_800):
        signature = key.sign(f"cosignature/v1\ntime {seconds}\n{CHECKPOINT.text}".encode())
        blob = base64.b64encode(WITNESSES[0].id + struct.pack(">Q", seconds) + signature).decode()
        note = f"{witnessed()}— {WITNESSES[0].name} {blob}\n"
        with pytest.raises(NoteRefused):
            verify_checkpoint(note, log_key=LOG, witness_keys=WITNESSES, quorum=1)
