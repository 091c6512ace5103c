"""JSON documents of a repository, read strictly: what is not of the expected shape is refused, never quoted."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, Final

import zstandard

from asepsis.errors.source import LimitExceededError, ObjectDamagedError, UnsupportedFormatError

_OBJECT_ID: Final = re.compile(r"[0-9a-f]{64}")
_JSON_STARTS: Final = (b"{", b"[")
_COMPRESSED: Final = b"\x02"


def unpacked(plain: bytes, *, name: str, limit: int) -> bytes:
    """The JSON inside an unpacked file: as it stands, or behind a version byte and compressed (version 2).

    Raises:
        UnsupportedFormatError: another version byte.
        LimitExceededError: it would unpack to more than ``limit`` bytes.
        ObjectDamagedError: it does not unpack.
    """
    if plain[:1] in _JSON_STARTS:
        return plain
    if plain[:1] != _COMPRESSED:
        raise UnsupportedFormatError(name=name)
    return decompressed(plain[1:], name=name, limit=limit)


def decompressed(frame: bytes, *, name: str, limit: int) -> bytes:
    """One zstd frame unpacked to at most ``limit`` bytes.

    Raises:
        LimitExceededError: it would unpack to more.
        ObjectDamagedError: it is no whole frame.
    """
    try:
        reader = zstandard.ZstdDecompressor().stream_reader(frame)
        plain: bytes = reader.read(limit + 1)
    except zstandard.ZstdError:
        raise ObjectDamagedError(name=name) from None
    if len(plain) > limit:
        raise LimitExceededError(name=name, limit=limit, unit="bytes")
    return plain


def document(plain: bytes, *, name: str) -> dict[str, Any]:
    """The JSON object in ``plain``.

    Raises:
        UnsupportedFormatError: it is no JSON object.
    """
    try:
        value = json.loads(plain)
    except (ValueError, RecursionError):
        raise UnsupportedFormatError(name=name) from None
    if not isinstance(value, dict):
        raise UnsupportedFormatError(name=name)
    return value


def text(fields: Mapping[str, Any], key: str, *, name: str) -> str:
    """A string field; raises UnsupportedFormatError where it is none."""
    value = fields.get(key)
    if not isinstance(value, str):
        raise UnsupportedFormatError(name=name)
    return value


def number(fields: Mapping[str, Any], key: str, *, name: str, default: int | None = None) -> int:
    """A whole number that is not negative; raises UnsupportedFormatError where it is none."""
    value = fields.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UnsupportedFormatError(name=name)
    return value


def items(fields: Mapping[str, Any], key: str, *, name: str) -> list[dict[str, Any]]:
    """A list of objects (``null`` and absence are the empty list); raises UnsupportedFormatError otherwise."""
    value = fields.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise UnsupportedFormatError(name=name)
    return value


def object_ids(fields: Mapping[str, Any], key: str, *, name: str) -> tuple[str, ...]:
    """A list of ids (``null`` and absence are the empty list); raises UnsupportedFormatError otherwise."""
    value = fields.get(key) or []
    if not isinstance(value, list):
        raise UnsupportedFormatError(name=name)
    return tuple(object_id(item, name=name) for item in value)


def object_id(value: Any, *, name: str) -> str:
    """A SHA-256 in hex, as every stored object is named; raises UnsupportedFormatError otherwise."""
    if not isinstance(value, str) or not _OBJECT_ID.fullmatch(value):
        raise UnsupportedFormatError(name=name)
    return value


def is_object_id(value: str) -> bool:
    """Whether a file name is that of a stored object (upload leftovers are not)."""
    return _OBJECT_ID.fullmatch(value) is not None


def octets(fields: Mapping[str, Any], key: str, *, name: str) -> bytes:
    """A field of base64; raises UnsupportedFormatError where it is none."""
    try:
        return base64.b64decode(text(fields, key, name=name), validate=True)
    except ValueError:
        raise UnsupportedFormatError(name=name) from None
