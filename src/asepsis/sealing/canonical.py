"""Canonical bytes and digests of documents: what parties sign is one exact sequence of bytes.

Source: RFC 8785, JSON Canonicalization Scheme.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, NoReturn

import rfc8785

from asepsis.domain.names import Digest
from asepsis.errors.sealing import DocumentNotCanonical


def canonical(document: Any) -> bytes:
    """The RFC 8785 form of a document of plain JSON values, in UTF-8.

    Raises:
        DocumentNotCanonical: a value is no JSON value, or a number cannot be carried exactly.
    """
    try:
        return rfc8785.dumps(document)
    except (rfc8785.CanonicalizationError, ValueError, TypeError, RecursionError):
        raise DocumentNotCanonical from None


def digest(document: Any) -> Digest:
    """Lower-case hex SHA-256 of the canonical form; raises `DocumentNotCanonical`."""
    return Digest(hashlib.sha256(canonical(document)).hexdigest())


def parse_canonical(data: bytes) -> Any:
    """Read a document that must stand in canonical form: two readers can never see different things.

    Raises:
        DocumentNotCanonical: the bytes are no JSON, or not exactly the canonical form of what they say.
    """
    try:
        document = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise DocumentNotCanonical from None
    if canonical(document) != data:
        raise DocumentNotCanonical
    return document


def _refuse_constant(_name: str) -> NoReturn:
    raise DocumentNotCanonical  # NaN and Infinity are no JSON
