"""One error taxonomy for the whole product.

Every error is a class with a *kind* (how a caller should react), a stable *code* (what tests, docs and
support refer to), a fixed *message* and a *hint* (what to do next). Messages are templates whose fields
take only public names - a party, a table, a column of the contract, a path the user typed, a count -
and never a value that was read from data. Classes live in one module per area of this package; the
reference page of the documentation is generated from them.

Kinds follow the table of the design: kind, HTTP status (RFC 9110) and exit code are one thing.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from enum import Enum
from typing import ClassVar, Final

_CODE: Final = re.compile(r"^[a-z]+(\.[a-z_]+)+$")
_LONGEST_NAME: Final = 200


class Kind(Enum):
    """How a caller should react; carries the HTTP status and the exit code of the process."""

    INVALID = ("invalid", 422, 2)
    DENIED = ("denied", 403, 3)
    MISSING = ("missing", 404, 4)
    CONFLICT = ("conflict", 409, 5)
    EXHAUSTED = ("exhausted", 429, 6)
    UNTRUSTED = ("untrusted", 403, 7)
    UNAVAILABLE = ("unavailable", 503, 8)
    BUG = ("bug", 500, 1)

    def __init__(self, label: str, http_status: int, exit_code: int) -> None:
        self.label = label
        self.http_status = http_status
        self.exit_code = exit_code


class AsepsisError(Exception):
    """Base of all errors that a person or a program outside may see.

    Subclasses set the class variables; instances only fill the template with public names. The text of
    another exception is never passed on: parsers, engines and drivers quote data in theirs.
    """

    kind: ClassVar[Kind] = Kind.BUG
    code: ClassVar[str] = "bug.unexpected"
    message: ClassVar[str] = "Something went wrong inside Asepsis."
    hint: ClassVar[str] = "Run the command again; if it fails again, report the code and the version."

    registry: ClassVar[dict[str, type[AsepsisError]]] = {}

    def __init_subclass__(cls) -> None:
        """Register the class under its code; a code names exactly one class, for ever."""
        super().__init_subclass__()
        if "code" not in cls.__dict__:
            return
        known = AsepsisError.registry.get(cls.code)
        if not _CODE.match(cls.code) or (known is not None and known.__qualname__ != cls.__qualname__):
            raise TypeError(cls.__qualname__)
        AsepsisError.registry[cls.code] = cls

    def __init__(self, **names: str | int) -> None:
        """Fill the template with public names (never with a value read from data)."""
        self.names = {key: _public(value) for key, value in names.items()}
        super().__init__(self.detail)

    @property
    def detail(self) -> str:
        """The message with its names filled in: one line."""
        return self.message.format_map(self.names)

    @property
    def advice(self) -> str:
        """The hint with the same names filled in: what to do next."""
        return self.hint.format_map(self.names)

    def as_dict(self) -> dict[str, str]:
        """The canonical shape of an error in JSON, the same on every door."""
        return {"kind": self.kind.label, "code": self.code, "detail": self.detail, "hint": self.advice}


def error_of(code: str) -> type[AsepsisError]:
    """The class behind a code that came from another process; the base class for a code that is unknown."""
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)
    return AsepsisError.registry.get(code, AsepsisError)


def _public(value: str | int) -> str:
    """One printable line of bounded length: an error is no channel for more than a name."""
    text = "".join(character if character.isprintable() else "?" for character in str(value))
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"
