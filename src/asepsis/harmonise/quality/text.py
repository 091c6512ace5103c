"""The report as text: what failed first, each with what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from asepsis.harmonise.quality.checks import FACTS, Kind
from asepsis.harmonise.quality.verdict import Status

MASKING: Final = "Counts below {least} are masked (·). The report is for the owner: masking is no release check."
EXACT: Final = "Every count is exact. This report is for the owner only: do not pass it on."
_SHOWN: Final = 12
_ORIGIN: Final = "ohdsi-dqd"


def quality_text(document: Mapping[str, Any]) -> str:
    """The text of a document, masked or not."""
    return "\n".join(_lines(document)) + "\n"


def headline(document: Mapping[str, Any]) -> str:
    """The summary in one line."""
    counts = document["summary"]
    return (
        f"data quality: {counts['failed']:,} failed, {counts['passed']:,} passed, "
        f"{counts['not_applicable']:,} not applicable, {counts['not_run']:,} not run"
    )


def note(document: Mapping[str, Any]) -> str:
    """What the reader must know of the counts."""
    least = document["masked_below"]
    return EXACT if least is None else MASKING.format(least=least)


def number(value: int | None) -> str:
    """A count; a masked one is a dot."""
    return "·" if value is None else f"{value:,}"


def percent(value: float | None) -> str:
    """A share; a masked one is a dot."""
    return "·" if value is None else f"{value:.4g} %"


def place(check: Mapping[str, Any]) -> str:
    """Table, field and concept of a check."""
    return ".".join(part for part in (check["table"], check["field"], check["concept"]) if part)


def failed_kinds(document: Mapping[str, Any]) -> Iterator[tuple[Kind, list[Mapping[str, Any]]]]:
    """The failed checks by kind, the gravest kind first and the greatest share first within it."""
    failed = [check for check in document["checks"] if check["status"] == Status.FAILED]
    order = {check["id"]: number for number, check in enumerate(failed)}
    first: dict[str, int] = {}
    for check in failed:
        first.setdefault(check["kind"], order[check["id"]])
    failed.sort(key=lambda check: (first[check["kind"]], order[check["id"]]))
    for kind, checks in groupby(failed, key=lambda check: check["kind"]):
        yield Kind(kind), list(checks)


def reasons_of(document: Mapping[str, Any], status: Status) -> dict[str, int]:
    """How many checks have a status for which reason."""
    counts: dict[str, int] = {}
    for check in document["checks"]:
        if check["status"] == status:
            counts[check["reason"] or ""] = counts.get(check["reason"] or "", 0) + 1
    return counts


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"{headline(document)} (run {document['run']}, {document['as_of']})"
    yield note(document)
    yield ""
    for kind, checks in failed_kinds(document):
        yield from _failed(kind, checks)
    for reason, count in sorted(reasons_of(document, Status.NOT_RUN).items()):
        yield f"not run: {count:,} checks: {reason}"
    if document["unchecked"]:
        yield f"not checked, because no check knows them: {', '.join(document['unchecked'])}"
    yield ""
    yield from _files(document["files"])
    yield from _tables(document["tables"])


def _failed(kind: Kind, checks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    facts = FACTS[kind]
    origin = "" if facts.origin == _ORIGIN else ", a check of Asepsis"
    yield f"FAILED {kind.value} ({facts.severity}{origin}): {facts.says}"
    rows = [
        (place(check), number(check["violated"]), number(check["rows"]), percent(check["percent"]), check["threshold"])
        for check in checks[:_SHOWN]
    ]
    yield from aligned(("where", "violated", "of", "share", "allowed %"), rows, indent="  ")
    if len(checks) > _SHOWN:
        yield f"  and {len(checks) - _SHOWN} more"
    yield f"  next: {facts.next}"
    yield ""


def _files(files: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not files:
        return
    rows = [
        (
            one["path"],
            number(one["landed"]),
            number(one["states"]["accepted"]),
            number(one["states"]["quarantined"]),
            number(one["states"]["excluded"]),
            ", ".join(f"{table} {number(count)}" for table, count in one["emitted"].items()),
        )
        for one in files
    ]
    yield "before: records of the files, and what became of them"
    yield from aligned(("file", "landed", "accepted", "quarantined", "excluded", "rows"), rows, indent="  ")
    yield ""


def _tables(tables: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "after: rows of the tables"
    rows = []
    for one in tables:
        years = list(one["years"])
        zero = [
            f"{field['name']} {field['zero'] / one['rows']:.1%}"
            for field in one["fields"]
            if field["zero"] and one["rows"]
        ]
        rows.append((one["name"], number(one["rows"]), f"{years[0]}-{years[-1]}" if years else "", ", ".join(zero[:3])))
    yield from aligned(("table", "rows", "years", "share of concept 0"), rows, indent="  ")
    for one in tables:
        for codes in one["unmapped"]:
            yield ""
            yield (
                f"not mapped in {one['name']}.{codes['field']}: {codes['codes']:,} codes, {number(codes['rows'])} rows"
            )
            first = [(code["code"], number(code["rows"]), number(code["persons"])) for code in codes["first"]]
            yield from aligned(("code", "rows", "persons"), first[:_SHOWN], indent="  ") if first else ()


def aligned(columns: Sequence[str], rows: Sequence[Sequence[object]], *, indent: str = "") -> Iterator[str]:
    """Rows as columns of one width each; all but the first are set to the right."""
    cells = [tuple(columns), *[tuple(_printable(cell) for cell in row) for row in rows]]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    for row in cells:
        first, *rest = (
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield (indent + "  ".join([first, *rest])).rstrip()


def _printable(cell: object) -> str:
    """Codes come from outside: nothing of them steers a terminal."""
    return "".join(character if character.isprintable() else "?" for character in str(cell))
