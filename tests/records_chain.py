"""Consecutive days of a hospital, what was measured between them, and cases of tampering applied to one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import mkdtemp

from asepsis.engines.forensics.engine import DuckForensics
from asepsis.integrity.records.evidence import PairEvidence
from asepsis.integrity.records.judging import judge
from asepsis.integrity.records.tickets import ChangeTicket
from asepsis.integrity.records.values import Divergence, Severity
from records_tampering import BENIGN, TAMPERS, Tamper, apply
from records_world import World

HISTORY = 30
"""The days before, by which a day is judged; tampering is tried on a day with as many as there are."""


@dataclass
class Chain:
    """Consecutive days of one hospital, and what was measured between them."""

    seed: int
    folder: Path
    days: list[Path]
    todays: list[str]
    engine: DuckForensics
    evidence: list[PairEvidence] = field(default_factory=list)

    def alarms(self, now: PairEvidence, at: int) -> list[Divergence]:
        """What is found on day ``at`` given the days before."""
        found = judge(now, self.evidence[max(0, at - 1 - HISTORY) : at - 1], persons="person")
        return [one for one in found if one.severity >= Severity.ALARM]

    def loud_days(self, first: int) -> dict[int, list[Divergence]]:
        """The ordinary days from ``first`` on that raise an alarm."""
        days = {day: self.alarms(self.evidence[day - 1], day) for day in range(first, len(self.days))}
        return {day: found for day, found in days.items() if found}


@cache
def chain(seed: int, size: float, days: int) -> Chain:
    folder = Path(mkdtemp(prefix="asepsis-chain-"))
    world = World(seed=seed, size=size)
    paths, todays = [], []
    for day in range(days):
        world.step()
        paths.append(world.export(folder / f"d{day:03}"))
        todays.append(world.today.isoformat())
    made = Chain(seed, folder, paths, todays, DuckForensics(scratch=folder / "scratch", threads=1))
    for older, newer in pairwise(paths):
        with made.engine.pair(older, newer) as pair:
            made.evidence.append(pair.evidence())
    return made


def tampered(case: Tamper, days: Chain, at: int, *, tickets: bool = True) -> tuple[PairEvidence, Path]:
    target = days.folder / f"{case.id}-{tickets}"
    before, past = days.days[at - 1], days.days[max(0, at - 20)]
    filled = apply(case, days.days[at], target, seed=days.seed, today=days.todays[at], before=before, past=past)
    ticket = ChangeTicket(id="C-1", reason="announced", **_tuples(filled)) if filled and tickets else None  # type: ignore[arg-type]
    with days.engine.pair(before, target, tickets=[ticket] if ticket else []) as pair:
        now = pair.evidence()
        past_days = {path.name: path for path in reversed(days.days[: at - 1])}
        tables = {
            name: replace(one, same_as=pair.same_as(name, past_days)) if one.deleted >= 10 else one
            for name, one in now.tables.items()
        }
        return replace(now, tables=tables), target


def rank(case: Tamper, found: Sequence[Divergence]) -> int | None:
    """Where the true cause stands among the alarms, from one."""
    for number, one in enumerate(found, start=1):
        for code, table, column in case.causes:
            if one.code == code and one.table == table and (column is None or column in one.columns):
                return number
    return None


@dataclass(frozen=True)
class SuiteResult:
    """How the cases went: for each the true cause's place among the findings (none: not named), and loud tickets."""

    places: dict[str, int | None]
    found: dict[str, int]
    ticketed: int
    loud_tickets: list[str]

    @property
    def alarms(self) -> int:
        return sum(1 for count in self.found.values() if count)

    @property
    def in_top_three(self) -> int:
        return sum(1 for place in self.places.values() if place is not None and place <= 3)


def run_suite(days: Chain, at: int) -> SuiteResult:
    """All cases, each on a copy of day ``at``."""
    places: dict[str, int | None] = {}
    found: dict[str, int] = {}
    for case in TAMPERS:
        alarms = days.alarms(tampered(case, days, at)[0], at)
        places[case.id], found[case.id] = rank(case, alarms), len(alarms)
    ticketed = [case for case in BENIGN if case.ticket]
    loud = [case.id for case in ticketed if days.alarms(tampered(case, days, at)[0], at)]
    return SuiteResult(places, found, len(ticketed), loud)


def _tuples(document: dict[str, object]) -> dict[str, object]:
    made = {name: tuple(value) if isinstance(value, list) else value for name, value in document.items()}
    if isinstance(made.get("where"), dict):
        made["where"] = {name: tuple(values) for name, values in made["where"].items()}  # type: ignore[attr-defined]
    return made
