"""Query templates: texts that the parties approved one by one, with parameters of given types.

What the parties sign has the text, its parameters and the digest of both. Whoever edits a text beside its digest has
written a contract that cannot be read, and whoever edits both has written another template, to be signed again.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from asepsis.domain.analysis import Argument
from asepsis.domain.documents import Document, Fields
from asepsis.domain.names import Digest

MOST_VALUES: Final = 1_000
LARGEST: Final = 2**53 - 1

Arguments = Mapping[str, Argument | tuple[Argument, ...]]


class ParameterType(StrEnum):
    """What an argument is; a date is written like 2026-01-31."""

    INTEGER = "integer"
    NUMBER = "number"
    TEXT = "text"
    DATE = "date"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter: its type and, where there are any, all the values that an argument may have."""

    name: str
    type: ParameterType
    values: tuple[Argument, ...] = ()

    def admits(self, argument: object) -> bool:
        """Whether an argument is of the type, and one of the values."""
        return _is_of(argument, self.type) and (not self.values or argument in self.values)

    @property
    def sample(self) -> Argument:
        """An argument that is admitted, to see whether the text can be planned."""
        samples: dict[ParameterType, Argument] = {
            ParameterType.INTEGER: 1,
            ParameterType.NUMBER: 1.5,
            ParameterType.TEXT: "a",
            ParameterType.DATE: "2000-01-01",
        }
        return self.values[0] if self.values else samples[self.type]

    def to_document(self) -> Document:
        """The document form."""
        values: Document = {"values": list(self.values)} if self.values else {}
        return {"type": self.type.value, **values}


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A query that may be asked with any arguments that its parameters admit, and in no other words."""

    name: str
    title: str
    sql: str
    parameters: tuple[Parameter, ...] = ()

    @property
    def digest(self) -> Digest:
        """What is approved: text and parameters."""
        return _digest(self.sql, self.parameters)

    def admits(self, sql: str, arguments: Arguments) -> bool:
        """Whether a query is this one: the same text, an admitted argument for each parameter, and no others."""
        return (
            sql == self.sql
            and arguments.keys() == {parameter.name for parameter in self.parameters}
            and all(parameter.admits(arguments[parameter.name]) for parameter in self.parameters)
        )

    def to_document(self) -> Document:
        """The document form; :func:`read_template` reads it."""
        parameters: Document = {"parameters": _documents(self.parameters)} if self.parameters else {}
        return {"title": self.title, "sql": self.sql, **parameters, "digest": self.digest}


def read_template(name: str, fields: Fields) -> Template:
    """Read one template. Raises DocumentMalformed, also where the digest is of another text."""
    template = Template(
        name=name,
        title=fields.text("title"),
        sql=fields.text("sql"),
        parameters=fields.each("parameters", _read_parameter) if fields.has("parameters") else (),
    )
    if fields.text("digest", default=template.digest) != template.digest:
        raise fields.malformed("digest", "it is not the digest of this text and its parameters; left out, it is added")
    return template


def _read_parameter(name: str, fields: Fields) -> Parameter:
    kind = fields.choice("type", ParameterType)
    values = tuple(fields.items("values")) if fields.has("values") else ()
    distinct = {json.dumps(value) for value in values if isinstance(value, int | float | str)}
    if not all(_is_of(value, kind) for value in values) or len(distinct) != len(values) or len(values) > MOST_VALUES:
        raise fields.malformed("values", f"up to {MOST_VALUES} different values of the type are needed")
    return Parameter(
        name=name, type=kind, values=tuple(value for value in values if isinstance(value, int | float | str))
    )


def _is_of(value: object, kind: ParameterType) -> bool:
    match kind:
        case ParameterType.INTEGER:
            return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST
        case ParameterType.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        case ParameterType.TEXT:
            return isinstance(value, str)
        case ParameterType.DATE:
            return isinstance(value, str) and _is_date(value)


def _is_date(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _documents(parameters: tuple[Parameter, ...]) -> Document:
    return {parameter.name: parameter.to_document() for parameter in parameters}


def _digest(sql: str, parameters: tuple[Parameter, ...]) -> Digest:
    """SHA-256 over text and parameters as JSON with sorted keys and no spaces."""
    text = json.dumps({"sql": sql, "parameters": _documents(parameters)}, sort_keys=True, separators=(",", ":"))
    return Digest(hashlib.sha256(text.encode()).hexdigest())
