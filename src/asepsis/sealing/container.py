"""Sealed files: a chunked AEAD container that streams in constant memory.

A container is C2SP chunked-encryption in its instantiation Cobblestone-256: a random salt, a key commitment,
then 16 KiB chunks under AES-256-GCM, the last one always shorter. Key, base nonce and commitment come from
HKDF-Expand-SHA-512 over the file key, the salt and the *context*, so that a flipped, cut, reordered or
exchanged byte, another key and another context are all refused, with one and the same error.
Source: https://c2sp.org/chunked-encryption; implementation: `cryptography.cobblestone`.

Only authenticated chunks are ever written to the target. That nothing was cut off is known at the end
alone: when `unseal` raises, its caller must discard what the target holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from blake3 import blake3
from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from asepsis.errors.sealing import ContainerForged, KeyMalformed, RootMismatch

CHUNK: Final = 16 * 1024
"""Plaintext bytes of a full chunk (C2SP chunked-encryption, message chunking)."""

HEADER: Final = 24 + 32
TAG: Final = 16

_PIECE: Final = 16 * CHUNK
_BUFFER: Final = _PIECE + CHUNK + TAG * (_PIECE // CHUNK + 2)
"""Room for one piece, what was held back of the piece before, and the tags of both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealReceipt:
    """What was sealed: plaintext bytes, container bytes, and the BLAKE3 root (hex) of the container."""

    length: int
    sealed_length: int
    root: str


def generate_data_key() -> bytes:
    """A fresh, uniformly random 32-byte key."""
    return Cobblestone256Encryptor.generate_key()


def sealed_length(length: int) -> int:
    """Bytes of the container of a plaintext of ``length`` bytes."""
    return HEADER + length + TAG * (length // CHUNK + 1)


def seal(source: BinaryIO, target: BinaryIO, *, key: bytes, context: bytes) -> SealReceipt:
    """Seal everything that is left in ``source`` into ``target``.

    Args:
        source: plaintext, read in pieces.
        target: where the container goes.
        key: 32 uniformly random bytes, for this file only (see `keys.file_key`).
        context: what the container is bound to (see `context.file_context`).

    Raises:
        KeyMalformed: the key has not 32 bytes.
    """
    encryptor = _encryptor(key, context)
    root = blake3()
    length = written = 0
    with memoryview(bytearray(_BUFFER)) as buffer:
        for piece in _pieces(source):
            size = encryptor.update_into(piece, buffer)
            root.update(buffer[:size])
            _write(target, buffer[:size])
            length += len(piece)
            written += size
    rest = encryptor.finalize()
    root.update(rest)
    _write(target, memoryview(rest))
    return SealReceipt(length=length, sealed_length=written + len(rest), root=root.hexdigest())


def unseal(source: BinaryIO, target: BinaryIO, *, key: bytes, context: bytes, root: str | None = None) -> int:
    """Unseal a container into ``target`` and return the number of plaintext bytes.

    Args:
        source: the container, read in pieces.
        target: where authenticated plaintext goes; to be discarded when this raises.
        key: the file key.
        context: the context that the container was sealed in.
        root: the BLAKE3 root (hex) that the manifest states. Given, it is checked over the very bytes that
            are unsealed, so that a file exchanged after `check_root`, even for another container that the
            owner once sealed in the same context, is refused too.

    Raises:
        ContainerForged: damage of any kind, another key or another context.
        RootMismatch: the container opens but is not the one with this root.
        KeyMalformed: the key has not 32 bytes.
    """
    decryptor = _decryptor(key, context)
    hasher = blake3()
    length = 0
    try:
        with memoryview(bytearray(_BUFFER)) as buffer:
            for piece in _pieces(source):
                if root is not None:
                    hasher.update(piece)
                size = decryptor.update_into(piece, buffer)
                _write(target, buffer[:size])
                length += size
        rest = decryptor.finalize()
    except InvalidTag:
        raise ContainerForged from None
    _write(target, memoryview(rest))
    if root is not None and hasher.hexdigest() != root:
        raise RootMismatch(file="being opened")
    return length + len(rest)


def measure(source: BinaryIO) -> tuple[str, int]:
    """BLAKE3 root, in hex, and number of bytes of everything that is left in ``source``."""
    hasher = blake3()
    length = 0
    for piece in _pieces(source):
        hasher.update(piece)
        length += len(piece)
    return hasher.hexdigest(), length


def root_of(source: BinaryIO) -> str:
    """BLAKE3 root, in hex, of everything that is left in ``source``."""
    return measure(source)[0]


def check_root(source: BinaryIO, expected: str, *, name: str = "given") -> None:
    """Check the bytes of a sealed file against its root; ``name`` is its public id for the error.

    Raises:
        RootMismatch: the bytes are not those that the owner signed.
    """
    if root_of(source) != expected:
        raise RootMismatch(file=name)


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    while piece := source.read(_PIECE):
        yield piece


def _write(target: BinaryIO, data: memoryview) -> None:
    """Write everything: an unbuffered file may take less than it is given."""
    while data:
        taken = target.write(data)
        if not taken:
            raise BlockingIOError
        data = data[taken:]


def _encryptor(key: bytes, context: bytes) -> Cobblestone256Encryptor:
    try:
        return Cobblestone256Encryptor(key, context)
    except ValueError:
        raise KeyMalformed(role="file") from None


def _decryptor(key: bytes, context: bytes) -> Cobblestone256Decryptor:
    try:
        return Cobblestone256Decryptor(key, context)
    except ValueError:
        raise KeyMalformed(role="file") from None
