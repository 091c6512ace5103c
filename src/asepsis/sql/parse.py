"""From text to a syntax tree, inside limits. Nothing of the parser's messages is passed on: they quote the text."""

from __future__ import annotations

import logging
from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from asepsis.sql.refusals import RefusedError

LONGEST_TEXT: Final = 50_000
MOST_TOKENS: Final = 8_000
DEEPEST_NESTING: Final = 30
DIALECT: Final = "duckdb"

# The parser logs statements that it does not know, with their literals.
logging.getLogger("sqlglot").disabled = True

_DEEPENING: Final = frozenset({TokenType.L_PAREN, TokenType.CASE, TokenType.NOT, TokenType.DASH, TokenType.L_BRACKET})
_CLOSING: Final = frozenset({TokenType.R_PAREN, TokenType.END, TokenType.R_BRACKET})
_LONGEST_PREFIX_RUN: Final = 10


def parse(text: str) -> exp.Query:
    """Parse one SELECT (or UNION) within the limits. Raises RefusedError."""
    if len(text) > LONGEST_TEXT:
        raise RefusedError("sql.too_long")
    try:
        tokens = list(sqlglot.tokenize(text, dialect=DIALECT))
        _check_size(tokens)
        statements = [statement for statement in sqlglot.parse(text, dialect=DIALECT) if statement is not None]
    except (SqlglotError, RecursionError, ValueError):
        raise RefusedError("sql.syntax") from None
    if not statements:
        raise RefusedError("sql.empty")
    if len(statements) > 1:
        raise RefusedError("sql.one_statement")
    statement = statements[0]
    while isinstance(statement, exp.Subquery) and statement.is_wrapper:
        statement = statement.this
    if not isinstance(statement, exp.Select | exp.SetOperation):
        raise RefusedError("sql.not_a_select")
    return statement


def _check_size(tokens: list[Token]) -> None:
    if len(tokens) > MOST_TOKENS:
        raise RefusedError("sql.too_long")
    depth = deepest = run = longest = 0
    for token in tokens:
        if token.token_type in _DEEPENING and token.token_type not in {TokenType.NOT, TokenType.DASH}:
            depth += 1
        elif token.token_type in _CLOSING:
            depth -= 1
        run = run + 1 if token.token_type in {TokenType.NOT, TokenType.DASH} else 0
        deepest, longest = max(deepest, depth), max(longest, run)
    if deepest > DEEPEST_NESTING or longest > _LONGEST_PREFIX_RUN:
        raise RefusedError("sql.too_deep")
