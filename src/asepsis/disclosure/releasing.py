"""The gate with its memory: one entry for the runtime and for rehearsals, from sealed cells to a release.

Equal questions are one release: whoever asks again gets the stored answer, and nothing is computed or counted. The
findings name the rules and never say which of them held a cell back, or that anything was held back at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from asepsis.disclosure.contributors import WHOLE, Contributors, Population
from asepsis.disclosure.gate import NOTHING_SHOWN, Assessed, assess
from asepsis.disclosure.margins import Complemented, Place, complemented
from asepsis.disclosure.measures import Protected, too_few_affiliations
from asepsis.disclosure.memory import Answered, Candidate, Index, Memory, Shown, held
from asepsis.disclosure.memory_bytes import to_bytes
from asepsis.disclosure.people import people
from asepsis.disclosure.profiles import Profile
from asepsis.disclosure.quotas import FULL, MOST_BYTES, QUOTA, Asked, exceeded
from asepsis.disclosure.showing import protected_measures
from asepsis.disclosure.sticky import with_noise
from asepsis.domain.cells import CellTable, MeasureKind, Shape
from asepsis.domain.finding import Assessment, Finding, Severity, read_assessment
from asepsis.domain.quotas import Quotas
from asepsis.domain.release import Cell, Released, read_released
from asepsis.domain.sealed import Sealed

_UNKNOWN: Final = float("inf")
_MEMORY_WORD: Final = Finding(
    code="disclosure.memory",
    severity=Severity.PASS,
    reason="Nothing is shown that is about the persons of another release, or all but a few of them.",
)
_WORDS: Final = (
    _MEMORY_WORD,
    Finding(
        code="disclosure.low_effect",
        severity=Severity.PASS,
        reason="Nothing is shown if a range, exclusion or alternative of the question matters for a few persons only.",
    ),
)


Behind = tuple[Sealed[CellTable], Sealed[Contributors]]
"""Cells, and the persons behind them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Who asks what: ``question`` is the digest of the plan *and* of the snapshots it is asked of.

    ``data`` is the digest of the snapshots alone: cells of other data are other cells. ``notes`` are the words of
    planning to the author.
    """

    author: str
    question: str
    data: str
    notes: tuple[Finding, ...] = ()
    quotas: Quotas = field(default_factory=Quotas)
    most_bytes: int = MOST_BYTES


def recall(memory: Memory, question: str) -> Assessed | None:
    """The earlier answer to an equal question, before anything is computed."""
    answer = memory.answer(question)
    if answer is None:
        return None
    released = None if answer.released is None else read_released(answer.released)
    return Assessed(released=released, assessment=read_assessment(answer.assessment))


def assess_with_memory(
    cells: Sealed[CellTable],
    contributors: Sealed[Contributors],
    shape: Shape,
    profile: Profile,
    *,
    memory: Memory,
    asking: Asking,
) -> tuple[Assessed, Memory]:
    """Judge cells by the profile and by everything released before; the memory that knows this release, too."""
    known = recall(memory, asking.question)
    if known is not None:
        return known, memory
    behind = contributors.unseal()
    if exceeded(memory.asked, author=asking.author, skeleton=behind.skeleton, quotas=asking.quotas):
        return _refused(profile, asking, QUOTA), memory
    numbered, places = memory.numbered(behind.tokens)
    table = with_noise(cells.unseal(), behind, profile, key=memory.key, data=asking.data)
    found = _candidates(table, behind, shape, profile, data=asking.data, places=places)
    candidates = [candidate for candidate, _ in found]
    out = held(candidates, numbered, threshold=profile.threshold, width=profile.width)
    inside: dict[tuple[int, tuple[Cell, ...]], frozenset[int]] = {}
    for place in sorted(out):
        population = found[place][1]
        cell = (population.branch, population.keys)
        inside[cell] = inside.get(cell, frozenset()) | frozenset(population.measures)
    left = [found[place] for place in range(len(found)) if place not in out]
    margins = complemented(table, shape, profile, inside, known=_known(left, numbered))
    assessed = assess(Sealed(table), shape, profile, held=inside, words=(*_WORDS, *asking.notes), margins=margins)
    shown, hidden = _parted(left, margins, profile)
    after = _remembered(_with_shown(numbered, hidden), shown, assessed, asking, behind.skeleton)
    return _bounded(assessed, memory, after, profile, asking)


def assess_method(
    compute: Callable[[], tuple[Assessed, Behind]],
    profile: Profile,
    *,
    memory: Memory,
    asking: Asking,
    skeleton: str,
) -> tuple[Assessed, Memory]:
    """Judge a method, which protects its own result, by everything released before; the memory that knows it, too.

    The first column of its table is the stratum; the cells of the persons behind it come by stratum, or all together.
    A stratum is held where a cell with these persons would be. It tells no bounds that the linear programs see.
    """
    known = recall(memory, asking.question)
    if known is not None:
        return known, memory
    if exceeded(memory.asked, author=asking.author, skeleton=skeleton, quotas=asking.quotas):
        return _refused(profile, asking, QUOTA), memory
    judged, (cells_behind, contributors) = compute()
    behind = _enough(cells_behind.unseal(), contributors.unseal(), profile)
    numbered, places = memory.numbered(behind.tokens)
    strata = _strata(judged.released, behind, profile, data=asking.data, places=places)
    candidates = list(strata.values())
    out = held(candidates, numbered, threshold=profile.threshold, width=profile.width)
    let_out = {stratum: one.shown for place, (stratum, one) in enumerate(strata.items()) if place not in out}
    assessed = _with_strata(judged, let_out, (_MEMORY_WORD, *asking.notes))
    cells = 0 if assessed.released is None else len(assessed.released.rows)
    after = _answered(_with_shown(numbered, list(let_out.values())), assessed, asking, skeleton, cells=cells)
    return _bounded(assessed, memory, after, profile, asking)


def assess_noisy(
    compute: Callable[[], Assessed], profile: Profile, *, memory: Memory, asking: Asking, skeleton: str
) -> tuple[Assessed, Memory]:
    """Count an answer with noise against the quotas, and keep it: an equal question never gets another sample.

    Its privacy is accounted for, so its persons are neither remembered nor compared.
    """
    known = recall(memory, asking.question)
    if known is not None:
        return known, memory
    if exceeded(memory.asked, author=asking.author, skeleton=skeleton, quotas=asking.quotas):
        return _refused(profile, asking, QUOTA), memory
    assessed = compute()
    cells = 0 if assessed.released is None else len(assessed.released.rows)
    return _bounded(assessed, memory, _answered(memory, assessed, asking, skeleton, cells=cells), profile, asking)


def _known(left: list[tuple[Candidate, Population]], memory: Memory) -> frozenset[Place]:
    """The cells that were released before."""
    earlier = Index(memory.shown)
    return frozenset((one.branch, one.keys) for candidate, one in left if earlier.knows(candidate.shown))


def _parted(
    left: list[tuple[Candidate, Population]], margins: Complemented, profile: Profile
) -> tuple[list[Shown], list[Shown]]:
    """What is shown, and what is hidden to protect other cells.

    The latter is remembered under a name of its own, so that a later cell of these persons is held like one that is
    about the persons of another release.
    """
    if not margins.protected:
        return [], []
    hidden = [
        replace(candidate.shown, identity=f"hidden:{candidate.shown.identity}", low=profile.threshold, high=_UNKNOWN)
        for candidate, one in left
        if (one.branch, one.keys) in margins.hidden
    ]
    shown = [candidate.shown for candidate, one in left if (one.branch, one.keys) not in margins.hidden]
    return shown, hidden


def _enough(cells: CellTable, behind: Contributors, profile: Profile) -> Contributors:
    """The persons behind the strata that come from enough providers and sites."""
    few = {
        (number, row.keys)
        for number, rows in enumerate(cells.branches)
        for row in rows
        if too_few_affiliations(row, profile)
    }
    populations = tuple(one for one in behind.populations if (one.branch, one.keys) not in few)
    return replace(behind, populations=populations)


def _strata(
    released: Released | None,
    behind: Contributors,
    profile: Profile,
    *,
    data: str,
    places: np.ndarray[tuple[int], np.dtype[np.uint32]],
) -> dict[Cell, Candidate]:
    """The persons behind every stratum that the method shows; those of a stratum without any stay inside."""
    shown = dict.fromkeys(row[0] for row in released.rows) if released is not None else {}
    found: dict[Cell, Candidate] = {}
    for population in behind.populations:
        stratum = population.keys[0] if population.keys else next(iter(shown), None)
        if stratum not in shown or stratum in found:
            continue
        persons = people(places[population.places])
        cell = Shown(
            identity=f"{population.identity}@{data}", persons=persons, low=profile.threshold, high=float("inf")
        )
        found[stratum] = Candidate(
            shown=cell, table=population.branch, plain=population.plain, effect=population.effect
        )
    return found


def _with_strata(judged: Assessed, let_out: Mapping[Cell, Shown], words: tuple[Finding, ...]) -> Assessed:
    """The strata that may go; where none is left, the words are those of a result of which nothing can be shown."""
    findings = tuple(one for one in judged.assessment.findings if one != NOTHING_SHOWN)
    rows = [] if judged.released is None else list(zip(judged.released.rows, judged.released.actions, strict=True))
    left = [(row, actions) for row, actions in rows if row[0] in let_out]
    if judged.released is None or not left:
        assessment = replace(judged.assessment, findings=(*findings, *words, NOTHING_SHOWN))
        return Assessed(released=None, assessment=assessment)
    released = replace(
        judged.released, rows=tuple(row for row, _ in left), actions=tuple(actions for _, actions in left)
    )
    return Assessed(released=released, assessment=replace(judged.assessment, findings=(*findings, *words)))


def _refused(profile: Profile, asking: Asking, finding: Finding) -> Assessed:
    return Assessed(released=None, assessment=Assessment(profile=profile.label, findings=(*asking.notes, finding)))


def _bounded(
    assessed: Assessed, before: Memory, after: Memory, profile: Profile, asking: Asking
) -> tuple[Assessed, Memory]:
    """Nothing is released that the memory has no room for."""
    if len(to_bytes(after)) <= asking.most_bytes:
        return assessed, after
    return _refused(profile, asking, FULL), before


def _candidates(
    table: CellTable,
    behind: Contributors,
    shape: Shape,
    profile: Profile,
    *,
    data: str,
    places: np.ndarray[tuple[int], np.dtype[np.uint32]],
) -> list[tuple[Candidate, Population]]:
    """The populations of which the profile would show something, with the bounds it would give away."""
    rows = [{row.keys: row for row in branch} for branch in table.branches]
    found = []
    for population in behind.populations:
        branch, row = shape.branches[population.branch], rows[population.branch].get(population.keys)
        measures = None if row is None else protected_measures(branch, row, profile)
        if measures is None or not _any_shown(measures, population):
            continue
        low, high = _bounds(measures, population, shape, profile)
        shown = Shown(
            identity=f"{population.identity}@{data}", persons=people(places[population.places]), low=low, high=high
        )
        candidate = Candidate(shown=shown, table=population.branch, plain=population.plain, effect=population.effect)
        found.append((candidate, population))
    return found


def _any_shown(measures: tuple[Protected, ...], population: Population) -> bool:
    return population.measures == (WHOLE,) or any(measures[place] is not None for place in population.measures)


def _bounds(
    measures: tuple[Protected, ...], population: Population, shape: Shape, profile: Profile
) -> tuple[float, float]:
    """What the measures tell about the number of persons."""
    for place in population.measures:
        value = None if place == WHOLE else measures[place]
        spec = None if place == WHOLE else shape.branches[population.branch].measures[place]
        if spec is not None and spec.kind is MeasureKind.PERSONS and isinstance(value, int):
            return profile.bounds(value)
    return profile.threshold, float("inf")


def _remembered(memory: Memory, shown: list[Shown], assessed: Assessed, asking: Asking, skeleton: str) -> Memory:
    remembering = _with_shown(memory, shown)
    return _answered(remembering, assessed, asking, skeleton, cells=len(remembering.shown) - len(memory.shown))


def _with_shown(memory: Memory, shown: list[Shown]) -> Memory:
    known = {(one.identity, one.low, one.high, one.persons.size) for one in memory.shown}
    fresh = [one for one in shown if (one.identity, one.low, one.high, one.persons.size) not in known]
    return replace(memory, shown=(*memory.shown, *fresh))


def _answered(memory: Memory, assessed: Assessed, asking: Asking, skeleton: str, *, cells: int) -> Memory:
    released = assessed.released
    answer = Answered(
        question=asking.question,
        assessment=assessed.assessment.to_document(),
        released=None if released is None else released.to_document(),
    )
    asked = Asked(question=asking.question, author=asking.author, skeleton=skeleton, cells=cells)
    return replace(memory, asked=(*memory.asked, asked), answers=(*memory.answers, answer))
