"""``asepsis mapping import``: start a mapping folder from what another tool has written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asepsis.cli.options import JsonOption
from asepsis.cli.report import emit, reported

if TYPE_CHECKING:
    from asepsis.harmonise.importing.declared import Declared

app = typer.Typer(help="Start a mapping folder from another tool's work.", no_args_is_help=True)

OutOption = Annotated[Path, typer.Option("--out", help="The mapping folder to make; nothing is overwritten.")]
OwnerOption = Annotated[str, typer.Option("--owner", help="The party that contributes.")]
LabelOption = Annotated[str, typer.Option("--label", help="What the data are: real or synthetic.")]
DateOption = Annotated[str, typer.Option("--extract-date", help="When the files were extracted: YYYY-MM-DD.")]
EncodingOption = Annotated[str, typer.Option("--encoding", help="The encoding of the files, as Python names it.")]
DelimiterOption = Annotated[str, typer.Option("--delimiter", help="What separates values; 'tab' for tabs.")]
FilesOption = Annotated[
    Path | None, typer.Option("--files", help="The folder of the files: only the header of each is read.")
]


@app.command("carrot")
def carrot(
    rules: Annotated[Path, typer.Argument(help="The rules of Carrot: JSON, version 1 or 2.")],
    out: OutOption,
    owner: OwnerOption,
    label: LabelOption,
    extract_date: DateOption,
    files: FilesOption = None,
    encoding: EncodingOption = "utf-8",
    delimiter: DelimiterOption = ",",
    as_json: JsonOption = False,
) -> None:
    """Translate the rules of Carrot; what they do not say is listed in DECIDE.md."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.mappings import import_carrot

        declared = _declared(owner=owner, label=label, extract_date=extract_date, encoding=encoding, mark=delimiter)
        _report(out, import_carrot(rules, out, declared=declared, files=files), as_json=as_json)


@app.command("rabbit-in-a-hat")
def rabbit(
    document: Annotated[Path, typer.Argument(help="What Rabbit-in-a-Hat has saved: .json or .json.gz.")],
    out: OutOption,
    owner: OwnerOption,
    label: LabelOption,
    extract_date: DateOption,
    encoding: EncodingOption = "utf-8",
    delimiter: DelimiterOption = ",",
    as_json: JsonOption = False,
) -> None:
    """Translate the arrows of Rabbit-in-a-Hat; its comments and logic are listed in DECIDE.md."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.mappings import import_rabbit

        declared = _declared(owner=owner, label=label, extract_date=extract_date, encoding=encoding, mark=delimiter)
        _report(out, import_rabbit(document, out, declared=declared), as_json=as_json)


def _declared(*, owner: str, label: str, extract_date: str, encoding: str, mark: str) -> Declared:
    from asepsis.harmonise.importing.declared import read_declared

    return read_declared(owner=owner, label=label, extract_date=extract_date, encoding=encoding, delimiter=mark)


def _report(out: Path, decisions: tuple[str, ...], *, as_json: bool) -> None:
    lines = [
        f"{out}: written",
        f"{len(decisions)} things are left to decide: {out / 'DECIDE.md'}",
        f"next: asepsis mapping check {out}",
    ]
    emit({"folder": str(out), "decisions": list(decisions)}, as_json=as_json, text="\n".join(lines))
