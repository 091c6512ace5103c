"""Explanations say what was done, and nothing that the released table does not say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asepsis.cli.results import answer_document, answer_text
from asepsis.disclosure.gate import Assessed, assess
from asepsis.disclosure.profiles import profile_named
from asepsis.domain.cells import (
    BranchShape,
    CellRow,
    CellTable,
    Contribution,
    KeyOutput,
    MarginOutput,
    Margins,
    MeasureKind,
    MeasureOutput,
    MeasureSpec,
    Shape,
)
from asepsis.domain.codes import CODES
from asepsis.domain.explanation import MEANINGS, explain
from asepsis.domain.release import CellAction
from asepsis.domain.sealed import Sealed
from asepsis.services.analyses import Answer

STRICT = profile_named("strict-10")
SOURCE = Path(__file__).parents[3] / "src" / "asepsis"
COUNT, PART = MeasureSpec(kind=MeasureKind.PERSONS), MeasureSpec(kind=MeasureKind.PERSONS, partial=True)


def judged(counts: dict[str, tuple[int, int]]) -> Assessed:
    """Groups with all persons and a part of them, and everybody."""
    outputs = (KeyOutput(index=0), MeasureOutput(index=0), MeasureOutput(index=1))
    fine = BranchShape(keys=1, measures=(COUNT, PART), outputs=outputs)
    whole = BranchShape(keys=0, measures=(COUNT, PART), outputs=(MarginOutput(), *outputs[1:]))
    shape = Shape(
        columns=("g", "n", "part"),
        branches=(fine, whole),
        margins=(Margins(branches=(0, 1), keys=((0,), ()), personal=(True,)),),
    )
    rows = [
        CellRow(keys=(group,), persons=n, outside=None, measures=(Contribution(persons=n), Contribution(persons=part)))
        for group, (n, part) in counts.items()
        if n
    ]
    n, part = (sum(count[place] for count in counts.values()) for place in (0, 1))
    total = CellRow(keys=(), persons=n, outside=None, measures=(Contribution(persons=n), Contribution(persons=part)))
    return assess(Sealed(CellTable(branches=(tuple(rows), (total,)))), shape, STRICT)


def document(assessed: Assessed) -> object:
    return explain(assessed.use(), assessed.assessment).to_document()


def test_every_cell_has_an_action_and_the_rules_behind_it() -> None:
    assessed = judged({"a": (70, 30), "b": (81, 3), "c": (60, 25), "d": (66, 31)})
    explanation = explain(assessed.use(), assessed.assessment)
    (b,) = [place for place, row in enumerate(assessed.use().rows) if row[0] == "b"]
    assert explanation.actions[b] == (CellAction.SHOWN, CellAction.ROUNDED, CellAction.SUPPRESSED)
    assert explanation.actions[-1][0] is CellAction.MARGIN
    assert explanation.why[CellAction.ROUNDED] == ("disclosure.rounded",)
    assert {"disclosure.threshold", "disclosure.margins"} <= set(explanation.why[CellAction.SUPPRESSED])
    assert set(explanation.why) <= set(MEANINGS)


@pytest.mark.parametrize("count", [0, 1, 5, 9])
def test_a_group_of_few_persons_and_one_of_nobody_are_explained_alike(count: int) -> None:
    large = {"a": (700, 300), "b": (810, 333), "c": (600, 250), "d": (660, 310)}
    # The rest keeps everybody the same, so that nothing but the small group differs.
    some = judged({**large, "a": (700 - count, 300), "e": (count, 0)})
    none = judged({**large, "a": (700 - count, 300), "e": (0, 0)})
    if some.use() == none.use():
        assert document(some) == document(none)
    assert explain(some.use(), some.assessment).left_out == explain(none.use(), none.assessment).left_out


def test_every_code_of_a_finding_is_in_the_list() -> None:
    files = [path for layer in ("disclosure", "runtime") for path in (SOURCE / layer).rglob("*.py")]
    used = {code for path in files for code in re.findall(r'"(disclosure\.[a-z_]+)"', path.read_text())}
    assert used <= set(CODES)
    assert {code for code in CODES if code.startswith("disclosure.")} <= used


def test_all_actions_have_a_meaning() -> None:
    assert set(MEANINGS) == set(CellAction)


def test_the_command_line_explains_as_text_and_as_data() -> None:
    assessed = judged({"a": (70, 30), "b": (81, 3), "c": (60, 25), "d": (66, 31)})
    answer = Answer(assessment=assessed.assessment, table=assessed.use())
    assert "explanation" not in answer_document(answer)
    assert answer_document(answer, explained=True)["explanation"] == document(assessed)
    text = answer_text(answer, explained=True)
    assert "(all)" in text
    assert "what was done to each cell" in text
    assert "disclosure.threshold" in text
    assert "what was done" not in answer_text(answer)
    nothing = Answer(assessment=assessed.assessment)
    assert answer_document(nothing, explained=True)["explanation"] is None
