# ruff: noqa: E501 - statements read better on one line
"""No stored value, no literal of a protected column and no word of the engine in what a question that fails says.

Every way to make an engine speak is asked for, as a researcher would, through the whole way of a question; then the
engine itself is made to fail under accepted questions. Searched are the answers, the errors, the logs and both streams.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1]))

from asepsis.cli.main import app
from asepsis.disclosure.memory import Memory
from asepsis.disclosure.profiles import profile_named
from asepsis.services.rehearsal import Rehearsal, Step
from asepsis.sql import plan_query
from asepsis.sql.duckdb import Generated
from attack_runner import Deployment, Rooms
from attack_worlds import CATALOGUE, TARGET, write_worlds

pytestmark = pytest.mark.xdist_group("disclosure_suite")

STORED = "qzxjvkcanary"
GUESSED = "guessedliteral"
ENGINE = (
    "Error:",
    "Binder",
    "Catalog",
    "Parser",
    "Conversion",
    "Out of Range",
    "Candidate",
    "LINE 1",
    "duckdb",
    "sqlglot",
)

SPEAKING = (
    "SELECT error(condition_source_value) FROM condition_occurrence",
    "SELECT count(*) FROM condition_occurrence WHERE error(condition_source_value) IS NULL",
    "SELECT count(*) FROM condition_occurrence WHERE CASE WHEN condition_concept_id = 439727 THEN error('guessedliteral') ELSE TRUE END",
    "SELECT sum(CAST(condition_source_value AS INTEGER)) FROM condition_occurrence",
    "SELECT count(*) FROM person WHERE CAST(race_source_value AS DATE) > DATE '2000-01-01'",
    "SELECT count(*) FROM condition_occurrence WHERE condition_source_value::INTEGER = 1",
    "SELECT count(*) FROM condition_occurrence WHERE TRY_CAST(condition_source_value AS DOUBLE) > 0",
    "SELECT sum(CAST(9223372036854775807 AS BIGINT) + person_id) FROM person",
    "SELECT count(*) FROM person WHERE year_of_birth * 9223372036854775807 > 0",
    "SELECT count(*) FROM person WHERE year_of_birth = 99999999999999999999999999",
    "SELECT json_extract(condition_source_value, '$.guessedliteral') FROM condition_occurrence",
    "SELECT count(*) FROM condition_occurrence WHERE condition_source_value::JSON IS NOT NULL",
    "SELECT count(*) FROM condition_occurrence WHERE strptime(condition_source_value, '%Y') > DATE '2000-01-01'",
    "SELECT date_trunc(condition_source_value, condition_start_date) AS d, count(*) FROM condition_occurrence GROUP BY 1",
    "SELECT count(*) FROM condition_occurrence WHERE condition_start_date > 'guessedliteral'",
    "SELECT count(*) FROM condition_occurrence WHERE condition_start_date + INTERVAL '999999999' YEAR > DATE '2000-01-01'",
    "SELECT count(*) FROM condition_occurrence WHERE regexp_matches(condition_source_value, '(guessedliteral')",
    "SELECT count(*) FROM condition_occurrence WHERE condition_source_value SIMILAR TO '[guessedliteral'",
    "SELECT count(*) FROM condition_occurrence WHERE condition_source_value = 'guessedliteral'",
    "SELECT count(*) FROM condition_occurrence WHERE condition_concept_id = 'guessedliteral'",
    "SELECT count(*) FROM condition_occurrence WHERE condition_source_value IN (SELECT race_source_value FROM person)",
    "SELECT (SELECT race_source_value FROM person) AS x, count(*) FROM person",
    "SELECT count(*) FROM person WHERE race_source_value = (SELECT race_source_value FROM person WHERE location_id = 77)",
    "SELECT count(*) FROM person WHERE person_id = 4242",
    "SELECT array_extract([1], person_id) FROM person",
    "SELECT guessedliteral FROM person",
    "SELECT count(*) FROM guessedliteral",
    "SELECT count(*) FROM person WHERE location_id = $guessedliteral",
    "SELECT guessedliteral(year_of_birth) FROM person",
    "SELECT 'guessedliteral",
    "guessedliteral",
    "SELECT count(*) FROM person p JOIN concept c ON c.concept_name = p.race_source_value",
    "SELECT count(*) FROM person WHERE location_id IN (SELECT concept_id FROM concept WHERE concept_name = race_source_value)",
    "SELECT string_agg(race_source_value, 'guessedliteral') FROM person",
    "SELECT printf(race_source_value) FROM person",
)  # fmt: skip
ACCEPTED = (
    "SELECT gender_concept_id, count(*) AS n FROM person GROUP BY 1",
    "SELECT median(value_as_number) AS m FROM measurement",
    "SELECT count(*) AS n FROM person WHERE year_of_birth >= 1950 AND NOT EXISTS (SELECT 1 FROM condition_occurrence c WHERE c.person_id = person.person_id)",
)


@pytest.fixture(scope="module")
def canary_rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    """A small world whose source values all hold the canary."""
    folder = tmp_path_factory.mktemp("canary")
    folders = write_worlds(folder, persons=5_000)
    with duckdb.connect() as connection:
        for table, column in (("person", "race_source_value"), ("condition_occurrence", "condition_source_value")):
            path = folders["A"] / f"{table}.parquet"
            connection.execute(
                f"CREATE TABLE {table} AS SELECT * REPLACE ('{STORED}' || {column} AS {column}) FROM '{path}'"
            )
            connection.execute(f"COPY {table} TO '{path}' (FORMAT parquet)")
    rooms = Rooms(folder=folder, folders=folders)
    yield rooms
    rooms.close()


def silent(said: str, text: str = "") -> None:
    """Nothing of the data, of a literal, or of an engine; ``text`` is what the author wrote and may be told again."""
    for word in (STORED, GUESSED, str(TARGET), *ENGINE):
        assert word not in said.replace(text, ""), word


@pytest.mark.parametrize("text", SPEAKING)
def test_a_question_that_would_make_the_engine_speak_is_refused_in_fixed_words(
    text: str, canary_rooms: Rooms, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    (answer,) = Deployment(rooms=canary_rooms, world="A").rehearsal().run((Step(sql=text, arguments={}, author="m"),))
    assert answer["status"] == "refused"
    rewrite = answer.pop("rewrite", "")
    assert STORED not in str(rewrite)
    silent(json.dumps(answer, default=str))
    silent(caplog.text + "".join(capfd.readouterr()))


def test_what_an_owner_would_read_at_the_command_line_is_as_silent(canary_rooms: Rooms, tmp_path: Path) -> None:
    steps = tmp_path / "steps.yaml"
    steps.write_text(json.dumps([{"sql": text} for text in SPEAKING if "$" not in text]))
    done = CliRunner().invoke(app, ["rehearse", "--data", str(canary_rooms.paths()["A"]), "--steps", str(steps)])
    assert done.exit_code == 0
    for line in done.output.splitlines():
        answer = json.loads(line)
        answer.pop("rewrite", None)
        silent(json.dumps(answer))


FAILING = {
    "error": "SELECT error('" + STORED + "')",
    "cast": "SELECT CAST('" + STORED + "' AS INTEGER)",
    "overflow": "SELECT CAST(9223372036854775807 AS BIGINT) + 4242",
    "json": "SELECT CAST('{" + STORED + "' AS JSON)",
    "date": "SELECT strptime('" + STORED + "', '%Y')",
    "regex": "SELECT regexp_matches('a', '(" + STORED + "')",
    "subquery": "SELECT (SELECT * FROM (VALUES ('" + STORED + "'), ('b')) t)",
    "binder": "SELECT " + STORED,
}


@pytest.mark.parametrize("failure", FAILING)
@pytest.mark.parametrize("text", ACCEPTED)
def test_an_engine_that_fails_under_an_accepted_question_says_one_code(
    text: str, failure: str, canary_rooms: Rooms, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Guard: ``engine.guard``. The generated statement is replaced by one that raises inside DuckDB."""
    caplog.set_level(logging.DEBUG)
    broken = Generated(text=FAILING[failure], parameters={})
    for name in ("cells_sql", "effects_sql", "quantile_sql"):
        monkeypatch.setattr(f"asepsis.engines.query.room.{name}", lambda *_given, **_named: broken)
    rehearsal = Rehearsal(
        room=canary_rooms.room("A"), catalogue=CATALOGUE, profile=profile_named("strict-10"), memory=Memory(key=bytes(32))
    )  # fmt: skip
    assert plan_query(text, CATALOGUE).plan is not None
    (answer,) = rehearsal.run((Step(sql=text, arguments={}, author="mallory"),))
    assert (answer["status"], answer["rows"], answer["findings"]) == ("error", [], [])
    assert str(answer["code"]).startswith("engine.")
    silent(json.dumps(answer) + caplog.text + "".join(capfd.readouterr()))
    assert rehearsal.memory.answers == ()
