"""Rehearsals: what an owner sees before signing is what the rules would do."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import shake_256
from pathlib import Path

import duckdb
import pytest

from asepsis.bootstrap.rehearsing import rehearsal
from asepsis.disclosure.dp.noise import Bits
from asepsis.domain.contract import Contract
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.keydesk import PublicKeys
from asepsis.domain.names import Digest, PartyId
from asepsis.domain.privacy import NOTHING, Account, Loss, Privacy, Purchase
from asepsis.domain.snapshot import Label
from asepsis.errors.contract import DocumentMalformed
from asepsis.errors.engine import EngineFolderError
from asepsis.services.drafting import Enrolled, Terms, draft_contract
from asepsis.services.rehearsal import Noise, read_steps

CANARY = "kanarienvogel"
ROLES = ("host", "owner", "researcher")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Sixty persons: forty women, twenty men, four with condition 7; one table as CSV, one as Parquet."""
    folder = tmp_path / "data"
    folder.mkdir()
    connection = duckdb.connect()
    connection.execute(
        "COPY (SELECT i AS person_id, CASE WHEN i < 40 THEN 8532 ELSE 8507 END AS gender_concept_id, "
        f"1950 + i % 30 AS year_of_birth, '{CANARY}' AS person_source_value FROM range(60) r(i)) "
        f"TO '{folder / 'person.csv'}' (HEADER)"
    )
    connection.execute(
        "COPY (SELECT i AS person_id, CASE WHEN i < 4 THEN 7 ELSE 9 END AS condition_concept_id, "
        f"DATE '2010-01-01' AS condition_start_date FROM range(60) r(i)) "
        f"TO '{folder / 'condition_occurrence.parquet'}' (FORMAT parquet)"
    )
    return folder


def rehearse(data: Path, *steps: dict[str, object], profile: str = "strict-10") -> list[dict[str, object]]:
    with rehearsal(data, contract=None, profile=profile) as prepared:
        return list(prepared.run(read_steps(list(steps))))


def test_every_step_gets_one_answer_in_order(data: Path) -> None:
    answers = rehearse(
        data,
        {"sql": "SELECT gender_concept_id, count(*) AS n FROM person GROUP BY gender_concept_id ORDER BY n"},
        {"sql": "SELECT person_id FROM person", "as": "mallory"},
    )
    assert [answer["step"] for answer in answers] == [1, 2]
    assert (answers[0]["status"], answers[0]["rows"]) == ("released", [[8507, 20], [8532, 40]])
    assert (answers[1]["status"], answers[1]["rows"]) == ("refused", [])


def test_a_small_group_and_no_group_look_the_same(data: Path) -> None:
    counting = "SELECT count(DISTINCT person_id) AS n FROM condition_occurrence WHERE condition_concept_id = "
    small, none = rehearse(data, {"sql": counting + "7"}, {"sql": counting + "8"})
    assert small["status"] == "suppressed"
    assert {**small, "step": 0} == {**none, "step": 0}


def test_the_same_question_in_other_words_gets_the_same_answer(data: Path) -> None:
    first, second = rehearse(
        data,
        {"sql": "SELECT count(*) AS n FROM person WHERE gender_concept_id = 8532 AND year_of_birth > 1950"},
        {"sql": "SELECT count(*) AS n FROM person p WHERE p.year_of_birth > 1950 AND 8532 = p.gender_concept_id"},
    )
    assert {**first, "step": 0} == {**second, "step": 0}


def test_source_values_cannot_be_named(data: Path) -> None:
    (answer,) = rehearse(data, {"sql": f"SELECT count(*) FROM person WHERE person_source_value = '{CANARY}'"})
    assert answer["status"] == "refused"
    assert CANARY not in str(answer)


def test_a_question_that_differs_from_an_earlier_one_by_few_persons_is_held_back(data: Path) -> None:
    """Guard: the memory of releases; all sixty persons, then all but the four with condition 7."""
    everybody = "SELECT count(DISTINCT person_id) AS n FROM condition_occurrence"
    released, held = rehearse(data, {"sql": everybody}, {"sql": everybody + " WHERE condition_concept_id = 9"})
    assert (released["status"], released["rows"]) == ("released", [[60]])
    assert (held["status"], held["rows"]) == ("suppressed", [])
    (alone,) = rehearse(data, {"sql": everybody + " WHERE condition_concept_id = 9"})
    assert (alone["status"], alone["rows"]) == ("released", [[55]])


def test_a_method_without_its_tables_is_refused_in_words(data: Path) -> None:
    (answer,) = rehearse(data, {"method": "kaplan_meier", "args": {"condition_concept_ids": 9}})
    assert (answer["status"], answer["code"]) == ("refused", "method.table")


@pytest.mark.parametrize(
    "steps",
    [{"sql": "SELECT 1"}, [{"sql": "SELECT 1", "method": "x"}], [{}], [{"sql": "SELECT 1", "speed": 3}], ["SELECT 1"]],
    ids=["no_list", "both", "neither", "unknown_key", "text"],
)
def test_the_list_of_steps_has_a_closed_schema(steps: object) -> None:
    with pytest.raises(DocumentMalformed):
        read_steps(steps)


def test_a_folder_without_tables_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(EngineFolderError), rehearsal(tmp_path, contract=None, profile="strict-10"):
        pass


PRICE = Purchase(micro_rho=500_000, most=64)


def with_noise(
    data: Path,
    *steps: dict[str, object],
    questions: int = 2,
    rho: float = 10,
    seed: str = "",
    price: Purchase | None = PRICE,
) -> list[dict[str, object]]:
    """Rehearse under a clause ``dp`` that pays for some questions; ``seed`` fixes the noise."""
    clause = Privacy(
        budget=Loss(micro_rho=int(rho * 1_000_000) * questions + PRICE.micro_rho, pico_delta=1_000_000),
        question=Loss(micro_rho=int(rho * 1_000_000), pico_delta=1_000),
        records=4,
        cells=4,
        domains={("person", "gender_concept_id"): (8507, 8532, 8551)},
        purchase=price,
    )
    count = iter(range(10**9))
    with rehearsal(data, contract=None, profile="strict-10") as prepared:
        account = Account(dataset="rehearsal", limit=clause.budget, spent=NOTHING)
        source = lambda size: shake_256(f"{seed}{next(count)}".encode()).digest(size)  # noqa: E731 - three words
        prepared.noise = Noise(privacy=clause, bits=Bits(source), account=account)
        return list(prepared.run(read_steps(list(steps))))


BY_SEX = {"sql": "SELECT gender_concept_id, count(*) AS n FROM person GROUP BY gender_concept_id"}
BY_CONDITION = {
    "sql": "SELECT condition_concept_id, count(DISTINCT person_id) AS n FROM condition_occurrence GROUP BY 1"
}


def test_a_rehearsal_with_noise_says_what_it_costs_and_what_is_left(data: Path) -> None:
    (answer,) = with_noise(data, BY_SEX)
    assert answer["status"] == "released"
    assert [row[0] for row in answer["rows"]] == [8507, 8532, 8551]  # type: ignore[attr-defined]
    assert answer["within"] == [[None, 0.4383]] * 3  # 1.96 deviations of sqrt(1 / (2 * 10))
    codes = [finding["code"] for finding in answer["findings"]]  # type: ignore[attr-defined]
    assert codes == ["privacy.cost", "privacy.error", "privacy.remaining"]


def test_fresh_noise_differs_and_equal_questions_do_not(data: Path) -> None:
    again = {"sql": "SELECT p.gender_concept_id, count(p.person_id) AS n FROM person p GROUP BY 1"}
    runs = [with_noise(data, BY_SEX, again, again, questions=1, rho=0.02, seed=str(number)) for number in range(4)]
    assert all(run[0]["rows"] == run[1]["rows"] == run[2]["rows"] for run in runs)
    assert len({str(run[0]["rows"]) for run in runs}) > 1


def test_nothing_is_answered_beyond_the_budget(data: Path) -> None:
    first, second, third = with_noise(data, BY_SEX, BY_CONDITION, {"sql": "SELECT count(*) AS n FROM person"})
    assert [first["status"], second["status"]] == ["released", "released"]
    assert (third["status"], third["code"], third["rows"]) == ("error", "desk.privacy_exhausted", [])


def test_a_group_of_four_without_a_public_name_is_left_out(data: Path) -> None:
    (answer,) = with_noise(data, BY_CONDITION)
    assert [row[0] for row in answer["rows"]] == [9]  # type: ignore[attr-defined]


def test_bounds_are_bought_where_the_step_says_so(data: Path) -> None:
    listed = {"sql": "SELECT count(*) AS n FROM condition_occurrence"}
    plain, bought, again = with_noise(data, listed, {**listed, "buy_bounds": True}, {**listed, "buy_bounds": True})
    codes = [finding["code"] for finding in bought["findings"]]  # type: ignore[attr-defined]
    assert codes == ["privacy.cost", "privacy.error", "privacy.bounds", "privacy.remaining"]
    word = bought["findings"][2]["reason"]  # type: ignore[index]
    assert word.startswith("Bought:")
    assert "records" in word
    left = [answer["findings"][-1]["reason"] for answer in (plain, bought)]  # type: ignore[index]
    assert [word.split(".")[:2] for word in left] == [
        ["Left of rho: rehearsal 10", "500000"],
        ["Left of rho: rehearsal 0", "000000"],
    ]
    assert all("All answers together so far are (" in word for word in left)
    assert again["rows"] == bought["rows"]


def test_bounds_are_bought_only_where_they_are_for_sale_and_of_use(data: Path) -> None:
    dear, settled = {**BY_CONDITION, "buy_bounds": True}, {**BY_SEX, "buy_bounds": True}
    refused, useless = with_noise(data, dear, price=None)[0], with_noise(data, settled)[0]
    assert (refused["code"], useless["code"]) == ("sql.dp_unsold", "sql.dp_nothing_sold")


def test_what_noise_cannot_answer_is_refused_and_costs_nothing(data: Path) -> None:
    spread = {"sql": "SELECT avg(year_of_birth) AS y FROM person"}
    refused, released = with_noise(data, spread, BY_SEX, questions=1)
    assert refused["status"] == "refused"
    assert refused["code"] in {"sql.dp_bound", "sql.column_not_usable"}
    assert released["status"] == "released"


def test_a_curve_and_a_count_of_nearly_its_persons_are_not_both_shown(data: Path) -> None:
    """Guard: the persons of a method in the memory: of sixty, all but the four with condition 7."""
    with duckdb.connect() as connection:
        for table, column, rows in (
            ("death", "death_date", 0),
            ("observation_period", "observation_period_end_date", 60),
        ):
            connection.execute(
                f"COPY (SELECT i AS person_id, DATE '2019-01-01' AS {column} FROM range({rows}) r(i)) "
                f"TO '{data / table}.parquet' (FORMAT parquet)"
            )
    counting = "SELECT count(DISTINCT person_id) AS n FROM condition_occurrence WHERE condition_concept_id"
    curve = {"method": "kaplan_meier", "args": {"condition_concept_ids": [9], "step_days": 364}}
    everybody = {"sql": f"{counting} IN (7, 9)"}
    assert [one["status"] for one in rehearse(data, curve, everybody)] == ["released", "suppressed"]
    assert [one["status"] for one in rehearse(data, everybody, curve)] == ["released", "suppressed"]
    assert [one["status"] for one in rehearse(data, curve, {"sql": f"{counting} = 9"})] == ["released", "released"]


def test_a_rehearsal_counts_against_the_quotas_of_the_contract(data: Path) -> None:
    """Guard: ``quotas`` of a contract in ``bootstrap.rehearsal``."""
    counting = "SELECT count(DISTINCT person_id) AS n FROM condition_occurrence WHERE condition_concept_id = "
    steps = read_steps([{"sql": counting + "9"}, {"sql": counting + "7"}, {"sql": counting + "9"}])
    with rehearsal(data, contract=contract(variants_of_one=1), profile="strict-10") as prepared:
        answers = list(prepared.run(steps))
    assert [(one["status"], one["code"]) for one in answers] == [
        ("released", ""),
        ("suppressed", "disclosure.quota"),
        ("released", ""),
    ]


def contract(**quotas: int) -> Contract:
    """A contract of one hospital and one laboratory, with these quotas."""
    terms = Terms(
        name="trial",
        title="A trial",
        purpose="Count",
        legal_basis="None needed",
        label=Label.SYNTHETIC,
        valid_from=datetime(2026, 5, 4, tzinfo=UTC),
        valid_days=30,
        researchers=frozenset({PartyId("researcher")}),
        teams={},
    )
    keys = {PartyId(name): PublicKeys(signing=name[:1].encode() * 32, sealing=b"s" * 32) for name in ROLES}
    enrolled = Enrolled(host=PartyId("host"), owners=frozenset({PartyId("owner")}), keys=keys, origin="asepsis.local/t")
    document = draft_contract(terms, enrolled, datasets={}, measurement=Digest("ab" * 32))
    return read_contract({**document, "disclosure": {"profile": "strict-10", "quotas": quotas}})
