"""Typed parameters of methods, and the strict reading of arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from asepsis.domain.analysis import Argument
from asepsis.errors.sql import MethodArgumentError

Given = Argument | tuple[Argument, ...]
Arguments = Mapping[str, Given]
LARGEST: Final = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeNumber:
    """A whole number in a range; required where it has no default."""

    name: str
    summary: str
    least: int
    most: int
    default: int | None = None

    def read(self, value: Given) -> int:
        """The checked value. Raises ValueError."""
        if isinstance(value, bool) or not isinstance(value, int) or not self.least <= value <= self.most:
            text = f"a whole number from {self.least} to {self.most} is needed"
            raise ValueError(text)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeNumbers:
    """One or several distinct whole numbers, kept sorted."""

    name: str
    summary: str
    most: int
    default: None = None

    def read(self, value: Given) -> tuple[int, ...]:
        """The checked values. Raises ValueError."""
        items = value if isinstance(value, tuple) else (value,)
        whole = {item for item in items if isinstance(item, int) and not isinstance(item, bool) and 0 <= item < LARGEST}
        if not items or len(items) > self.most or len(whole) != len(set(items)):
            text = f"one to {self.most} whole numbers are needed"
            raise ValueError(text)
        return tuple(sorted(whole))


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf:
    """One of some names."""

    name: str
    summary: str
    choices: tuple[str, ...]
    default: str

    def read(self, value: Given) -> str:
        """The checked value. Raises ValueError."""
        if not isinstance(value, str) or value not in self.choices:
            text = "one of " + ", ".join(self.choices) + " is needed"
            raise ValueError(text)
        return value


Parameter = WholeNumber | WholeNumbers | OneOf
Value = int | str | tuple[int, ...]


def read_arguments(method: str, parameters: tuple[Parameter, ...], given: Arguments) -> dict[str, Value]:
    """All arguments, checked and with defaults filled in. Raises MethodArgumentError, which never quotes a value."""
    unknown = sorted(set(given) - {parameter.name for parameter in parameters})
    if unknown:
        raise MethodArgumentError(method=method, argument=unknown[0], problem="there is no such parameter")
    values: dict[str, Value] = {}
    for parameter in parameters:
        value = given.get(parameter.name, parameter.default)
        if value is None:
            raise MethodArgumentError(method=method, argument=parameter.name, problem="it is missing")
        problem = ""
        try:
            values[parameter.name] = parameter.read(value)
        except ValueError as error:
            problem = str(error)
        if problem:
            raise MethodArgumentError(method=method, argument=parameter.name, problem=problem)
    return values
