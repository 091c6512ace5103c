"""``asepsis vocabulary``: load the OMOP vocabularies, map codes with them, and see what a new release changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asepsis.cli.options import JsonOption
from asepsis.cli.report import emit, reported, table
from asepsis.cli.steps import step_line

if TYPE_CHECKING:
    from asepsis.harmonise.vocabulary.matching import MapReport

app = typer.Typer(help="Load vocabularies, map codes, and compare releases.", no_args_is_help=True)

_SHOWN = 10


@app.command("load")
def load(
    download: Annotated[Path, typer.Argument(help="The folder or the ZIP of an Athena download.")],
    out: Annotated[Path, typer.Option("--out", help="What to write: NAME.duckdb, or a folder of Parquet files.")],
    as_json: JsonOption = False,
) -> None:
    """Load every line of a vocabulary download, or refuse it with a reason."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.vocabularies import load_vocabulary

        loaded = load_vocabulary(download, out, progress=lambda file, done: step_line(file, done, quiet=as_json))
        rows = [(one.file, one.lines, one.loaded, sum(one.refused.values())) for one in loaded.files]
        lines = [f"vocabulary {loaded.version}", table(("file", "lines", "loaded", "refused"), rows)]
        lines += [
            f"refused in {one.file}: {reason} {count:,}"
            for one in loaded.files
            for reason, count in one.refused.items()
        ]
        lines += [f"absent: {name.upper()}.csv" for name in loaded.absent]
        lines += [f"licence: {words}" for words in loaded.licences]
        lines.append(f"{out}: {loaded.concepts:,} concepts, digest {loaded.digest}")
        emit(loaded.as_dict(), as_json=as_json, text="\n".join(lines))


@app.command("map")
def map_codes(
    codes: Annotated[Path, typer.Argument(help="CSV with source_code and, if there is one, count; or see --column.")],
    vocabulary: Annotated[Path, typer.Option("--vocabulary", help="What `asepsis vocabulary load` has written.")],
    source: Annotated[str, typer.Option("--from", help="The vocabulary of the codes: ICD9CM, LOINC, UCUM, …")],
    out: Annotated[Path, typer.Option("--out", help="The code map to write or to add to: codes/NAME.csv.")],
    via: Annotated[
        list[str] | None, typer.Option("--via", help="maps_to or gem; repeat it to try several in order.")
    ] = None,
    gem: Annotated[Path | None, typer.Option("--gem", help="The GEM file of CMS, for --via gem.")] = None,
    column: Annotated[list[str] | None, typer.Option("--column", help="A column that holds codes.")] = None,
    ignore: Annotated[list[str] | None, typer.Option("--ignore", help="A value that is no code, such as ?.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Map codes to standard concepts, each with its grade and how it was found; reviewed rows are kept."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.vocabularies import VocabularyRequest, map_to_concepts

        done = map_to_concepts(
            VocabularyRequest(
                codes=codes,
                vocabulary=vocabulary,
                source=source,
                ways=tuple(via or ("maps_to",)),
                gem=gem,
                columns=tuple(column or ()),
                ignored=tuple(ignore or ()),
            ),
            out,
        )
        report = done.report
        document = {
            "out": str(out),
            "unmapped_list": str(done.unmapped),
            "vocabulary_version": done.version,
            "codes": report.codes,
            "rows": report.rows,
            "mapped_codes": report.mapped_codes,
            "mapped_rows": report.mapped_rows,
            "translated_codes": report.translated_codes,
            "translated_rows": report.translated_rows,
            "grades": {grade: {"codes": one[0], "rows": one[1]} for grade, one in report.by_grade.items()},
            "empty_rows": done.empty,
            "unusable_rows": done.unusable,
            "added": done.merge.added,
            "changed": done.merge.changed,
            "kept_reviewed": done.merge.kept_reviewed,
            "unmapped": [
                {"code": one.code, "count": one.count, "note": one.note, "to_decide": one.to_decide}
                for one in report.unmapped
            ],
        }
        emit(document, as_json=as_json, text="\n".join(_lines(report, out, done.unmapped)))


@app.command("delta")
def delta(
    old: Annotated[Path, typer.Argument(help="The vocabulary that the code maps were made with.")],
    new: Annotated[Path, typer.Argument(help="The new vocabulary.")],
    maps: Annotated[list[Path], typer.Argument(help="Code maps: codes/*.csv")],
    as_json: JsonOption = False,
) -> None:
    """List the rows of code maps whose concept was withdrawn, moved, renamed or replaced."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.vocabularies import vocabulary_delta

        found = vocabulary_delta(old, new, maps)
        rows = [
            (one.file, one.source_code, one.concept_id, str(one.change), " ".join(map(str, one.successors)) or "none")
            for one in found
        ]
        text = table(("file", "code", "concept", "change", "stands for it now"), rows)
        document = [
            {
                "file": one.file,
                "source_code": one.source_code,
                "concept_id": one.concept_id,
                "change": str(one.change),
                "successors": list(one.successors),
                "is_reviewed": one.is_reviewed,
            }
            for one in found
        ]
        emit({"changes": document}, as_json=as_json, text=text if found else "nothing changes for these code maps")


def _lines(report: MapReport, out: Path, unmapped: Path) -> list[str]:
    rows = [(grade, *counts) for grade, counts in report.by_grade.items()]
    lines = [
        table(("grade", "codes", "rows"), rows),
        f"mapped: {report.mapped_codes:,} of {report.codes:,} codes, {_share(report.mapped_rows, report.rows)} of rows",
    ]
    if report.translated_codes > report.mapped_codes:
        share = _share(report.translated_rows, report.rows)
        lines.append(f"reached one code of the next code system: {report.translated_codes:,} codes, {share} of rows")
    if report.unmapped:
        lines.append(f"not mapped, the most frequent first (all in {unmapped}):")
        lines += [f"  {one.count:>8,}  {one.code}  {one.note}" for one in report.unmapped[:_SHOWN]]
    lines.append(f"{out}: write 'reviewed' into the note of a row that a person has decided; it is kept from then on")
    return lines


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none"
