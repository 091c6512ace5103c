"""Comparing two snapshots record by record: ledger, evidence, divergences, and what is handed out of them.

The judgement needs no reading: it is made from counts, so that earlier pairs of snapshots are read once and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from asepsis.domain.documents import Fields
from asepsis.domain.source import Verdict
from asepsis.errors import AsepsisError
from asepsis.errors.recovery import TicketRefused
from asepsis.integrity.records.alone import AloneEvidence, judge_alone
from asepsis.integrity.records.evidence import PairEvidence
from asepsis.integrity.records.judging import judge
from asepsis.integrity.records.rates import ENOUGH_DAYS
from asepsis.integrity.records.tickets import ChangeTicket, read_ticket
from asepsis.integrity.records.values import Divergence, Severity, TableLedger
from asepsis.ports import Forensics
from asepsis.sealing.canonical import canonical
from asepsis.sealing.signing import Purpose, verify

TICKET_FORMAT: Final = "asepsis/signed-change-ticket/1"
_ROLLED_BACK: Final = 10
"""So many deletions make it worth asking whether a table was set back to an older state."""

Step = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What is written beside the report; nothing where ``None``. All of it is the owner's."""

    rows: Path | None = None
    patch: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a comparison of two snapshots says."""

    evidence: PairEvidence
    divergences: tuple[Divergence, ...]
    verdict: Verdict
    earlier: tuple[PairEvidence, ...] = ()
    days: tuple[tuple[str, str, str, int], ...] = ()
    rows_written: int = 0
    restored_root: bytes | None = None
    unchecked: tuple[str, ...] = field(default=())

    @property
    def ledgers(self) -> list[TableLedger]:
        """The exact ledger of every table."""
        return [one.ledger for one in self.evidence.tables.values()]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareSnapshots:
    """The use case. ``step`` is told what is being done."""

    forensics: Forensics
    step: Step = lambda _: None

    def compare(
        self,
        before: Path,
        after: Path,
        *,
        history: Sequence[tuple[str, Path]] = (),
        tickets: Sequence[ChangeTicket] = (),
        outputs: Outputs | None = None,
    ) -> Compared:
        """Compare, judge against the history (named folders, the oldest first), and write what is asked for.

        Raises:
            SnapshotEmpty, SnapshotTableUnreadable: a folder or one of its files holds no table.
            OutputExists, OutputUnwritable: a place to write to is in use, or cannot be written.
            PatchInexact: the revert patch does not restore the older snapshot.
        """
        wanted = outputs or Outputs()
        earlier = tuple(self._earlier([*(folder for _, folder in history), before], like=before))
        self.step("comparing the two snapshots")
        with self.forensics.pair(before, after, tickets=tickets, like=before) as pair:
            evidence = pair.evidence()
            past = dict(reversed([*history]))
            evidence = replace(evidence, tables={
                table: replace(one, same_as=pair.same_as(table, past)) if one.deleted >= _ROLLED_BACK and past else one
                for table, one in evidence.tables.items()
            })  # fmt: skip
            divergences = tuple(pair.detailed(one) for one in judge(evidence, earlier, persons=pair.persons))
            self.step("writing")
            rows = pair.write_rows(divergences, wanted.rows) if wanted.rows else 0
            root = pair.revert_into(wanted.patch) if wanted.patch else None
            days = tuple(pair.days())
        return Compared(
            evidence=evidence,
            divergences=divergences,
            verdict=verdict_on(divergences),
            earlier=earlier,
            days=days,
            rows_written=rows,
            restored_root=root,
            unchecked=(*evidence.unchecked, *_short_history(len(earlier))),
        )

    def _earlier(self, folders: Sequence[Path], *, like: Path) -> Iterator[PairEvidence]:
        for number, (older, newer) in enumerate(pairwise(folders), start=1):
            self.step(f"history {number} of {len(folders) - 1}")
            with self.forensics.pair(older, newer, like=like) as pair:
                yield pair.evidence()


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedAt:
    """What one snapshot says about itself."""

    evidence: AloneEvidence
    divergences: tuple[Divergence, ...]
    verdict: Verdict


def judge_snapshot(evidence: AloneEvidence) -> LookedAt:
    """The verdict on a snapshot by itself, where no earlier one is at hand."""
    divergences = tuple(judge_alone(evidence))
    return LookedAt(evidence=evidence, divergences=divergences, verdict=verdict_on(divergences))


def verdict_on(divergences: Sequence[Divergence]) -> Verdict:
    """Clean without an alarm; compromised when one of them is severe."""
    worst = max((one.severity for one in divergences), default=Severity.NOTICE)
    if worst is Severity.SEVERE:
        return Verdict.COMPROMISED
    return Verdict.SUSPECT if worst is Severity.ALARM else Verdict.CLEAN


def verified_ticket(document: object, *, name: str, signer: bytes) -> ChangeTicket:
    """A change ticket whose signature by this key holds. Raises TicketRefused."""
    try:
        fields = Fields(document, document="change ticket")
        stated, content, signature = (
            fields.text("format"),
            fields.anything("ticket"),
            fields.octets("signature", length=64),
        )
        fields.close()
    except AsepsisError:
        raise TicketRefused(ticket=name, problem="it is no signed change ticket") from None
    if stated != TICKET_FORMAT:
        raise TicketRefused(ticket=name, problem=f"it is no {TICKET_FORMAT}")
    ticket = read_ticket(content, name=name)
    try:
        verify(signer, purpose=Purpose.CHANGE_TICKET, payload=canonical(ticket.to_document()), signature=signature)
    except AsepsisError:
        raise TicketRefused(ticket=name, problem="it is not signed by the key that you named") from None
    return ticket


def _short_history(pairs: int) -> tuple[str, ...]:
    if pairs >= ENOUGH_DAYS:
        return ()
    return (f"rates: {pairs} earlier pairs of snapshots are too few to say what is usual; fixed limits were used",)
