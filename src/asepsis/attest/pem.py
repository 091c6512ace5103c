"""Certificates one after another, in PEM (RFC 7468) or in DER, in one reading only.

A PEM block counts only in its canonical form: two texts never mean the same certificate.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from asepsis.attest import der
from asepsis.attest.certificates import Certificate, read_certificate
from asepsis.errors.attest import EvidenceMalformed

MOST: Final = 8
"""The most certificates of one chain; the longest real one (Nitro) has five."""

_LINE: Final = 64
_BLOCK: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----(\r?\n)([A-Za-z0-9+/=\r\n]{1,12000}?)\r?\n-----END CERTIFICATE-----(?:\r?\n)*"
)


def read_certificates(data: bytes) -> tuple[Certificate, ...]:
    """Read one to eight certificates. Raises EvidenceMalformed."""
    encoded = _pem(data) if data.startswith(b"-----") else _der(data)
    if not encoded:
        raise EvidenceMalformed(part="there is no certificate")
    return tuple(read_certificate(raw) for raw in encoded)


def _pem(data: bytes) -> list[bytes]:
    blocks: list[bytes] = []
    at = 0
    while at < len(data):
        match = _BLOCK.match(data, at)
        if match is None or len(blocks) == MOST:
            raise EvidenceMalformed(part="the text of the certificates")
        blocks.append(_decode(match[2], newline=match[1]))
        at = match.end()
    return blocks


def _decode(text: bytes, *, newline: bytes) -> bytes:
    try:
        raw = base64.b64decode(text.replace(newline, b""), validate=True)
    except binascii.Error:
        raise EvidenceMalformed(part="the text of the certificates") from None
    encoded = base64.b64encode(raw)
    if newline.join(encoded[at : at + _LINE] for at in range(0, len(encoded), _LINE)) != text:
        raise EvidenceMalformed(part="the text of the certificates")
    return raw


def _der(data: bytes) -> list[bytes]:
    reader = der.DerReader(data)
    found: list[bytes] = []
    while reader.has_more:
        if len(found) == MOST:
            raise EvidenceMalformed(part="there are too many certificates")
        found.append(reader.element(der.SEQUENCE).raw)
    return found
