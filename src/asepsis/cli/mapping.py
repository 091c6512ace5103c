"""``asepsis mapping``: check, try, document and bring in mapping folders, before any patient's record is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asepsis.cli import mapping_import
from asepsis.cli.options import JsonOption
from asepsis.cli.report import emit, reported

app = typer.Typer(help="Check, try, document and bring in mapping folders.", no_args_is_help=True)
app.add_typer(mapping_import.app, name="import")

FolderArgument = Annotated[Path, typer.Argument(help="The mapping folder, with source.yaml in it.")]


@app.command("check")
def check(
    folder: FolderArgument,
    files: Annotated[
        Path | None,
        typer.Option(
            "--files", help="Files of the source: name those that no entry reads, count codes that no code map has."
        ),
    ] = None,
    list_codes: Annotated[
        Path | None, typer.Option("--list-codes", help="Write these codes to files in this folder.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read the folder as a contribution would, and say what is wrong and what it may lack."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.mappings import mapping_remarks, mapping_unknown
        from asepsis.errors import Kind

        remarks = mapping_remarks(folder)
        wrong = [remark for remark in remarks if remark.is_error]
        lines = [f"{'wrong' if remark.is_error else 'look at'}: {remark.code}: {remark.text}" for remark in remarks]
        lines.append(
            f"{folder}: {len(wrong)} wrong, {len(remarks) - len(wrong)} to look at"
            if remarks
            else f"{folder}: nothing is wrong, nothing is missing"
        )
        unknown = mapping_unknown(folder, files=None if wrong else files, out=list_codes)
        lines += [f"no entry reads: {name}" for name in unknown.files]
        lines += [
            f"not in a code map: {one.table}.{one.column}: {len(one.codes):,} codes, {one.rows:,} rows"
            for one in unknown.codes
        ]
        if not wrong:
            lines.append(f"next: asepsis mapping test {folder}")
        document = {
            "folder": str(folder),
            "remarks": [{"code": one.code, "text": one.text, "is_error": one.is_error} for one in remarks],
            "unread": list(unknown.files),
            "unmapped": [
                {"table": one.table, "column": one.column, "codes": len(one.codes), "rows": one.rows}
                for one in unknown.codes
            ],
        }
        emit(document, as_json=as_json, text="\n".join(lines))
        if wrong:
            raise typer.Exit(Kind.INVALID.exit_code)


@app.command("test")
def run_tests(folder: FolderArgument, as_json: JsonOption = False) -> None:
    """Run the given records of tests/*.yaml through the mapping and compare with what is expected."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.mappings import mapping_trials

        trials = mapping_trials(folder)
        failed = [trial for trial in trials if not trial.passed]
        lines = [f"{'passed' if trial.passed else 'FAILED'}: {trial.file}: {trial.name}" for trial in trials]
        for trial in failed:
            lines += [f"{trial.file}: {trial.name}", *(f"  differs: {key}" for key in trial.differences)]
        lines.append(f"{len(trials) - len(failed)} of {len(trials)} tests passed")
        if not trials:
            lines.append("next: write given/expect records into tests/*.yaml")
        found = [
            {"file": trial.file, "name": trial.name, "passed": trial.passed, "differences": list(trial.differences)}
            for trial in trials
        ]
        emit({"folder": str(folder), "tests": found}, as_json=as_json, text="\n".join(lines))
        if failed:
            raise typer.Exit(1)


@app.command("docs")
def docs(
    folder: FolderArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write: .md, or .html for a browser.")],
    as_json: JsonOption = False,
) -> None:
    """Write down what a mapping does: every file, table, requirement and code map, for people to review."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.mappings import mapping_page
        from asepsis.errors.room import FileUnreadable

        page = mapping_page(folder, as_html=out.suffix.lower() in {".html", ".htm"})
        try:
            out.write_text(page, encoding="utf-8")
        except OSError:
            raise FileUnreadable(path=str(out)) from None
        emit({"page": str(out)}, as_json=as_json, text=str(out))
