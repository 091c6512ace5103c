from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from asepsis.domain.source import Change, ChangeKind, Entry, EntryType
from asepsis.integrity.differences import diff

THEN = datetime(2013, 1, 1, tzinfo=UTC)
LATER = datetime(2013, 2, 1, tzinfo=UTC)


def a_file(path: str, content: str | None, *, size: int = 1, modified_at: datetime = THEN) -> Entry:
    return Entry(path=path, type=EntryType.FILE, size=size, content_id=content, modified_at=modified_at)


def test_equal_content_under_another_path_is_a_rename() -> None:
    changes = diff([a_file("/a/x.dat", "1")], [a_file("/b/x.dat", "1", modified_at=LATER)])
    assert changes == [Change(kind=ChangeKind.RENAMED, path="/b/x.dat", was="/a/x.dat")]


def test_a_copy_is_an_addition() -> None:
    changes = diff([a_file("/a", "1")], [a_file("/a", "1"), a_file("/b", "1")])
    assert changes == [Change(kind=ChangeKind.ADDED, path="/b")]


def test_among_equal_files_the_kept_name_decides() -> None:
    changes = diff([a_file("/1/x", "c"), a_file("/1/y", "c")], [a_file("/2/y", "c"), a_file("/2/x", "c")])
    assert {(change.path, change.was) for change in changes} == {("/2/x", "/1/x"), ("/2/y", "/1/y")}


def test_another_time_alone_is_no_change_where_content_is_known() -> None:
    assert diff([a_file("/a", "1")], [a_file("/a", "1", modified_at=LATER)]) == []


def test_a_kept_time_hides_no_change_where_content_is_known() -> None:
    assert [change.kind for change in diff([a_file("/a", "1")], [a_file("/a", "2")])] == [ChangeKind.MODIFIED]


def test_without_content_ids_size_and_time_decide() -> None:
    older = [a_file("/same", None), a_file("/time", None), a_file("/size", None)]
    newer = [a_file("/same", None), a_file("/time", None, modified_at=LATER), a_file("/size", None, size=2)]
    assert [change.path for change in diff(older, newer)] == ["/size", "/time"]


def test_empty_files_are_never_called_renamed() -> None:
    kinds = [change.kind for change in diff([a_file("/a", "e", size=0)], [a_file("/b", "e", size=0)])]
    assert sorted(kinds) == [ChangeKind.ADDED, ChangeKind.REMOVED]


def test_a_file_that_became_a_link_is_modified() -> None:
    link = Entry(path="/a", type=EntryType.LINK, size=0, link_target="/etc/passwd")
    assert [change.kind for change in diff([a_file("/a", "1")], [link])] == [ChangeKind.MODIFIED]


trees = st.dictionaries(st.sampled_from([f"/{name}" for name in "abcdefgh"]), st.sampled_from("1234"))


@given(older=trees, newer=trees)
def test_the_changes_lead_from_the_older_tree_to_the_newer(older: dict[str, str], newer: dict[str, str]) -> None:
    changes = diff([a_file(*item) for item in older.items()], [a_file(*item) for item in newer.items()])
    result = dict(older)
    for change in changes:
        if change.kind is ChangeKind.RENAMED and change.was is not None:
            assert older[change.was] == newer[change.path]
            del result[change.was]
        if change.kind is ChangeKind.REMOVED:
            del result[change.path]
    result |= {change.path: newer[change.path] for change in changes if change.kind is not ChangeKind.REMOVED}
    assert result == newer
    assert diff([a_file(*item) for item in newer.items()], [a_file(*item) for item in newer.items()]) == []
