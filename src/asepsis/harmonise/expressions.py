"""Mapping expressions: a closed subset of SQL, parsed, checked node by node and written anew for DuckDB.

Invariant: the SQL text that runs is written here from an allow-list of nodes; no part of the user's text is copied into
it except names that were looked up and literals that are quoted. Every expression is total: it runs inside ``try``.
"""

# ruff: noqa: S608 - the SQL is written here from checked names and quoted literals; no data enters it

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, ClassVar, Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from asepsis.errors.harmonise import ExpressionRefused
from asepsis.harmonise.expression_types import type_of

_LONGEST: Final = 2000
_DEEPEST: Final = 60
_DATE_FORMAT: Final = re.compile(r"^(?:%[YmdHMSjbBy]|[-/. :T])+$")
_NUMBER: Final = re.compile(r"^\d{1,18}(?:\.\d{1,18})?$")
_INTEGER_TEXT: Final = "'[+-]?[0-9]{1,18}'"
_NUMBER_TEXT: Final = r"'[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,3})?'"
_LONGEST_PAD: Final = 1000

_BINARY: Final[Mapping[type[exp.Expression], str]] = {
    exp.And: "AND",
    exp.Or: "OR",
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.DPipe: "||",
}

_PLAIN: Final[Mapping[str, tuple[int, int]]] = {
    "upper": (1, 1),
    "lower": (1, 1),
    "length": (1, 1),
    "trim": (1, 2),
    "ltrim": (1, 2),
    "rtrim": (1, 2),
    "left": (2, 2),
    "right": (2, 2),
    "substr": (2, 3),
    "replace": (3, 3),
    "starts_with": (2, 2),
    "contains": (2, 2),
    "split_part": (3, 3),
    "coalesce": (1, 16),
    "nullif": (2, 2),
    "least": (1, 16),
    "greatest": (1, 16),
    "year": (1, 1),
    "month": (1, 1),
    "day": (1, 1),
    "abs": (1, 1),
}
"""Functions written as they stand: name, fewest and most arguments."""


class Expressions:
    """Compiles the expressions of one place of a mapping: ``names`` says what an identifier stands for in SQL.

    ``lookups`` collects what must stand in columns of its own before the compiled text can use it, in order: DuckDB
    does not allow a subquery inside ``try``.
    """

    def __init__(self, names: Mapping[str, str], *, code_tables: Mapping[str, str], file: str, key: str) -> None:
        self._writer = _Writer(names, code_tables=code_tables, file=file, key=key)

    @property
    def lookups(self) -> Mapping[str, str]:
        """Columns that the compiled texts so far need, in the order in which they must be added."""
        return self._writer.lookups

    def compile(self, text: str) -> str:
        """The expression as DuckDB SQL that yields null instead of failing.

        Raises:
            ExpressionRefused: the text is not in the subset.
        """
        return f"try({self._writer.write(self._parse(text), 0)})"

    def type_of(self, text: str, types: Mapping[str, str]) -> str | None:
        """The SQL type of an expression where its form tells it (see ``expression_types``).

        Raises:
            ExpressionRefused: the text is no expression.
        """
        return type_of(self._parse(text), types)

    def _parse(self, text: str) -> Any:
        if len(text) > _LONGEST:
            raise self._writer.refuse(problem="the expression is too long")
        try:
            return _parsed(text)
        except (SqlglotError, RecursionError):
            raise self._writer.refuse(problem="it is not one SQL expression") from None


def quote_text(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''").replace("\0", "") + "'"


def enum_of(words: Iterable[str]) -> str:
    """The SQL type of texts that are one of these words; the engine keeps, sorts and writes a number for each."""
    return f"ENUM({', '.join(quote_text(word) for word in words)})"


def quote_name(name: str) -> str:
    """A SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _strict_date(text: str, form: str) -> str:
    parsed = f"try_strptime({text}, {form})"
    plausible = f"year({parsed}) BETWEEN 1800 AND 2199"
    return f"(CASE WHEN {plausible} AND strftime({parsed}, {form}) = {text} THEN {parsed}::DATE END)"


class _Writer:
    """Writes one node after the other; a node or a name that is not known is refused."""

    def __init__(self, names: Mapping[str, str], *, code_tables: Mapping[str, str], file: str, key: str) -> None:
        self.names = names
        self.code_tables = code_tables
        self.file = file
        self.key = key
        self.lookups: dict[str, str] = {}

    def write(self, node: Any, depth: int) -> str:
        if depth > _DEEPEST:
            raise self.refuse(problem="the expression is nested too deep")
        operator = _BINARY.get(type(node))
        if operator is not None:
            return f"({self.write(node.this, depth + 1)} {operator} {self.write(node.expression, depth + 1)})"
        writer = _WRITERS.get(type(node))
        if writer is None:
            raise self.refuse(problem=f"{type(node).__name__} is not allowed")
        return writer(self, node, depth + 1)

    def refuse(self, *, problem: str) -> ExpressionRefused:
        return ExpressionRefused(file=self.file, key=self.key, problem=problem)

    def column(self, node: exp.Column, _: int) -> str:
        name = node.name.lower()
        if node.table or node.args.get("db") or name not in self.names:
            raise self.refuse(problem=f"the name {name} is not known here")
        return self.names[name]

    def literal(self, node: exp.Literal, _: int) -> str:
        if node.is_string:
            return quote_text(node.name)
        if not _NUMBER.match(node.name):
            raise self.refuse(problem="a number is too large or not plain")
        return str(node.name)

    def constant(self, node: exp.Expression, _: int) -> str:
        return "NULL" if isinstance(node, exp.Null) else ("TRUE" if node.this else "FALSE")

    def unary(self, node: exp.Expression, depth: int) -> str:
        inner = self.write(node.this, depth)
        if isinstance(node, exp.Not):
            return f"(NOT {inner})"
        return f"(-{inner})" if isinstance(node, exp.Neg) else f"({inner})"

    def is_null(self, node: exp.Is, depth: int) -> str:
        if not isinstance(node.expression, exp.Null):
            raise self.refuse(problem="only IS NULL and IS NOT NULL are allowed")
        return f"({self.write(node.this, depth)} IS NULL)"

    def is_in(self, node: exp.In, depth: int) -> str:
        if node.args.get("query") or node.args.get("unnest") or node.args.get("field") or not node.expressions:
            raise self.refuse(problem="IN takes a list of values")
        values = ", ".join(self.write(value, depth) for value in node.expressions)
        return f"({self.write(node.this, depth)} IN ({values}))"

    def between(self, node: exp.Between, depth: int) -> str:
        low, high = self.write(node.args["low"], depth), self.write(node.args["high"], depth)
        return f"({self.write(node.this, depth)} BETWEEN {low} AND {high})"

    def case(self, node: exp.Case, depth: int) -> str:
        if node.this is not None:
            raise self.refuse(problem="write CASE WHEN condition THEN value")
        whens = " ".join(
            f"WHEN {self.write(item.this, depth)} THEN {self.write(item.args['true'], depth)}"
            for item in node.args["ifs"]
        )
        default = node.args.get("default")
        return f"(CASE {whens} ELSE {self.write(default, depth) if default is not None else 'NULL'} END)"

    def call(self, node: exp.Anonymous, depth: int) -> str:
        name = str(node.this).lower()
        own = _OWN.get(name)
        if own is not None:
            return own(self, node.expressions, depth)
        if name not in _PLAIN or not _PLAIN[name][0] <= len(node.expressions) <= _PLAIN[name][1]:
            raise self.refuse(problem=f"the function {name} is not allowed, or not with so many arguments")
        return f"{name}({', '.join(self.write(argument, depth) for argument in node.expressions)})"

    def lpad(self, arguments: list[Any], depth: int) -> str:
        text, size, fill = self.exactly(arguments, 3)
        count = self.text_of(size)
        if not count.isdecimal() or int(count) > _LONGEST_PAD:
            raise self.refuse(problem="lpad takes a small number as its length")
        return f"lpad({self.write(text, depth)}, {int(count)}, {self.write(fill, depth)})"

    def matches(self, arguments: list[Any], depth: int) -> str:
        text, pattern = self.exactly(arguments, 2)
        return f"regexp_full_match({self.write(text, depth)}, {self.pattern(pattern)})"

    def extract(self, arguments: list[Any], depth: int) -> str:
        text, pattern = self.exactly(arguments, 2)
        return f"nullif(regexp_extract({self.write(text, depth)}, {self.pattern(pattern)}), '')"

    def pattern(self, node: Any) -> str:
        text = self.text_of(node)
        try:
            re.compile(text)
        except (re.error, RecursionError):
            raise self.refuse(problem="the regular expression is malformed") from None
        return quote_text(text)

    def to_integer(self, arguments: list[Any], depth: int) -> str:
        (text,) = (self.write(argument, depth) for argument in self.exactly(arguments, 1))
        return f"(CASE WHEN regexp_full_match({text}, {_INTEGER_TEXT}) THEN try_cast({text} AS BIGINT) END)"

    def to_number(self, arguments: list[Any], depth: int) -> str:
        """A decimal number as it is plainly written; anything else is null, and so is one beyond all doubles."""
        (text,) = (self.write(argument, depth) for argument in self.exactly(arguments, 1))
        number = f"nullif(nullif(try_cast({text} AS DOUBLE), 'infinity'::DOUBLE), '-infinity'::DOUBLE)"
        return f"(CASE WHEN regexp_full_match({text}, {_NUMBER_TEXT}) THEN {number} END)"

    def parse_date(self, arguments: list[Any], depth: int) -> str:
        """A date that writes back to the same text: calendar-impossible dates and wrapped days are null."""
        text, form = self.exactly(arguments, 2)
        written = self.text_of(form)
        if not _DATE_FORMAT.match(written) or "%y" in written:
            raise self.refuse(problem="the date format is not known (two-digit years: date_yymmdd)")
        return _strict_date(self.write(text, depth), quote_text(written))

    def date_yymmdd(self, arguments: list[Any], depth: int) -> str:
        """Six digits, the year inside the declared hundred years that begin with the second argument."""
        text, first = self.exactly(arguments, 2)
        value, start = self.write(text, depth), self.write(first, depth)
        year = f"({start} + ((try_cast(left({value}, 2) AS INTEGER) - {start} % 100 + 100) % 100))"
        full = f"(CASE WHEN regexp_full_match({value}, '[0-9]{{6}}') THEN {year}::VARCHAR || substr({value}, 3) END)"
        return _strict_date(full, "'%Y%m%d'")

    def in_codes(self, arguments: list[Any], depth: int) -> str:
        text, name = self.exactly(arguments, 2)
        table = self.code_tables.get(self.text_of(name))
        if table is None:
            raise self.refuse(problem="in_codes names a code map that does not exist")
        value = self.write(text, depth)
        column = f"{self.file}:{self.key}~in{len(self.lookups)}"
        self.lookups[column] = f"try({value}) IN (SELECT source_code FROM {table})"
        return quote_name(column)

    def exactly(self, arguments: list[Any], count: int) -> list[Any]:
        if len(arguments) != count:
            raise self.refuse(problem="a function has the wrong number of arguments")
        return arguments

    def text_of(self, node: Any) -> str:
        if not isinstance(node, exp.Literal):
            raise self.refuse(problem="a literal is expected here")
        return str(node.name)


class _Parser(sqlglot.Parser):
    """Functions stay what the user wrote: a call by name, nothing else."""

    FUNCTIONS: ClassVar[dict[str, Any]] = {}
    FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {}
    NO_PAREN_FUNCTIONS: ClassVar[dict[Any, Any]] = {}


class _Dialect(sqlglot.Dialect):
    """Standard SQL with no function known to the parser."""

    Parser = _Parser


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Any:
    """The tree of an expression, which is only read; a plan asks for each one several times."""
    return sqlglot.parse_one(text, dialect=_Dialect)


_Writing = Callable[[_Writer, Any, int], str]

_WRITERS: Final[Mapping[type[exp.Expression], _Writing]] = {
    exp.Column: _Writer.column,
    exp.Literal: _Writer.literal,
    exp.Null: _Writer.constant,
    exp.Boolean: _Writer.constant,
    exp.Paren: _Writer.unary,
    exp.Not: _Writer.unary,
    exp.Neg: _Writer.unary,
    exp.Is: _Writer.is_null,
    exp.In: _Writer.is_in,
    exp.Between: _Writer.between,
    exp.Case: _Writer.case,
    exp.Anonymous: _Writer.call,
}

_OWN: Final[Mapping[str, Callable[[_Writer, list[Any], int], str]]] = {
    "lpad": _Writer.lpad,
    "matches": _Writer.matches,
    "extract_text": _Writer.extract,
    "to_integer": _Writer.to_integer,
    "to_number": _Writer.to_number,
    "parse_date": _Writer.parse_date,
    "date_yymmdd": _Writer.date_yymmdd,
    "in_codes": _Writer.in_codes,
}
