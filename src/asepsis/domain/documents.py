"""Reading documents with a closed schema: every key is known, every value has its type, or it is refused.

A document is what JSON can express. :class:`Fields` hands out typed values and, at the end, refuses keys that
nobody asked for, so that a reader cannot forget to close its schema.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeVar

from asepsis.errors.contract import DocumentMalformed

Document = dict[str, object]
T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_MISSING: Final = object()


class Fields:
    """Typed, counted access to one mapping of a document."""

    def __init__(self, value: object, *, document: str, place: str = "") -> None:
        self._document = document
        self._place = place
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise DocumentMalformed(document=document, place=place or "top", problem="a mapping is needed")
        self._values: Document = dict(value)
        self._seen: set[str] = set()

    def malformed(self, key: str, problem: str) -> DocumentMalformed:
        """The error for one key of this mapping."""
        place = f"{self._place}.{key}" if self._place else key
        return DocumentMalformed(document=self._document, place=place, problem=problem)

    def close(self) -> None:
        """Refuse keys that nobody asked for."""
        unknown = sorted(set(self._values) - self._seen)
        if unknown:
            raise self.malformed(unknown[0], "this key is unknown")

    def _take(self, key: str, default: object = _MISSING) -> object:
        self._seen.add(key)
        value = self._values.get(key, default)
        if value is _MISSING:
            raise self.malformed(key, "this key is missing")
        return value

    def has(self, key: str) -> bool:
        """Whether the mapping carries the key."""
        return key in self._values

    def names(self) -> tuple[str, ...]:
        """The keys of the mapping, which must be short lower-case names."""
        for key in self._values:
            if not _NAME.fullmatch(key):
                raise self.malformed(key, "a short lower-case name is needed")
        return tuple(sorted(self._values))

    def text(self, key: str, *, default: str | None = None) -> str:
        """A non-empty text."""
        value = self._take(key, _MISSING if default is None else default)
        if not isinstance(value, str) or (not value and default is None):
            raise self.malformed(key, "a text is needed")
        return value

    def name(self, key: str) -> str:
        """A short lower-case name: a letter, then letters, digits, ``_`` or ``-``."""
        value = self.text(key)
        if not _NAME.fullmatch(value):
            raise self.malformed(key, "a short lower-case name is needed")
        return value

    def integer(self, key: str, *, least: int = 0, default: int | None = None) -> int:
        """A whole number of at least ``least``."""
        value = self._take(key, _MISSING if default is None else default)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.malformed(key, f"a whole number of at least {least} is needed")
        return value

    def flag(self, key: str, *, default: bool = False) -> bool:
        """True or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self.malformed(key, "true or false is needed")
        return value

    def time(self, key: str) -> datetime:
        """A point in time in UTC, ISO 8601."""
        value = self.text(key)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise self.malformed(key, "a time such as 2026-01-31T00:00:00Z is needed") from None
        if moment.tzinfo is None:
            raise self.malformed(key, "the time needs a zone, such as Z")
        return moment.astimezone(UTC)

    def octets(self, key: str, *, length: int | None = None, empty: bool = False) -> bytes:
        """Bytes in standard base64, of the given length where one is given; none only where ``empty`` allows it."""
        text = self.text(key, default="" if empty else None)
        try:
            value = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise self.malformed(key, "base64 is needed") from None
        if length is not None and len(value) != length:
            raise self.malformed(key, f"{length} bytes in base64 are needed")
        return value

    def choice(self, key: str, of: type[E], *, default: E | None = None) -> E:
        """One value of an enumeration."""
        value = self.text(key, default=None if default is None else default.value)
        try:
            return of(value)
        except ValueError:
            raise self.malformed(key, "one of " + ", ".join(of) + " is needed") from None

    def texts(self, key: str, *, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """A list of texts without repetition."""
        value = self._take(key, _MISSING if default is None else list(default))
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise self.malformed(key, "a list of texts is needed")
        if len(set(value)) != len(value):
            raise self.malformed(key, "the list repeats a value")
        return tuple(value)

    def anything(self, key: str) -> object:
        """Whatever stands there, to be read by the caller."""
        return self._take(key)

    def items(self, key: str) -> list[object]:
        """A list of anything, to be read by the caller."""
        value = self._take(key)
        if not isinstance(value, list):
            raise self.malformed(key, "a list is needed")
        return value

    @contextmanager
    def mapping(self, key: str) -> Iterator[Fields]:
        """The fields of a nested mapping; closed at the end of the block."""
        inner = Fields(self._take(key), document=self._document, place=self._nested(key))
        yield inner
        inner.close()

    def each(self, key: str, read: Callable[[str, Fields], T]) -> tuple[T, ...]:
        """Read a mapping from names to mappings, in the order of the names."""
        outer = self._take(key)
        if not isinstance(outer, dict):
            raise self.malformed(key, "a mapping is needed")
        results = []
        for name in sorted(outer, key=str):
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise self.malformed(key, "its keys must be short lower-case names")
            inner = Fields(outer[name], document=self._document, place=f"{self._nested(key)}.{name}")
            results.append(read(name, inner))
            inner.close()
        return tuple(results)

    def _nested(self, key: str) -> str:
        return f"{self._place}.{key}" if self._place else key


def read_name(text: str, *, what: str) -> str:
    """A short lower-case name, as contracts use them. Raises DocumentMalformed."""
    if not _NAME.fullmatch(text):
        raise DocumentMalformed(document=what, place="name", problem="a short lower-case name is needed")
    return text


def encode_bytes(value: bytes) -> str:
    """Standard base64, as :meth:`Fields.octets` reads it."""
    return base64.b64encode(value).decode("ascii")


def encode_time(moment: datetime) -> str:
    """ISO 8601 in UTC with ``Z``, as :meth:`Fields.time` reads it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
