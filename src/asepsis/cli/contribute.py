"""``asepsis contribute``: harmonise a restore point and seal it into the room."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asepsis.cli.options import DEFAULT_ROOM, AsOption, JsonOption, RoomOption
from asepsis.cli.report import emit, reported
from asepsis.cli.steps import step_line

if TYPE_CHECKING:
    from asepsis.domain.books import TextBooks
    from asepsis.harmonise.mapping import Mapping
    from asepsis.services.contribute import Contribute, Contribution, Harmonise, Progress
    from asepsis.services.rerun import Judge


@dataclass(frozen=True)
class _Asked:
    """What both ways of contributing need."""

    mapping: Mapping
    harmonise: Harmonise
    judge: Judge
    contributions: Contribute
    progress: Progress


def run(
    mapping: Annotated[Path, typer.Option("--mapping", help="The mapping folder of the source.")],
    party: AsOption,
    source: Annotated[str | None, typer.Option("--source", help="restic:…, tar:… or dir:…")] = None,
    earlier: Annotated[
        str | None,
        typer.Option("--rerun", help="Instead of a source: the contribution whose quarantine is judged again."),
    ] = None,
    restore_point: Annotated[
        str, typer.Option("--restore-point", help="An id or its beginning, 'latest' or 'last-clean'.")
    ] = "last-clean",
    books: Annotated[bool, typer.Option("--books", help="Print the reconciliation of every file.")] = False,
    vocabulary: Annotated[
        Path | None, typer.Option("--vocabulary", help="What `asepsis vocabulary load` has written: check concepts.")
    ] = None,
    send_identifiers: Annotated[
        bool | None,
        typer.Option(
            "--send-identifiers/--keep-identifiers",
            help=(
                "Seal names and addresses into the room, or keep them in the owner's home. Unless stated, the mode of "
                "the contract in force decides; before there is one they stay at home."
            ),
            show_default=False,
        ),
    ] = None,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Land, map and seal one restore point; the books balance or nothing is contributed."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.mappings import harmoniser, mapping_of, rejudge
        from asepsis.bootstrap.room import open_room
        from asepsis.domain.names import PartyId
        from asepsis.errors.room import ContributionUnclear

        if (source is None) == (earlier is None):
            raise ContributionUnclear
        owner = PartyId(party)
        opened = open_room(room)
        loaded = mapping_of(mapping)
        asked = _Asked(
            mapping=loaded,
            harmonise=harmoniser(loaded, opened.keys(owner)),
            judge=rejudge(loaded, opened.keys(owner)),
            contributions=opened.contribute(owner, vocabulary=vocabulary, send_identifiers=send_identifiers),
            progress=lambda stage, subject, done: step_line(f"{stage} {subject}", done, quiet=as_json),
        )
        contribution = _again(asked, str(earlier)) if source is None else _from(asked, source, restore_point)
        document = {
            "restore_point": contribution.snapshots[0].manifest.origin.restore_point,
            "repeated": contribution.repeated,
            "snapshots": [
                {"snapshot": item.manifest.snapshot, "dataset": item.manifest.dataset, "manifest": item.digest}
                for item in contribution.snapshots
            ],
            "books": contribution.books.as_dict(),
            "folder": str(contribution.folder),
        }
        lines = [
            f"{item.manifest.dataset}: {item.manifest.snapshot} ({sum(f.rows for f in item.manifest.files):,} rows)"
            for item in contribution.snapshots
        ]
        if contribution.repeated:
            lines.insert(0, "contributed before; nothing was done again")
        if len(contribution.snapshots) == 1:
            lines.append("identifiers stay in the owner's home, sealed")
        lines += [_said(text) for text in contribution.books.texts]
        if books:
            lines += ["", contribution.books.as_text()]
        lines.append(f"books, quarantine, provenance and data quality: {contribution.folder}")
        emit(document, as_json=as_json, text="\n".join(lines))


def _said(text: TextBooks) -> str:
    """What became of a column of free text."""
    if text.withheld == text.texts:
        return f"free text {text.column}: {text.texts:,} kept out; no contract in force asks for it"
    replaced = sum(text.replaced.values())
    return f"free text {text.column}: {text.kept:,} of {text.texts:,} kept, {replaced:,} identifiers replaced"


def _from(asked: _Asked, source: str, restore_point: str) -> Contribution:
    """Contribute a restore point of a source."""
    from asepsis.bootstrap.backups import look_into
    from asepsis.services.looking import find_point

    backup = look_into(source)
    point = find_point(backup, restore_point)
    contribute = asked.contributions.contribute
    return contribute(backup, point.id, mapping=asked.mapping, harmonise=asked.harmonise, progress=asked.progress)


def _again(asked: _Asked, earlier: str) -> Contribution:
    """Judge what an earlier contribution left in quarantine."""
    from asepsis.services.rerun import Rerun

    reruns = Rerun(contributions=asked.contributions)
    return reruns.rerun(earlier, mapping=asked.mapping, judge=asked.judge, progress=asked.progress)
