"""Code maps are merged without touching what people have reviewed; a new release tells what it changes in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from vocabulary_world import concept_row, related_row

from asepsis.engines.vocabulary import VocabularyStore, read_code_maps, read_counts, write_map
from asepsis.engines.vocabulary.files import unmapped_beside
from asepsis.errors.vocabulary import CodesMalformed, VocabularyMissing
from asepsis.harmonise.mapping import Grade
from asepsis.harmonise.vocabulary.code_map import MapRow
from asepsis.harmonise.vocabulary.delta import Change, deltas
from asepsis.harmonise.vocabulary.matching import MappedCode

HEADER = "source_code,target_concept_id,grade,note\n"


def answer(code: str, concept: int, *, count: int = 1, note: str = "Maps to") -> MappedCode:
    grade = Grade.EXACT if concept else Grade.NOT_MAPPED
    return MappedCode(code=code, count=count, concept_id=concept, grade=grade, note=note)


def test_reviewed_rows_and_rows_nobody_asked_about_stay(tmp_path: Path) -> None:
    path = tmp_path / "m" / "codes" / "x.csv"
    path.parent.mkdir(parents=True)
    path.write_text(HEADER + 'A,7,broader,"reviewed by Dr B, 2026"\nB,8,exact,not reviewed\nC,9,exact,old\n')
    merge = write_map(path, [answer("A", 1), answer("B", 2), answer("D", 0, count=5), answer("E", 0, count=2)])
    assert (merge.added, merge.changed, merge.kept_reviewed) == (2, 1, 1)
    assert path.read_text() == HEADER + (
        'A,7,broader,"reviewed by Dr B, 2026"\nB,2,exact,Maps to\nC,9,exact,old\n'
        "D,0,not_mapped,Maps to\nE,0,not_mapped,Maps to\n"
    )
    listed = unmapped_beside(path)
    assert listed == tmp_path / "m" / "x.unmapped.csv"
    assert listed.read_text().splitlines()[1:] == ["D,5,Maps to,no", "E,2,Maps to,no"]


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    write_map(path, [answer("A", 1)])
    before = path.read_bytes()
    assert (write_map(path, [answer("A", 1)]).changed, path.read_bytes()) == (0, before)


@pytest.mark.parametrize("text", ["a,b\n1,2\n", HEADER + "A,1,exact\n", HEADER + '"A,1,exact,x\n'])
def test_what_is_no_code_map_is_refused_and_kept(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(CodesMalformed):
        write_map(path, [answer("A", 1)])
    assert path.read_text() == text


def test_codes_are_counted_in_any_column(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("d1,d2,count\n250,?,x\n250,38,x\n,a\tb,x\n")
    found = read_counts(path, columns=["d1", "d2"], ignored=["?"])
    assert (found.codes, found.empty, found.unusable) == ({"250": 2, "38": 1}, 2, 1)
    path.write_text("source_code,count\n250,40\n250,2\n")
    assert read_counts(path).codes == {"250": 42}


@pytest.mark.parametrize("text", ["x\n1\n", "code,count\nA,many\n", 'code\n"A\n', ""])
def test_a_list_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(CodesMalformed):
        read_counts(tmp_path / "c.csv")
    (tmp_path / "c.csv").write_bytes(b"code\n\xff\n")
    with pytest.raises(CodesMalformed):
        read_counts(tmp_path / "c.csv")
    with pytest.raises(VocabularyMissing):
        read_counts(tmp_path / "none.csv")


def test_a_new_release_tells_what_it_changes(vocabulary: Callable[..., VocabularyStore], tmp_path: Path) -> None:
    old = vocabulary([concept_row(number, str(number), "V", "S") for number in range(1, 8)], name="old")
    new = vocabulary(
        [
            concept_row(1, "1", "V", "S"),
            concept_row(2, "2", "V", "", invalid="U"),
            concept_row(3, "3", "V", ""),
            concept_row(4, "4", "V", "S", domain="Observation"),
            concept_row(5, "5", "V", "S", name="New name"),
            concept_row(8, "8", "V", "S"),
        ],
        [related_row(2, 1, "Concept replaced by"), related_row(3, 1)],
        name="new",
    )
    rows = [f"c{number},{number},exact,reviewed" for number in (*range(1, 7), 8, 9)]
    local = ["x0,0,not_mapped,n", "x1,2000000001,exact,local"]
    (tmp_path / "x.csv").write_text(HEADER + "\n".join([*rows, *local]) + "\n")
    found = deltas(read_code_maps([tmp_path / "x.csv"]), old=old, new=new)
    assert [(each.source_code, each.change, each.successors) for each in found] == [
        ("c2", Change.WITHDRAWN, (1,)),
        ("c3", Change.NOT_STANDARD, (1,)),
        ("c4", Change.MOVED, (4,)),
        ("c5", Change.RENAMED, (5,)),
        ("c6", Change.GONE, ()),
        ("c8", Change.ARRIVED, (8,)),
        ("c9", Change.UNKNOWN, ()),
    ]
    assert all(each.is_reviewed and each.file == "x.csv" for each in found)


@pytest.mark.parametrize(
    ("note", "is_reviewed"),
    [("reviewed", True), ("Reviewed: Dr B", True), ("not reviewed", False), ("unreviewed", False), ("", False)],
)
def test_a_row_is_reviewed_if_its_note_says_so(note: str, *, is_reviewed: bool) -> None:
    row = MapRow(source_code="A", target_concept_id="1", grade="exact", note=note)
    assert row.is_reviewed is is_reviewed
