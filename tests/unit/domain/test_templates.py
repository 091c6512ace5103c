"""Templates: asked in their own words or not at all, with arguments of their types, bound to their content."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "desk"))

from desk_world import NORTH, World

from asepsis.domain.access import is_agreed, require_allowed
from asepsis.domain.analysis import Analysis, Job
from asepsis.domain.contract import Contract
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.templates import Parameter, ParameterType, Template
from asepsis.errors.contract import ContractForbids, DocumentMalformed
from asepsis.errors.desk import AnalysisNotAllowed
from asepsis.services.contracts import read_proposal
from asepsis.services.wording import contract_in_words

SQL = "SELECT count(DISTINCT person_id) AS n FROM person WHERE year_of_birth >= $since"
PARAMETERS = {"since": {"type": "integer", "values": [1950, 1960]}}
TEMPLATES = {"born-since": {"title": "People born since a year", "sql": SQL, "parameters": PARAMETERS}}
ANALYSES = {"queries": False, "methods": [], "referrals": False, "templates": TEMPLATES}
YEAR = {"type": "integer", "uses": ["compare"], "bin_width": 10}
TABLES = {"person": {"columns": {"person_id": {"type": "integer", "uses": ["unit"]}, "year_of_birth": YEAR}}}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, analyses=ANALYSES, tables=TABLES)


def asking(world: World, sql: str = SQL, **arguments: Any) -> Job:
    job = world.job()
    return replace(job, analysis=replace(job.analysis, body=sql, arguments=arguments))


def test_a_template_is_asked_where_no_other_query_may_be(world: World) -> None:
    job = asking(world, since=1950)
    require_allowed(job.analysis, world.contract)
    world.desks[NORTH].grant(world.request(job=job))
    (intended,) = [entry for entry in world.entries() if entry.act.value == "grant.intended"]
    assert intended.facts["template"] == world.contract.templates[0].digest


@pytest.mark.parametrize(
    ("sql", "arguments"),
    [
        (SQL, {}),
        (SQL, {"since": 1955}),
        (SQL, {"since": "1950"}),
        (SQL, {"since": 1950.0 + 0.5}),
        (SQL, {"since": (1950, 1960)}),
        (SQL, {"since": 1950, "more": 1}),
        (SQL.replace("$since", "1950"), {}),
        (SQL + " ", {"since": 1950}),
        (SQL.replace(">=", "<"), {"since": 1950}),
        ("SELECT 1", {}),
    ],
)
def test_in_other_words_or_with_other_arguments_no_program_takes_it(
    world: World, sql: str, arguments: dict[str, Any]
) -> None:
    """Guard: ``Template.admits``, which room, desks and runtime share."""
    job = asking(world, sql, **arguments)
    assert not is_agreed(job.analysis, world.contract)
    with pytest.raises(ContractForbids):
        require_allowed(job.analysis, world.contract)
    with pytest.raises(AnalysisNotAllowed):
        world.desks[NORTH].grant(world.request(job=job))


def test_true_is_no_number(world: World) -> None:
    """Guard: flags in ``_is_of``; to Python, true is 1."""
    parameter = Parameter(name="since", type=ParameterType.INTEGER, values=(0, 1))
    assert parameter.admits(1)
    assert not parameter.admits(argument=True)
    assert not Parameter(name="x", type=ParameterType.NUMBER).admits(float("inf"))
    assert not Parameter(name="x", type=ParameterType.DATE).admits("2026-02-30")
    assert not Parameter(name="x", type=ParameterType.DATE).admits("20260228")


def edited(world: World, **changes: Any) -> Contract:
    document = world.contract.to_document()
    analyses = document["analyses"]
    template = {**analyses["templates"]["born-since"], **changes}  # type: ignore[index]
    return read_contract({**document, "analyses": {**analyses, "templates": {"born-since": template}}})  # type: ignore[dict-item]


@pytest.mark.parametrize("changes", [{"sql": SQL + " "}, {"parameters": {"since": {"type": "integer"}}}])
def test_an_edit_voids_the_approval(world: World, changes: dict[str, Any]) -> None:
    """Guard: the digest in ``read_template``."""
    with pytest.raises(DocumentMalformed, match="digest"):
        edited(world, **changes)


def test_what_is_signed_has_the_digest_and_reads_again_as_the_same(world: World) -> None:
    assert read_contract(world.contract.to_document()) == world.contract
    assert edited(world, title="Other").templates[0].digest == world.contract.templates[0].digest
    assert world.contract.templates[0].digest[:16] in "\n".join(contract_in_words(world.contract)["ada"])


@pytest.mark.parametrize("values", [[1950, 1950], ["1950"], [True], list(range(1001))])
def test_values_are_different_ones_of_the_type(world: World, values: list[Any]) -> None:
    with pytest.raises(DocumentMalformed, match="values"):
        edited(world, parameters={"since": {"type": "integer", "values": values}}, digest="0" * 64)


def test_a_template_that_could_never_be_asked_is_not_proposed(world: World) -> None:
    """Guard: ``check_templates``."""
    hopeless = {**TEMPLATES["born-since"], "sql": "SELECT year_of_birth FROM person", "parameters": {}}
    with pytest.raises(DocumentMalformed, match="born-since"):
        read_proposal({**world.document, "analyses": {**ANALYSES, "templates": {"born-since": hopeless}}})


PLAIN = st.integers() | st.floats() | st.text() | st.booleans()


@given(st.sampled_from(ParameterType), PLAIN, st.text(max_size=3))
def test_whatever_is_admitted_is_of_the_type_and_of_the_text(kind: ParameterType, value: Any, tail: str) -> None:
    template = Template(name="t", title="t", sql=SQL, parameters=(Parameter(name="since", type=kind),))
    admitted = template.admits(SQL + tail, {"since": value})
    assert not admitted or (tail == "" and not isinstance(value, bool))
    assert not admitted or isinstance(value, str) == (kind in {ParameterType.TEXT, ParameterType.DATE})


def test_an_analysis_that_is_no_query_is_no_template(world: World) -> None:
    analysis: Analysis = asking(world, since=1950).analysis
    for kind in ("method", "referral"):
        assert not is_agreed(replace(analysis, kind=world.job().analysis.kind.__class__(kind)), world.contract)
