"""Texts of few values are carried as words, and what is the same for many rows is one: the tables are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import duckdb
import pyarrow.parquet as pq
import pytest

from asepsis.engines.harmonise import HarmonisedRun, split
from asepsis.harmonise.mapping import Mapping
from asepsis.harmonise.query import Node, Query
from asepsis.harmonise.settling import MOST_WORDS, Settling


@pytest.fixture(name="engine")
def engine_in_memory() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def settling(texts: tuple[str, ...]) -> Settling:
    """Records that look a text up in the values of one field."""
    query = Query("SELECT * FROM records")
    query.put("s=text", Node('t."s=text"', "known", "value", '"f.code"', "IS NOT DISTINCT FROM"))
    values = {"known": 'SELECT DISTINCT "f.code" AS value, "f.code" AS "s=text" FROM records'}
    return Settling(query=query, values=values, types={"s=text": "VARCHAR"}, texts=texts, part='"part"')


def settled(engine: duckdb.DuckDBPyConnection, how: Settling) -> tuple[str, list[str | None]]:
    """The type of the text and the texts of all records, once their values were looked up and counted."""
    for statement in how.look_up():
        engine.execute(statement)
    few = [table for table, question in how.has_few().items() if engine.execute(question).fetchall()[0][0]]
    for statement in how.settle(few):
        engine.execute(statement)
    (kind,) = {row[0] for row in engine.execute('SELECT DISTINCT typeof("s=text") FROM part').fetchall()}
    return kind, [row[0] for row in engine.execute('SELECT "s=text" FROM part ORDER BY "s=text"').fetchall()]


def test_a_text_of_few_values_becomes_words_in_the_order_of_texts(engine: duckdb.DuckDBPyConnection) -> None:
    engine.execute("CREATE TABLE records AS SELECT unnest(['z', NULL, '', 'b''c', 'z', 'ä']) AS \"f.code\"")
    kind, texts = settled(engine, settling(("s=text",)))
    assert kind.startswith("ENUM")
    assert texts == ["", "b'c", "z", "z", "ä", None]


def test_a_text_that_may_not_be_a_word_stays_a_text(engine: duckdb.DuckDBPyConnection) -> None:
    engine.execute("CREATE TABLE records AS SELECT 'z' AS \"f.code\"")
    assert settled(engine, settling(())) == ("VARCHAR", ["z"])


@pytest.mark.parametrize(("values", "is_word"), [(MOST_WORDS, True), (MOST_WORDS + 1, False)])
def test_a_text_of_many_values_stays_a_text(engine: duckdb.DuckDBPyConnection, values: int, *, is_word: bool) -> None:
    engine.execute(f'CREATE TABLE records AS SELECT i::VARCHAR AS "f.code" FROM range({values}) r(i)')
    kind, texts = settled(engine, settling(("s=text",)))
    assert (kind != "VARCHAR") is is_word
    assert len(texts) == len(set(texts)) == values


def test_the_files_of_a_source_with_many_files_are_texts_in_provenance_and_the_same(
    riverside: Mapping,
    riverside_run: HarmonisedRun,
    sources: dict[str, dict[str, bytes]],
    run: Callable[..., HarmonisedRun],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(split, "_MOST_WORDS", 0)
    again = run(riverside, sources["riverside"], "r")
    assert pq.read_table(again.provenance).to_pylist() == pq.read_table(riverside_run.provenance).to_pylist()
