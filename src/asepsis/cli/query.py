"""``asepsis query`` and ``asepsis method``: ask a question; only protected, aggregated answers come back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asepsis.cli.options import DEFAULT_ROOM, AsOption, ExplainOption, JsonOption, RoomOption
from asepsis.cli.report import emit, reported
from asepsis.cli.results import answer_document, answer_status, answer_text, findings_text
from asepsis.cli.steps import end_steps, step_line

if TYPE_CHECKING:
    from asepsis.domain.analysis import Analysis, Argument
    from asepsis.services.analyses import Analyses

PlanOption = Annotated[
    bool, typer.Option("--plan", help="Only findings and a rewrite; nothing runs, nothing is charged.")
]
BuyOption = Annotated[
    bool, typer.Option("--buy-bounds", help="With noise: pay for finding what one person counts for at most.")
]
PurposeOption = Annotated[
    str, typer.Option("--purpose", help="Which of the contract's purposes it serves, where it names several.")
]
CertaintyOption = Annotated[
    int,
    typer.Option(
        "--min-certainty",
        help="How sure links between owners are at least, in per cent, if more than the contract says.",
    ),
]
SensitivityOption = Annotated[
    bool, typer.Option("--sensitivity", help="Ask by links of every certainty that analyses may state, side by side.")
]
REFUSED = 3


def run_query(
    party: AsOption,
    sql: Annotated[str, typer.Argument(help="One SELECT statement.")] = "",
    file: Annotated[Path | None, typer.Option("--file", help="Read the statement from a file.")] = None,
    template: Annotated[str, typer.Option("--template", help="Ask a template of the contract, by name.")] = "",
    arguments: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE, of a statement's $NAME.")] = None,
    plan: PlanOption = False,
    explain: ExplainOption = False,
    buy_bounds: BuyOption = False,
    purpose: PurposeOption = "",
    certainty: CertaintyOption = 0,
    sensitivity: SensitivityOption = False,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Plan, run and release one query (exit code 3 if it is refused)."""
    with reported(as_json=as_json):
        from asepsis.domain.analysis import Analysis, AnalysisKind
        from asepsis.domain.names import PartyId

        text = _template(template, room) if template else _text(sql, file)
        analysis = Analysis(
            kind=AnalysisKind.QUERY,
            author=PartyId(party),
            body=text,
            arguments=dict(argument(text) for text in arguments or []),
            buys_bounds=buy_bounds,
            purpose=purpose,
            certainty=certainty,
        )
        _ask(analysis, room, Way(plan=plan, explain=explain, sensitivity=sensitivity), as_json=as_json)


def run_method(
    name: str,
    party: AsOption,
    arguments: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE; commas make a list.")] = None,
    plan: PlanOption = False,
    explain: ExplainOption = False,
    purpose: PurposeOption = "",
    certainty: CertaintyOption = 0,
    sensitivity: SensitivityOption = False,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Run a predefined method, such as kaplan_meier (exit code 3 if it is refused)."""
    with reported(as_json=as_json):
        from asepsis.domain.analysis import Analysis, AnalysisKind
        from asepsis.domain.names import PartyId

        parsed = dict(argument(text) for text in arguments or [])
        analysis = Analysis(
            kind=AnalysisKind.METHOD,
            author=PartyId(party),
            body=name,
            arguments=parsed,
            purpose=purpose,
            certainty=certainty,
        )
        _ask(analysis, room, Way(plan=plan, explain=explain, sensitivity=sensitivity), as_json=as_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How to ask: only plan, explain every cell, or ask by links of every certainty."""

    plan: bool
    explain: bool
    sensitivity: bool


def _ask(analysis: Analysis, room: Path, way: Way, *, as_json: bool) -> None:
    from asepsis.bootstrap.room import open_room
    from asepsis.domain.finding import Severity

    analyses = open_room(room).analyses
    if way.plan:
        planned = analyses.plan(analysis)
        text = findings_text(planned.assessment) + (
            f"\nthis would pass:\n  {planned.rewrite}" if planned.rewrite else ""
        )
        emit({**planned.assessment.to_document(), "rewrite": planned.rewrite}, as_json=as_json, text=text)
        refused = planned.assessment.severity is Severity.REFUSE
    elif way.sensitivity:
        refused = _ask_at_each(analyses, analysis, as_json=as_json)
    else:
        answer = analyses.ask(analysis, progress=lambda step: step_line(step, quiet=as_json))
        end_steps(quiet=as_json)
        text = answer_text(answer, explained=way.explain)
        emit(answer_document(answer, explained=way.explain), as_json=as_json, text=text)
        refused = answer_status(answer) == "refused"
    if refused:
        raise typer.Exit(REFUSED)


def _ask_at_each(analyses: Analyses, analysis: Analysis, *, as_json: bool) -> bool:
    """Whether the question was refused."""
    from asepsis.cli.sensitivity import certain_document, certain_text
    from asepsis.services.sensitivity import ask_at_each

    answers = ask_at_each(analyses, analysis, progress=lambda step: step_line(step, quiet=as_json))
    end_steps(quiet=as_json)
    emit(certain_document(answers), as_json=as_json, text=certain_text(answers))
    return answer_status(answers[0].answer) == "refused"


def _template(name: str, room: Path) -> str:
    from asepsis.bootstrap.room import open_room

    return open_room(room).contracts.contract().template(name).sql


def _text(sql: str, file: Path | None) -> str:
    if file is None:
        return sql
    from asepsis.errors.room import FileUnreadable

    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise FileUnreadable(path=str(file)) from None


def argument(text: str) -> tuple[str, Argument | tuple[Argument, ...]]:
    """An argument of a method as it is typed: NAME=VALUE, where commas make a list."""
    name, _, value = text.partition("=")
    values = tuple(_value(part) for part in value.split(","))
    return name, values if len(values) > 1 else values[0]


def _value(text: str) -> Argument:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)
