"""What identifies how an entry is read: every declaration of ``source.yaml`` and of its layout, as one digest.

Invariant: two entries with one digest read every file alike. Quarantined records that were read under one can be judged
again under the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from typing import Any, Final

from asepsis.domain.names import Digest
from asepsis.harmonise.entries import FileEntry

_UNUSED: Final = (("view", None), ("several_rows", False))
"""What was declared of no entry when the first digests were kept."""
_DOMAIN: Final = b"asepsis reading 1\0"


def reading_digest(entry: FileEntry) -> Digest:
    """The digest of everything that is declared about an entry."""
    text = json.dumps(_plain(entry), sort_keys=True, ensure_ascii=True)
    return Digest(hashlib.sha256(_DOMAIN + text.encode()).hexdigest())


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return str(value.value)
    if is_dataclass(value):
        known = {item.name: getattr(value, item.name) for item in fields(value)}
        return {name: _plain(item) for name, item in known.items() if (name, item) not in _UNUSED}
    if isinstance(value, Mapping):
        return [[str(key), _plain(item)] for key, item in value.items()]
    if isinstance(value, frozenset | set):
        return sorted(json.dumps(_plain(item), sort_keys=True) for item in value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value
