"""What a person declares at an import, since no document of another tool says it and nothing is guessed."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from asepsis.errors.importing import DeclarationRefused

_NAME: Final = re.compile(r"^[a-z][a-z0-9_-]{0,50}$")
_DELIMITERS: Final = frozenset({",", ";", "|", "^", "~", ":", "!", "#", "tab"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """Who contributes, what kind of data, and how the files are written."""

    owner: str
    label: str
    extract_date: date
    encoding: str
    delimiter: str

    @property
    def mark(self) -> str:
        """The delimiter itself."""
        return "\t" if self.delimiter == "tab" else self.delimiter


def read_declared(*, owner: str, label: str, extract_date: str, encoding: str, delimiter: str) -> Declared:
    """Check what was declared.

    Raises:
        DeclarationRefused: an option is not valid.
    """
    if not _NAME.match(owner):
        raise DeclarationRefused(option="owner", problem="a name is lower case letters, digits, - and _")
    if label not in {"synthetic", "real"}:
        raise DeclarationRefused(option="label", problem="it is synthetic or real")
    if delimiter not in _DELIMITERS:
        raise DeclarationRefused(option="delimiter", problem="one of , ; | ^ ~ : ! # or tab is expected")
    try:
        day = date.fromisoformat(extract_date)
    except ValueError:
        raise DeclarationRefused(option="extract-date", problem="a date YYYY-MM-DD is expected") from None
    try:
        codecs.lookup(encoding)
        b"A".decode(encoding)
    except (LookupError, ValueError):
        raise DeclarationRefused(option="encoding", problem="the encoding is not known") from None
    return Declared(owner=owner, label=label, extract_date=day, encoding=encoding, delimiter=delimiter)
