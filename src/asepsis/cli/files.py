"""Files that the user names: read with one clear error, never with a traceback."""

from __future__ import annotations

import json
import os
from pathlib import Path

from asepsis.errors.contract import DocumentMalformed
from asepsis.errors.room import FileUnreadable


def read_bytes(path: Path) -> bytes:
    """The content of a file. Raises FileUnreadable."""
    try:
        return path.read_bytes()
    except OSError:
        raise FileUnreadable(path=str(path)) from None


def read_text(path: Path) -> str:
    """The text of a file. Raises FileUnreadable or DocumentMalformed."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError:
        raise DocumentMalformed(document="file", place="top", problem="UTF-8 is needed") from None


def read_json(path: Path) -> object:
    """The JSON document of a file. Raises FileUnreadable or DocumentMalformed."""
    try:
        return json.loads(read_bytes(path))
    except (ValueError, RecursionError):
        raise DocumentMalformed(document="file", place="top", problem="JSON is needed") from None


def require_writable(path: Path) -> None:
    """Raise FileUnreadable for a file that could not be written, before what is written into it is made."""
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise FileUnreadable(path=str(path))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that the user named. Raises FileUnreadable."""
    try:
        path.write_bytes(content)
    except OSError:
        raise FileUnreadable(path=str(path)) from None
