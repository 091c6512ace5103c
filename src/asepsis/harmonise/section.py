"""A section of a mapping file, read strictly: each key is taken once with its type; what is left over is refused."""

from __future__ import annotations

import codecs
import datetime as dt
import re
from contextlib import suppress
from enum import StrEnum
from importlib import import_module
from typing import Any, Final, TypeVar

from asepsis.errors.harmonise import MappingMalformed

_REQUIRED: Final[Any] = object()
_NAME: Final = re.compile(r"^[a-z][a-z0-9_-]{0,62}$")
_Choice = TypeVar("_Choice", bound=StrEnum)


class Section:
    """One mapping of keys to values at a place that error messages can name."""

    def __init__(self, value: Any, *, file: str, key: str) -> None:
        self.file = file
        self._key = key
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise MappingMalformed(file=file, key=key, problem="named keys are expected")
        self._values = dict(value)

    def malformed(self, key: str, problem: str) -> MappingMalformed:
        """The error for a key of this section."""
        place = key if self._key == "the top" else f"{self._key}.{key}"
        return MappingMalformed(file=self.file, key=place, problem=problem)

    def close(self) -> None:
        """Refuse keys that nobody asked for."""
        if self._values:
            raise self.malformed(min(self._values), "the key is unknown")

    def text(self, key: str, default: Any = _REQUIRED) -> Any:
        """A non-empty text (numbers are refused: YAML drops their leading zeros)."""
        value = self._take(key, default)
        if value is default:
            return value
        if not isinstance(value, str) or not value.strip():
            raise self.malformed(key, "a text is expected")
        return value

    def name(self, key: str) -> str:
        """A short public name."""
        value = self.text(key)
        if not _NAME.match(value):
            raise self.malformed(key, "a name is lower case letters, digits, - and _")
        return str(value)

    def names(self, key: str) -> tuple[str, ...]:
        """A list of texts, empty by default."""
        value = self._take(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.malformed(key, "a list of names is expected")
        return tuple(value)

    def texts(self, key: str) -> dict[str, str]:
        """Named texts."""
        value = self._take(key, _REQUIRED)
        if not isinstance(value, dict) or not all(isinstance(x, str) for pair in value.items() for x in pair):
            raise self.malformed(key, "names with texts are expected")
        if not all(_NAME.match(name) for name in value):
            raise self.malformed(key, "a name is lower case letters, digits, - and _")
        return dict(value)

    def values(self, key: str) -> dict[str, Any]:
        """Named values of any kind; none by default."""
        value = self._take(key, {})
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise self.malformed(key, "named keys are expected")
        return dict(value)

    def number(self, key: str, default: Any = _REQUIRED) -> Any:
        """A whole number that is not negative."""
        value = self._take(key, default)
        if value is default:
            return value
        if type(value) is not int or value < 0:
            raise self.malformed(key, "a whole number is expected")
        return value

    def signed(self, key: str, default: int) -> int:
        """A whole number, also a negative one."""
        value = self._take(key, default)
        if type(value) is not int:
            raise self.malformed(key, "a whole number is expected")
        return value

    def flag(self, key: str) -> bool:
        """True or false; false by default."""
        return self.said(key) or False

    def said(self, key: str) -> bool | None:
        """True or false, or ``None`` where nothing is said."""
        value = self._take(key, default=None)
        if value is not None and not isinstance(value, bool):
            raise self.malformed(key, "true or false is expected")
        return value

    def date(self, key: str) -> dt.date:
        """A calendar date, as YAML writes it."""
        value = self._take(key, _REQUIRED)
        if type(value) is not dt.date:
            raise self.malformed(key, "a date YYYY-MM-DD is expected")
        return value

    def encoding(self, key: str, default: Any = _REQUIRED) -> str:
        """A text encoding that Python knows."""
        value = self.text(key, default)
        if value is default:
            return str(value)
        try:
            _find_codec(value)
            b"A".decode(value, "replace")
        except (LookupError, ValueError):
            raise self.malformed(key, "the encoding is not known") from None
        return str(value)

    def choice(self, key: str, choices: type[_Choice], default: _Choice | None = None) -> _Choice:
        """One of the known words."""
        value = self._take(key, _REQUIRED if default is None else default)
        if not isinstance(value, str) or value not in {str(choice) for choice in choices}:
            raise self.malformed(key, "one of " + ", ".join(choices) + " is expected")
        return choices(value)

    def section(self, key: str, default: Any = _REQUIRED) -> Any:
        """A section below this one."""
        value = self._take(key, default)
        return value if value is default else self._below(key, value)

    def sections(self, key: str) -> dict[str, Section]:
        """Named sections below this one; none by default."""
        value = self._take(key, {})
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise self.malformed(key, "named keys are expected")
        return {name: self._below(f"{key}.{name}", item) for name, item in value.items()}

    def items(self, key: str) -> list[Section]:
        """A list of sections; empty by default."""
        value = self._take(key, [])
        if not isinstance(value, list):
            raise self.malformed(key, "a list is expected")
        return [self._below(f"{key}[{number}]", item) for number, item in enumerate(value)]

    def _below(self, key: str, value: Any) -> Section:
        return Section(value, file=self.file, key=key if self._key == "the top" else f"{self._key}.{key}")

    def _take(self, key: str, default: Any) -> Any:
        if key in self._values:
            return self._values.pop(key)
        if default is _REQUIRED:
            raise self.malformed(key, "the key is missing")
        return default


def _find_codec(name: str) -> None:
    """Look an encoding up, also among those that the package of the extra ``ebcdic`` adds to Python's own."""
    try:
        codecs.lookup(name)
    except LookupError:
        with suppress(ImportError):
            import_module("ebcdic")
        codecs.lookup(name)
