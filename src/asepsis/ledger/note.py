"""Signed notes: a text with signatures of named keys, and the one-line form of verifier keys.

A note is a text that ends in a newline, an empty line, and one line per signature: em dash, key name,
base64 of a 4-byte key id and the signature. Two kinds of signature are known: Ed25519 over the text, and
the timestamped Ed25519 cosignature of a witness. Signatures of unknown keys are ignored; a wrong signature
of a known key spoils the whole note.
Sources: https://c2sp.org/signed-note, https://c2sp.org/tlog-cosignature (Ed25519 version).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from asepsis.domain.curve import is_small_order
from asepsis.errors.ledger import NoteRefused, VerifierKeyMalformed
from asepsis.errors.sealing import KeyMalformed

LONGEST_NOTE: Final = 1_000_000
MOST_SIGNATURES: Final = 100

_DASH: Final = "\N{EM DASH} "
_KEY_LENGTH: Final = 32
_ID_LENGTH: Final = 4
_LATEST_SECOND: Final = 253_402_300_799
"""The last second of year 9999, the latest that a datetime can say."""


class Algorithm(IntEnum):
    """Signature types of signed notes that are used here."""

    ED25519 = 0x01
    COSIGNATURE = 0x04


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key under a name, for one kind of signature."""

    name: str
    public_key: bytes
    algorithm: Algorithm = Algorithm.ED25519

    def __post_init__(self) -> None:
        """Refuse names and keys that no note can carry; raises `VerifierKeyMalformed`."""
        if not _is_name(self.name) or len(self.public_key) != _KEY_LENGTH or is_small_order(self.public_key):
            raise VerifierKeyMalformed

    @property
    def id(self) -> bytes:
        """Four bytes that tell keys of one name apart; an identifier, not a strong hash."""
        named = self.name.encode() + b"\n" + bytes([self.algorithm])
        return hashlib.sha256(named + self.public_key).digest()[:_ID_LENGTH]

    @property
    def text(self) -> str:
        """``name+hash+key``: how verifier keys are published."""
        return f"{self.name}+{self.id.hex()}+{_encode(bytes([self.algorithm]) + self.public_key)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSignature:
    """A verified signature; ``at`` is the time that a witness stated, and absent for other signatures."""

    key: VerifierKey
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedNote:
    """The text of a note and those of its signatures that known keys made; ``unknown`` counts the others."""

    text: str
    signatures: tuple[NoteSignature, ...]
    unknown: int


def parse_verifier_key(text: str) -> VerifierKey:
    """Read ``name+hash+key``.

    Raises:
        VerifierKeyMalformed: it has another form, an unknown algorithm, or a hash that does not fit.
    """
    parts = text.split("+", 2)
    try:
        key = base64.b64decode(parts[-1], validate=True)
        verifier = VerifierKey(name=parts[0], public_key=key[1:], algorithm=Algorithm(key[0]))
    except (ValueError, IndexError):
        raise VerifierKeyMalformed from None
    if verifier.text != text:
        raise VerifierKeyMalformed
    return verifier


def sign_note(text: str, *, name: str, private_key: bytes) -> str:
    """Sign a text and return the whole note.

    Raises:
        NoteRefused: the text has control characters or does not end in a newline.
        VerifierKeyMalformed: the name has spaces or a plus sign.
        KeyMalformed: the private key is none.
    """
    _check_text(text)
    return text + "\n" + signature_line(text.encode(), name=name, private_key=private_key)


def signature_line(message: bytes, *, name: str, private_key: bytes) -> str:
    """The line with an Ed25519 signature over the text of a note."""
    key = signing_key(private_key)
    verifier = VerifierKey(name=name, public_key=key.public_key().public_bytes_raw())
    return f"{_DASH}{name} {_encode(verifier.id + key.sign(message))}\n"


def cosignature_line(text: str, *, name: str, private_key: bytes, at: datetime) -> str:
    """The line with a witness's timestamped signature over the text of a checkpoint (whole seconds).

    Raises:
        NoteRefused: the time has no zone or lies before 1970.
        KeyMalformed: the private key is none.
    """
    key = signing_key(private_key)
    verifier = VerifierKey(
        name=name,
        public_key=key.public_key().public_bytes_raw(),
        algorithm=Algorithm.COSIGNATURE,
    )
    if at.tzinfo is None or at.timestamp() < 0:
        raise NoteRefused  # a local time would be stated as if it were universal
    seconds = int(at.timestamp())
    signature = key.sign(_cosigned(text, seconds))
    return f"{_DASH}{name} {_encode(verifier.id + struct.pack('>Q', seconds) + signature)}\n"


def add_signature(note: str, *, line: str) -> str:
    """Put one more signature line under a note; raises `NoteRefused` if either is malformed."""
    if line.count("\n") != 1:
        raise NoteRefused
    _split(note + line)
    return note + line


def verify_note(note: str, *, keys: Iterable[VerifierKey]) -> VerifiedNote:
    """Check every signature that a known key should have made.

    Raises:
        NoteRefused: the note is malformed, a signature of a known key is wrong, or none is of a known key.
    """
    known = _by_identity(keys)
    text, lines = _split(note)
    verified: dict[tuple[str, bytes], NoteSignature] = {}
    unknown = 0
    for name, blob in lines:
        identity = (name, blob[:_ID_LENGTH])
        key = known.get(identity)
        if key is None:
            unknown += 1
        elif identity in verified:
            raise NoteRefused
        else:
            verified[identity] = _verify(text, key, blob[_ID_LENGTH:])
    if not verified:
        raise NoteRefused
    return VerifiedNote(text=text, signatures=tuple(verified.values()), unknown=unknown)


def signing_key(private_key: bytes) -> Ed25519PrivateKey:
    """The Ed25519 key of 32 raw bytes; raises `KeyMalformed`."""
    try:
        return Ed25519PrivateKey.from_private_bytes(private_key)
    except ValueError:
        raise KeyMalformed(role="private signing") from None


def _by_identity(keys: Iterable[VerifierKey]) -> Mapping[tuple[str, bytes], VerifierKey]:
    known: dict[tuple[str, bytes], VerifierKey] = {}
    for key in keys:
        if known.setdefault((key.name, key.id), key) != key:
            raise NoteRefused  # two keys answer to one identity: nobody could say which one signed
    return known


def _verify(text: str, key: VerifierKey, signature: bytes) -> NoteSignature:
    public_key = Ed25519PublicKey.from_public_bytes(key.public_key)
    try:
        if key.algorithm is Algorithm.ED25519:
            public_key.verify(signature, text.encode())
            return NoteSignature(key=key)
        (seconds,) = struct.unpack(">Q", signature[:8])
        public_key.verify(signature[8:], _cosigned(text, seconds))
    except (InvalidSignature, struct.error):
        raise NoteRefused from None
    if seconds > _LATEST_SECOND:
        raise NoteRefused
    return NoteSignature(key=key, at=datetime.fromtimestamp(seconds, UTC))


def _cosigned(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def _split(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Text and signature lines; the last empty line parts them."""
    _check_text(note)
    if len(note) > LONGEST_NOTE:
        raise NoteRefused
    text, separator, tail = note.rpartition("\n\n")
    lines = tail.split("\n")[:-1]
    if not separator or not 0 < len(lines) <= MOST_SIGNATURES:
        raise NoteRefused
    return text + "\n", [_line(line) for line in lines]


def _line(line: str) -> tuple[str, bytes]:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not _is_name(name):
        raise NoteRefused
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise NoteRefused from None
    if len(blob) <= _ID_LENGTH or _encode(blob) != encoded:  # one signature has one spelling
        raise NoteRefused
    return name, blob


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(character < " " and character != "\n" for character in text):
        raise NoteRefused
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NoteRefused from None


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(character.isspace() or character < " " for character in name)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
