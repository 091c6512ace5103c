"""Codes reach standard concepts that are valid today, or say why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from vocabulary_world import concept_row, related_row

from asepsis.engines.vocabulary import VocabularyStore
from asepsis.harmonise.mapping import Grade
from asepsis.harmonise.vocabulary.gems import GemEntry, Gems
from asepsis.harmonise.vocabulary.matching import MappedCode, Via, map_codes, report_of

Load = Callable[..., VocabularyStore]
REPLACED = "Concept replaced by"

CONCEPTS = [
    concept_row(1, "S1", "SNOMED", "S"),
    concept_row(2, "S2", "SNOMED", "S"),
    concept_row(3, "S3", "SNOMED", "", invalid="U"),
    concept_row(4, "S4", "SNOMED", "", invalid="D"),
    concept_row(11, "001.0", "ICD9CM"),
    concept_row(12, "002.0", "ICD9CM"),
    concept_row(13, "003", "ICD9CM"),
    concept_row(14, "004", "ICD9CM"),
    concept_row(15, "005", "ICD9CM"),
    concept_row(16, "006", "ICD9CM"),
    concept_row(17, "007", "ICD9CM"),
    concept_row(18, "008", "ICD9CM", "S", invalid="D"),
    concept_row(19, "009", "ICD9CM", invalid="U"),
    concept_row(20, "010", "ICD9CM"),
    concept_row(5, "S5", "SNOMED", "S"),
    concept_row(21, "S1", "Read", "S"),
    concept_row(22, "s1", "Read", "", invalid="D"),
    concept_row(31, "A00.0", "ICD10CM"),
    concept_row(32, "A00", "ICD10CM"),
    concept_row(33, "B00-B09", "ICD10CM"),
    concept_row(34, "B00-B99", "ICD10CM"),
    concept_row(35, "C01.1", "ICD10CM"),
    concept_row(36, "C02.1", "ICD10CM"),
]
RELATIONS = [
    related_row(1, 1),
    related_row(11, 1),
    related_row(12, 3),
    related_row(3, 2, REPLACED),
    related_row(13, 1),
    related_row(13, 2),
    related_row(14, 4),
    related_row(15, 2, invalid="D"),
    related_row(16, 2),
    related_row(17, 2),
    related_row(19, 11, REPLACED),
    related_row(20, 5),
    related_row(31, 1),
    related_row(32, 2),
    related_row(33, 2),
    related_row(34, 1),
    related_row(35, 1),
    related_row(36, 1),
]


def gem(source: str, target: str, *, approximate: bool = False, combination: int = 0) -> GemEntry:
    return GemEntry(
        source=source, target=target, approximate=approximate, no_map=False,
        combination=combination > 0, scenario=min(combination, 1), choice=combination,
    )  # fmt: skip


GEMS = Gems(
    [
        gem("0310", "A000"),
        gem("0320", "A000", approximate=True),
        gem("0330", "A000", combination=1),
        gem("0330", "C011", combination=2),
        gem("0340", "B010"),
        gem("0341", "B020"),
        gem("0350", "C011"),
        gem("0350", "C021"),
        gem("0360", "Z999"),
        gem("0370", "A000"),
        gem("0371", "A001"),
    ],
    source="ICD9CM",
    target="ICD10CM",
)


@pytest.fixture
def small(vocabulary: Load) -> VocabularyStore:
    return vocabulary(CONCEPTS, RELATIONS)


def mapped(
    counts: Mapping[str, int], small: VocabularyStore, *ways: Via, vocabulary: str = "ICD9CM"
) -> dict[str, MappedCode]:
    ways = ways or (Via.MAPS_TO,)
    found = map_codes(counts, vocabulary=vocabulary, ways=ways, concepts=small, gems=GEMS)
    return {each.code: each for each in found}


@pytest.mark.parametrize(
    ("code", "concept", "grade", "words"),
    [
        ("010", 5, Grade.EXACT, "Maps to"),
        ("10.", 5, Grade.EXACT, "zeros restored"),
        ("001.0", 1, Grade.BROADER, "shared by 2 codes"),
        ("0010", 1, Grade.BROADER, "dot restored"),
        ("1.0", 1, Grade.BROADER, "zeros restored"),
        ("002.0", 2, Grade.BROADER, "Maps to then Concept replaced by"),
        ("003", 0, Grade.NOT_MAPPED, "several targets: 1+2"),
        ("004", 0, Grade.NOT_MAPPED, "no valid standard target"),
        ("005", 0, Grade.NOT_MAPPED, "no valid standard target"),
        ("006", 2, Grade.BROADER, "shared by 3 codes"),
        ("008", 0, Grade.NOT_MAPPED, "no valid standard target"),
        ("009", 1, Grade.BROADER, "Concept replaced by then Maps to"),
        ("999", 0, Grade.NOT_MAPPED, "no concept of ICD9CM"),
    ],
)
def test_the_vocabulary_leads_to_a_valid_standard_concept_or_nowhere(
    code: str, concept: int, grade: Grade, words: str, small: VocabularyStore
) -> None:
    found = mapped({code: 1}, small)[code]
    assert (found.concept_id, found.grade) == (concept, grade)
    assert words in found.note


def test_case_never_chooses_an_invalid_concept(small: VocabularyStore) -> None:
    """OHDSI/ETL-CDMBuilder#49: the case of a code chose a withdrawn concept."""
    found = mapped({"S1": 1, "s1": 1}, small, vocabulary="Read")
    assert (found["S1"].concept_id, found["s1"].concept_id) == (21, 0)


@pytest.mark.parametrize(
    ("code", "concept", "grade", "words"),
    [
        ("031.0", 1, Grade.BROADER, "exact by GEM"),
        ("032.0", 1, Grade.APPROXIMATE, "approximate by GEM"),
        ("033.0", 0, Grade.NOT_MAPPED, "combination: A000+C011"),
        ("034", 2, Grade.BROADER, "2 categories of B00-B09"),
        ("035.0", 1, Grade.APPROXIMATE, "all one concept"),
        ("036.0", 0, Grade.NOT_MAPPED, "the vocabulary has no ICD10CM Z999"),
        ("037", 2, Grade.BROADER, "category A00"),
        ("039", 0, Grade.NOT_MAPPED, "not in GEM"),
    ],
)
def test_equivalences_keep_their_grade(
    code: str, concept: int, grade: Grade, words: str, small: VocabularyStore
) -> None:
    found = mapped({code: 1}, small, Via.GEM)[code]
    assert (found.concept_id, found.grade) == (concept, grade)
    assert words in found.note


def test_ways_are_tried_in_order_and_the_report_counts_rows(small: VocabularyStore) -> None:
    found = map_codes(
        {"001.0": 5, "031.0": 7, "033.0": 2, "999": 9},
        vocabulary="ICD9CM", ways=[Via.MAPS_TO, Via.GEM], concepts=small, gems=GEMS,
    )  # fmt: skip
    report = report_of(found)
    assert (report.codes, report.rows, report.mapped_codes, report.mapped_rows) == (4, 23, 2, 12)
    assert [each.code for each in report.unmapped] == ["999", "033.0"]
    assert [each.to_decide for each in report.unmapped] == [False, True]
    assert [each.via for each in found] == [None, Via.GEM, Via.MAPS_TO, None]


def test_a_circle_of_replacements_ends(vocabulary: Load) -> None:
    concepts = [concept_row(1, "A", "V", invalid="U"), concept_row(2, "B", "V", invalid="U")]
    circle = vocabulary(concepts, [related_row(1, 2, REPLACED), related_row(2, 1, REPLACED)])
    assert mapped({"A": 1}, circle, vocabulary="V")["A"].concept_id == 0


def test_units_are_found_by_their_aliases(vocabulary: Load) -> None:
    units = vocabulary([concept_row(1, "mg/dL", "UCUM", "S"), concept_row(2, "[degC]", "UCUM", "S")])
    found = mapped({"MG/DL": 3, "Cel": 1, "furlong": 1}, units, vocabulary="UCUM")
    assert [found[code].concept_id for code in ("MG/DL", "Cel", "furlong")] == [1, 2, 0]
    assert found["MG/DL"].note == "standard code; alias of mg/dL"
