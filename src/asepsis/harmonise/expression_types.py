"""The SQL type of a mapping expression, where its form alone tells it: a known type needs no check per record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlglot import exp

NULL: Final = "NULL"
_LARGEST_INTEGER: Final = (1 << 31) - 1
_OF_FUNCTION: Final[Mapping[str, str]] = {
    **dict.fromkeys(("upper", "lower", "trim", "ltrim", "rtrim", "left", "right", "substr", "replace"), "VARCHAR"),
    **dict.fromkeys(("split_part", "lpad", "extract_text"), "VARCHAR"),
    **dict.fromkeys(("parse_date", "date_yymmdd"), "DATE"),
    "to_integer": "BIGINT",
    "to_number": "DOUBLE",
}
_OF_ARGUMENTS: Final = frozenset({"coalesce", "least", "greatest"})


def type_of(node: Any, types: Mapping[str, str]) -> str | None:
    """``NULL`` for a value that is always null, ``None`` where the form does not tell; ``types`` are those of names."""
    if isinstance(node, exp.Paren):
        return type_of(node.this, types)
    if isinstance(node, exp.Column):
        return types.get(node.name.lower())
    if isinstance(node, exp.Case):
        default = node.args.get("default")
        branches = [item.args["true"] for item in node.args["ifs"]]
        return _common([*branches, exp.Null() if default is None else default], types)
    if isinstance(node, exp.Anonymous):
        return _of_call(str(node.this).lower(), node.expressions, types)
    return _of_constant(node)


def _of_call(name: str, arguments: list[Any], types: Mapping[str, str]) -> str | None:
    if name in _OF_ARGUMENTS:
        return _common(arguments, types)
    if name == "nullif" and arguments:
        return type_of(arguments[0], types)
    return _OF_FUNCTION.get(name)


def _of_constant(node: Any) -> str | None:
    if isinstance(node, exp.Null):
        return NULL
    if isinstance(node, exp.Literal):
        if node.is_string:
            return "VARCHAR"
        return "INTEGER" if node.name.isdecimal() and int(node.name) <= _LARGEST_INTEGER else None
    return None


def _common(nodes: Iterable[Any], types: Mapping[str, str]) -> str | None:
    found = {type_of(node, types) for node in nodes} - {NULL}
    return found.pop() if len(found) == 1 else (None if found else NULL)
