from __future__ import annotations

from datetime import date
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.errors.harmonise import ExpressionRefused
from asepsis.harmonise.expressions import Expressions

NAMES = {"a": '"f.a"', "b": '"f.b"', "first": "1925", "today": "DATE '2012-12-31'"}
SHARED_CONNECTION = duckdb.connect()


def compiled(text: str) -> str:
    return Expressions(NAMES, code_tables={"c": '"codes_c"'}, file="tables/t.yaml", key="let.x").compile(text)


@pytest.fixture(scope="module")
def connection() -> Any:
    return SHARED_CONNECTION


def value(connection: Any, text: str, a: str | None = None, b: str | None = None) -> Any:
    sql = f'SELECT {compiled(text)} FROM (SELECT ?::VARCHAR AS "f.a", ?::VARCHAR AS "f.b")'
    return connection.execute(sql, [a, b]).fetchone()[0]


@pytest.mark.parametrize(
    ("text", "a", "expected"),
    [
        ("trim(a)", " x ", "x"),
        ("lpad(a, 8, '0')", "12", "00000012"),
        ("case when a = 'M' then 8507 else 0 end", "M", 8507),
        ("a in ('x', 'y') and not a is null", "x", True),
        ("a not in ('x')", "x", False),
        ("matches(a, '[0-9]{8}')", "12345678", True),
        ("extract_text(a, '[^/]+$')", "Patient/p1", "p1"),
        ("parse_date(a, '%Y%m%d')", "20010228", date(2001, 2, 28)),
        ("parse_date(a, '%Y%m%d')", "20010231", None),
        ("parse_date(a, '%Y%m%d')", "00000000", None),
        ("parse_date(a, '%Y%m%d')", " 2001022", None),
        ("parse_date(a, '%Y%j')", "2011366", None),
        ("parse_date(a, '%Y%j')", "2012366", date(2012, 12, 31)),
        ("date_yymmdd(a, first)", "241231", date(2024, 12, 31)),
        ("date_yymmdd(a, first)", "250101", date(1925, 1, 1)),
        ("date_yymmdd(a, first)", "000000", None),
        ("date_yymmdd(a, first)", "010229", None),
        ("to_integer(a)", "1e3", None),
        ("to_integer(a) * 922337203685477580", "99", None),
        ("to_integer(a) between 1 and 5", "3", True),
        ("year(parse_date(a, '%Y-%m-%d'))", "1999-01-02", 1999),
        ("a || 'x'", "it's", "it'sx"),
        ("a = 1", "not a number", None),
    ],
)
def test_an_allowed_expression_means_what_it_says(connection: Any, text: str, a: str, expected: object) -> None:
    assert value(connection, text, a) == expected


@pytest.mark.parametrize(
    "text",
    [
        "read_text('/etc/passwd')",
        "read_csv('x')",
        "getenv('HOME')",
        "query('select 1')",
        "(select 1)",
        "a in (select 1)",
        "exists(select 1)",
        "unknown_name",
        "t.a",
        "a; drop table persons",
        "select 1",
        "a::date",
        "cast(a as date)",
        "*",
        "columns('.*')",
        "a -> 'x'",
        "current_setting('x')",
        "error(a)",
        "lpad(a, 99999999, 'x')",
        "lpad(a, b, 'x')",
        "matches(a, b)",
        "matches(a, '(')",
        "parse_date(a, '%y%m%d')",
        "parse_date(a, 'x''); --')",
        "in_codes(a, 'nothing')",
        "trim(a, b, a)",
        "$1",
        "?",
        "a + interval '1 day'",
        "case a when 1 then 2 end",
        "random()",
        "now()",
        "sum(a)",
        "row_number() over ()",
        "",
        "((((",
        "1" * 40,
        "trim(a" + " || a" * 900 + ")",
        "not " * 200 + "a",
    ],
)
def test_everything_else_is_refused_with_file_and_key(text: str) -> None:
    with pytest.raises(ExpressionRefused) as refusal:
        compiled(text)
    assert refusal.value.names["file"] == "tables/t.yaml"
    assert refusal.value.names["key"] == "let.x"


@given(st.text(max_size=40))
def test_any_text_is_compiled_or_refused_and_never_raises_otherwise(text: str) -> None:
    try:
        sql = compiled(text)
    except ExpressionRefused:
        return
    assert sql.startswith("try(")


@settings(max_examples=25)
@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12)), min_size=1, max_size=50))
def test_no_value_makes_a_compiled_expression_fail(rows: list[tuple[str, str]]) -> None:
    texts = (
        "date_yymmdd(a, first)",
        "parse_date(a, '%Y-%m-%d') <= today",
        "to_integer(a) + to_integer(b) * 922337203685477580",
        "a = 1 or to_integer(b) > 2.5",
        "substr(a, to_integer(b))",
        "replace(a, b, a)",
    )
    sql = ", ".join(f"list({compiled(text)})" for text in texts)
    source = 'SELECT unnest(?::VARCHAR[]) AS "f.a", unnest(?::VARCHAR[]) AS "f.b"'
    columns = [[row[0] for row in rows], [row[1] for row in rows]]
    assert SHARED_CONNECTION.execute(f"SELECT {sql} FROM ({source})", columns).fetchone()


def test_a_literal_with_quotes_stays_a_literal(connection: Any) -> None:
    assert value(connection, "replace(a, 'x', ''' || version() || ''')", "x") == "' || version() || '"
