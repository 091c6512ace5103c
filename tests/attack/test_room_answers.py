"""What an answer tells: nothing of a small group, nothing of one person, and nothing of whether a group exists."""

from __future__ import annotations

import json
import re

import pytest

from asepsis.cli.story.inspection import held
from simulator import FEW, LABORATORY, NOBODY, OWNERS, RARE, World, call, persons_with

GAUCHER = persons_with(RARE)
_IDS = re.compile(r"(release|run)-[0-9a-f]{16}|[0-9a-f]{64}")


def nameless(text: str) -> str:
    """A text without the ids of this very run."""
    return _IDS.sub("ID", text)


BY_CONCEPT = "FROM condition_occurrence WHERE condition_concept_id = {}"
SMALL_GROUPS = {
    "persons": f"SELECT count(DISTINCT person_id) AS n {BY_CONCEPT}",
    "records": f"SELECT count(*) AS n {BY_CONCEPT}",
    "groups": f"SELECT condition_concept_id, count(*) {BY_CONCEPT} GROUP BY 1",
}


@pytest.mark.parametrize(
    "question", ["persons", *(pytest.param(name, marks=pytest.mark.long) for name in ("records", "groups"))]
)
def test_a_group_below_the_threshold_and_no_group_at_all_look_the_same(question: str, world: World) -> None:
    """Guard: the threshold of ``disclosure.gate``; both answers are equal byte for byte but for their ids."""
    few, nobody = (
        [call(*world.query(SMALL_GROUPS[question].format(concept)), *more) for more in ([], ["--json"])]
        for concept in (FEW, NOBODY)
    )
    for one, other in zip(few, nobody, strict=True):
        assert (one.code, nameless(one.out), one.err) == (other.code, nameless(other.out), other.err)
    document = few[1].document()
    assert document["table"] is None or document["table"]["rows"] in ([], [[None]])
    runs = [run.proof.statistic for run in world.room().state.runs()[-2:] if run.proof]
    sizes = [[run["memory"][when]["size"] for when in ("before", "after")] for run in runs]
    assert sizes[0][1] == sizes[1][0] == sizes[1][1]
    judged = [{name: value for name, value in run.items() if name != "memory"} for run in runs]  # versions are counted
    assert nameless(json.dumps(judged[0])) == nameless(json.dumps(judged[1]))
    assert {run.proof is not None for run in world.room().state.runs()} == {True}


def test_an_output_that_the_gate_refuses_ends_with_the_code_of_a_refusal(world: World) -> None:
    answer = call(*world.query(persons_with(FEW)), "--json")
    assert answer.document()["status"] == "refused"
    assert answer.code == 3


def test_a_group_below_the_threshold_is_left_out_of_a_table(world: World) -> None:
    """Guard: suppression in ``disclosure.gate``: neither the row nor its key appears."""
    sql = (
        "SELECT condition_concept_id, count(DISTINCT person_id) AS n FROM condition_occurrence"
        " GROUP BY condition_concept_id"
    )
    answer = call(*world.query(sql), "--json")
    assert answer.code == 0
    assert {row[0]: row[1] for row in answer.document()["table"]["rows"]} == {133834: 40, RARE: 15}
    proofs = json.dumps([run.proof.statistic for run in world.room().state.runs() if run.proof])
    assert not held({str(FEW).encode()}, answer.out.encode())
    assert not held({str(FEW).encode()}, proofs.encode())


SINGLING_OUT = {
    "equality": GAUCHER + " AND person_id = 4242",
    "list": GAUCHER + " AND person_id IN (1, 2, 3)",
    "range": GAUCHER + " AND person_id < 1000",
    "negation": GAUCHER + " AND NOT person_id <> 7",
    "arithmetic": GAUCHER + " AND person_id % 2 = 0",
    "having": "SELECT gender_concept_id, count(*) AS n FROM person GROUP BY 1 HAVING max(person_id) = 1",
    "projection": "SELECT person_id FROM person",
    "group": "SELECT person_id, count(*) AS n FROM condition_occurrence GROUP BY person_id",
    "minimum": "SELECT min(person_id) AS n FROM person",
    "star": "SELECT * FROM person",
}


@pytest.mark.parametrize("query", SINGLING_OUT)
def test_a_query_that_would_single_out_a_person_is_refused_before_anything_runs(query: str, world: World) -> None:
    """Guard: the typed plan of ``sql.planner``; no desk is asked, nothing is charged, the probe leaves a trace."""
    desks, runs, size = {one: world.desk_acts(one) for one in OWNERS}, world.room().state.runs(), world.verify_ledger()
    desks = {one: world.desk_acts(one) for one in OWNERS}
    answer = call(*world.query(SINGLING_OUT[query]), "--json")
    assert (answer.code, answer.err) == (3, "")
    document = answer.document()
    assert (document["status"], document["table"], document["release"]) == ("refused", None, None)
    assert all(finding["reason"] for finding in document["findings"])
    assert {one: world.desk_acts(one) for one in OWNERS} == desks
    assert world.room().state.runs() == runs
    trace = world.room().audit.entries()[-1]
    assert (trace.act.value, trace.actor) == ("release.refused", LABORATORY)
    assert trace.facts["code"] == document["findings"][0]["code"]
    assert world.verify_ledger() == size + len(["release.refused", "ledger.exported"])


def test_the_person_key_predicate_is_named_and_its_rewrite_passes(world: World) -> None:
    """Guard: ``sql.person_key_predicate`` with a rewrite that is the question without the predicate."""
    refused = call(*world.query(SINGLING_OUT["equality"]), "--json").document()
    assert [finding["code"] for finding in refused["findings"]] == ["sql.person_key_predicate"]
    assert "4242" not in refused["rewrite"]
    passed = call(*world.query(refused["rewrite"]), "--json")
    assert (passed.code, passed.document()["table"]["rows"]) == (0, [[15]])


def test_a_plan_runs_nothing_and_changes_nothing(world: World) -> None:
    """Guard: ``--plan`` never reaches ``Analyses.ask``."""
    before = world.contents()
    assert call(*world.query(GAUCHER), "--plan").code == 0
    assert call(*world.query(SINGLING_OUT["equality"]), "--plan").code == 3
    assert world.contents() == before


def test_an_equal_question_is_one_release_and_one_charge(world: World) -> None:
    """Guard: ``question_digest``: the plan counts, not its spelling."""
    first = call(*world.query(GAUCHER), "--json").document()
    used = world.budgets()
    spelled = GAUCHER.replace("SELECT", "select").replace(" WHERE", "\n  WHERE")
    again = call(*world.query(spelled), "--json").document()
    assert again == first | {"repeated": True}
    assert world.budgets() == used
