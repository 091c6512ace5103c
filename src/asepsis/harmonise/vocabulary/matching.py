"""Codes of a source and the standard concepts that stand for them, each with its grade and how it was found.

Invariant: a target is standard and valid, or the code is not mapped and says why; where tables leave a choice, nothing
is chosen. Every code that was asked about is in the answer once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from asepsis.harmonise.mapping import Grade
from asepsis.harmonise.units import unit_codes
from asepsis.harmonise.vocabulary.codes import AS_WRITTEN, Spelling, dotted, spellings
from asepsis.harmonise.vocabulary.concepts import MAPS_TO, Concept, Concepts, Standing, standings
from asepsis.harmonise.vocabulary.gems import Gems, Route, Translation

_SHOWN: Final = 4
_RANGE_LENGTH: Final = 7


class Via(StrEnum):
    """A way that is tried."""

    MAPS_TO = "maps_to"
    GEM = "gem"


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedCode:
    """A source code, how often it occurs, and where it leads; concept 0 where it is not mapped.

    ``is_translated`` says that another code system was reached even if the vocabulary has no concept for it, and
    ``to_decide`` that tables leave several possibilities, which ``note`` names.
    """

    code: str
    count: int
    concept_id: int
    grade: Grade
    note: str
    via: Via | None = None
    is_translated: bool = False
    to_decide: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MapReport:
    """How much of a list of codes is mapped, by distinct codes and by the rows that carry them."""

    codes: int
    rows: int
    mapped_codes: int
    mapped_rows: int
    translated_codes: int
    translated_rows: int
    by_grade: Mapping[str, tuple[int, int]]
    unmapped: tuple[MappedCode, ...]


def map_codes(
    counts: Mapping[str, int], *, vocabulary: str, ways: Sequence[Via], concepts: Concepts, gems: Gems | None = None
) -> tuple[MappedCode, ...]:
    """Map every code by the first way that leads to one standard concept; the most frequent code first."""
    left = dict(counts)
    found: dict[str, MappedCode] = {}
    tried: dict[str, MappedCode] = {}
    for way in ways:
        answers = _WAYS[way](left, vocabulary, concepts, gems)
        found |= {code: answer for code, answer in answers.items() if answer.concept_id}
        tried |= {code: _better(tried.get(code), answer) for code, answer in answers.items()}
        left = {code: count for code, count in left.items() if code not in found}
    answers = {**tried, **found}
    return tuple(sorted((answers[code] for code in counts), key=lambda each: (-each.count, each.code)))


def report_of(mapped: Collection[MappedCode]) -> MapReport:
    """Count a map; what is not mapped is listed, the most frequent first."""
    hits = [each for each in mapped if each.concept_id]
    reached = [each for each in mapped if each.concept_id or each.is_translated]
    codes, rows = Counter(each.grade for each in mapped), Counter[Grade]()
    for each in mapped:
        rows[each.grade] += each.count
    return MapReport(
        codes=len(mapped),
        rows=sum(each.count for each in mapped),
        mapped_codes=len(hits),
        mapped_rows=sum(each.count for each in hits),
        translated_codes=len(reached),
        translated_rows=sum(each.count for each in reached),
        by_grade={str(grade): (codes[grade], rows[grade]) for grade in Grade},
        unmapped=tuple(each for each in mapped if not each.concept_id),
    )


def smallest_range(categories: Collection[str], ranges: Iterable[Concept]) -> Concept | None:
    """The narrowest range of categories, such as I30-I52, that holds all of these."""
    fitting = [
        concept
        for concept in ranges
        if len(concept.code) == _RANGE_LENGTH
        and all(concept.code[:3] <= category <= concept.code[4:] for category in categories)
    ]
    inner = [each for each in fitting if not any(_is_inside(other, each) for other in fitting)]
    return inner[0] if len(inner) == 1 else None


def _is_inside(inner: Concept, outer: Concept) -> bool:
    return inner.code != outer.code and outer.code[:3] <= inner.code[:3] and inner.code[4:] <= outer.code[4:]


def _better(earlier: MappedCode | None, later: MappedCode) -> MappedCode:
    """Of two failures the one that a person can do more with."""
    if earlier is None or later.is_translated or (later.to_decide and not earlier.is_translated):
        return later
    if earlier.is_translated or earlier.to_decide:
        return earlier
    return replace(earlier, note=f"{earlier.note}; {later.note}")


def _direct(
    counts: Mapping[str, int], vocabulary: str, concepts: Concepts, _gems: Gems | None
) -> dict[str, MappedCode]:
    """By the vocabulary itself: the concept of the code, followed to the standard one."""
    written = {code: _spellings(code, vocabulary) for code in counts}
    known = concepts.with_codes(vocabulary, {each.code for found in written.values() for each in found})
    chosen = {code: _choose(found, known) for code, found in written.items()}
    single = {code: each[1][0] for code, each in chosen.items() if each is not None and len(each[1]) == 1}
    stand = standings(single.values(), concepts)
    shared = concepts.mapped_from(vocabulary, {each.id for found in stand.values() for each in found.targets})
    answers = {}
    for code, count in counts.items():
        choice = chosen[code]
        if choice is None:
            answers[code] = _not_mapped(code, count, f"no concept of {vocabulary} has this code")
        elif code not in single:
            listed = _ids(choice[1])
            answers[code] = _not_mapped(code, count, f"the code stands for several concepts: {listed}", to_decide=True)
        else:
            found = stand[single[code].id]
            answers[code] = _from_standing(code, count, choice[0], found, shared)
    return answers


def _spellings(code: str, vocabulary: str) -> tuple[Spelling, ...]:
    return unit_codes(code) if vocabulary == "UCUM" else spellings(code, vocabulary)


def _choose(
    found: tuple[Spelling, ...], known: Mapping[str, tuple[Concept, ...]]
) -> tuple[Spelling, tuple[Concept, ...]] | None:
    """The first spelling that the vocabulary has; of several concepts with one code, those that are valid."""
    for spelling in found:
        concepts = known.get(spelling.code, ())
        if concepts:
            return spelling, tuple(each for each in concepts if each.is_valid) or concepts
    return None


def _from_standing(code: str, count: int, spelling: Spelling, found: Standing, shared: Mapping[int, int]) -> MappedCode:
    words = [word for word in (" then ".join(found.steps) or "standard code", _repair(spelling.way)) if word]
    target = found.target
    if target is None:
        reason = f"several targets: {_ids(found.targets)}" if found.targets else "no valid standard target"
        return _not_mapped(code, count, f"{'; '.join(words)}; {reason}", to_decide=bool(found.targets))
    grade = Grade.EXACT
    if MAPS_TO in found.steps and shared.get(target.id, 0) > 1:
        grade = Grade.BROADER
        words.append(f"shared by {shared[target.id]} codes")
    return MappedCode(code=code, count=count, concept_id=target.id, grade=grade, note="; ".join(words), via=Via.MAPS_TO)


def _by_gem(
    counts: Mapping[str, int], _vocabulary: str, concepts: Concepts, gems: Gems | None
) -> dict[str, MappedCode]:
    """By the equivalences of CMS, then from the ICD-10 code by the vocabulary."""
    if gems is None:
        return {code: _not_mapped(code, count, "no GEM file was given") for code, count in counts.items()}
    translated = {code: gems.translate(code) for code in counts}
    step = _IcdTen(translated.values(), gems.target, concepts)
    return {code: step.answer(code, count, translated[code]) for code, count in counts.items()}


class _IcdTen:
    """From ICD-10 codes to standard concepts, asked for all translations at once."""

    def __init__(self, translations: Iterable[Translation], vocabulary: str, concepts: Concepts) -> None:
        every = list(translations)
        self._vocabulary = vocabulary
        self._ranges = concepts.ranges(vocabulary) if any(len(each.targets) > 1 for each in every) else ()
        codes = {dotted(target, vocabulary) for each in every for target in (*each.targets, *_heads(each))}
        known = concepts.with_codes(vocabulary, codes)
        self._concepts = {
            code: found[0] for code, all_found in known.items() if len(found := _valid_first(all_found)) == 1
        }
        self._stand = standings([*self._concepts.values(), *self._ranges], concepts)
        targets = {concept.id for stand in self._stand.values() for concept in stand.targets}
        self._shared = concepts.mapped_from(vocabulary, targets)

    def answer(self, code: str, count: int, translation: Translation) -> MappedCode:
        """One code, by its translation."""
        routes: dict[Route, Callable[[Translation], tuple[Concept | None, Grade, str]]] = {
            Route.ONE: self._one,
            Route.ALTERNATIVES: self._alternatives,
            Route.CATEGORY: self._category,
        }
        route = routes.get(translation.route)
        concept, grade, note = (None, Grade.NOT_MAPPED, translation.note) if route is None else route(translation)
        is_single = translation.is_single or len(_heads(translation)) == 1
        is_open = not is_single and bool(translation.targets)
        if concept is None:
            return _not_mapped(code, count, note, to_decide=is_open, is_translated=is_single)
        return MappedCode(
            code=code, count=count, concept_id=concept.id, grade=grade, note=note, via=Via.GEM, is_translated=True
        )

    def _one(self, translation: Translation) -> tuple[Concept | None, Grade, str]:
        grade = Grade.EXACT if translation.exact else Grade.APPROXIMATE
        return self._of(translation.targets[0], grade, f"{translation.note} ({grade} by GEM)")

    def _alternatives(self, translation: Translation) -> tuple[Concept | None, Grade, str]:
        """Alternatives that are one standard concept, or that share a category, leave no choice."""
        found = [self._of(target, Grade.APPROXIMATE, "")[0] for target in translation.targets]
        first = found[0]
        if first is not None and all(each is not None and each.id == first.id for each in found):
            return first, Grade.APPROXIMATE, f"{translation.note}, all one concept"
        return self._category(translation)

    def _category(self, translation: Translation) -> tuple[Concept | None, Grade, str]:
        heads = _heads(translation)
        if len(heads) == 1:
            return self._of(heads[0], Grade.BROADER, f"{translation.note}; category {heads[0]} (broader)")
        wide = smallest_range(heads, self._ranges)
        if wide is None:
            return None, Grade.NOT_MAPPED, f"{translation.note}; in {len(heads)} categories"
        note = f"{translation.note}; in {len(heads)} categories of {wide.code} (broader)"
        return self._stand[wide.id].target, Grade.BROADER, note

    def _of(self, code: str, grade: Grade, note: str) -> tuple[Concept | None, Grade, str]:
        source = self._concepts.get(dotted(code, self._vocabulary))
        if source is None:
            return None, Grade.NOT_MAPPED, f"{note}; the vocabulary has no {self._vocabulary} {code}"
        target = self._stand[source.id].target
        if target is None:
            return None, Grade.NOT_MAPPED, f"{note}; {self._vocabulary} {code} leads to no single standard concept"
        if grade is Grade.EXACT and self._shared.get(target.id, 0) > 1:
            grade = Grade.BROADER
        return target, grade, f"{note}; {MAPS_TO}"


def _heads(translation: Translation) -> tuple[str, ...]:
    """The ICD-10 categories of alternatives, or of a category route."""
    if translation.route not in {Route.ALTERNATIVES, Route.CATEGORY}:
        return ()
    return tuple(sorted({target[:3] for target in translation.targets}))


def _valid_first(found: tuple[Concept, ...]) -> tuple[Concept, ...]:
    return tuple(each for each in found if each.is_valid) or found


def _repair(way: str) -> str:
    return "" if way == AS_WRITTEN else way


def _ids(concepts: tuple[Concept, ...]) -> str:
    listed = "+".join(str(each.id) for each in concepts[:_SHOWN])
    return listed + ("+…" if len(concepts) > _SHOWN else "")


def _not_mapped(
    code: str, count: int, note: str, *, to_decide: bool = False, is_translated: bool = False
) -> MappedCode:
    return MappedCode(
        code=code,
        count=count,
        concept_id=0,
        grade=Grade.NOT_MAPPED,
        note=note,
        to_decide=to_decide,
        is_translated=is_translated,
    )


_Way = Callable[[Mapping[str, int], str, Concepts, Gems | None], dict[str, MappedCode]]
_WAYS: Final[Mapping[Via, _Way]] = {Via.MAPS_TO: _direct, Via.GEM: _by_gem}
