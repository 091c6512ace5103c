"""The dialogue between room and runtime: one JSON document per line, of bounded length."""

from __future__ import annotations

import json
from typing import BinaryIO, Final

from asepsis.domain.documents import Document
from asepsis.errors.runtime import OrderRefused

LONGEST_FRAME: Final = 64 << 20
"""Bytes; manifests and contracts are far smaller, patient rows never travel here."""


def read_frame(stream: BinaryIO) -> Document:
    """The next document. Raises OrderRefused at the end of the dialogue or for anything but a mapping."""
    line = stream.readline(LONGEST_FRAME)
    try:
        document = json.loads(line)
    except ValueError:
        raise OrderRefused(what="the frame") from None
    if not isinstance(document, dict):
        raise OrderRefused(what="the frame")
    return document


def write_frame(stream: BinaryIO, document: Document) -> None:
    """Send one document."""
    stream.write(json.dumps(document, separators=(",", ":")).encode() + b"\n")
    stream.flush()
