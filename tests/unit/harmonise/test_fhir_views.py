"""The official tests of SQL on FHIR v2, run through the compiler and DuckDB."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from asepsis.errors.harmonise import ViewRefused
from asepsis.harmonise.views.compile import PRELUDE, compile_view


def run(view: Any, resources: list[Any]) -> list[dict[str, Any]]:
    connection = duckdb.connect()
    for macro in PRELUDE:
        connection.execute(macro)
    connection.execute("CREATE TABLE resources (resource VARCHAR)")
    connection.executemany("INSERT INTO resources VALUES (?)", [[json.dumps(item)] for item in resources])
    cursor = connection.execute(compile_view(view, table="resources").sql)
    names = [item[0] for item in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def passes(test: dict[str, Any], resources: list[Any]) -> bool:
    try:
        found = run(test["view"], resources)
    except (ViewRefused, duckdb.Error):
        return bool(test.get("expectError"))
    if test.get("expectError"):
        return False
    columns = test.get("expectColumns")
    same_columns = columns is None or not found or list(found[0]) == columns
    wanted = [json.dumps({key: plain(value) for key, value in row.items()}, sort_keys=True) for row in test["expect"]]
    shown = [json.dumps({key: plain(value) for key, value in row.items()}, sort_keys=True) for row in found]
    return same_columns and sorted(wanted) == sorted(shown)


def plain(value: Any) -> Any:
    return float(value) if type(value) in (int, float) else value


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.long)])
def test_all_official_tests_pass(every: int, shared: Path) -> None:
    failed, total = [], 0
    for path in sorted((shared / "sql_on_fhir_tests").glob("*.json")):
        suite = json.loads(path.read_text(encoding="utf-8"))
        for test in suite["tests"]:
            total += 1
            if total % every == 0 and not passes(test, suite["resources"]):
                failed.append(f"{path.stem}: {test['title']}")
    print(f"SQL on FHIR v2: {total // every - len(failed)} of {total // every} official tests")  # noqa: T201 - the result
    assert total == 134
    assert failed == []


PATIENT = {"resourceType": "Patient", "id": "p", "name": [{"family": "A"}, {"family": "B"}]}


def test_a_column_with_several_values_fails_and_a_collection_keeps_them() -> None:
    column = {"name": "family", "path": "name.family"}
    view = {"resource": "Patient", "select": [{"column": [column]}]}
    with pytest.raises(duckdb.Error):
        run(view, [PATIENT])
    column["collection"] = True  # type: ignore[assignment]
    assert run(view, [PATIENT]) == [{"family": ["A", "B"]}]


@pytest.mark.parametrize("path", ["", "name.", "a b", "name.foo()", "%x", "name[", "1 +", "'open", "@", "(" * 60 + "a"])
def test_what_is_no_path_of_the_subset_is_refused(path: str) -> None:
    with pytest.raises(ViewRefused):
        compile_view({"resource": "Patient", "select": [{"column": [{"name": "a", "path": path}]}]}, table="t")


def test_a_tree_beyond_the_limit_fails_instead_of_losing_its_leaves() -> None:
    item: dict[str, Any] = {"linkId": "end"}
    for number in range(20):
        item = {"linkId": str(number), "item": [item]}
    select = [{"repeat": ["item"], "column": [{"name": "link", "path": "linkId"}]}]
    with pytest.raises(duckdb.Error):
        run({"resource": "Q", "select": select}, [{"resourceType": "Q", "item": [item]}])
