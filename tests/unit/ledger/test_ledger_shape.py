"""The quick reading of entries says yes only where the full reading says yes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asepsis.domain.ledger import FACTS, PERSONAL, Act, LedgerEntry
from asepsis.domain.names import PartyId
from asepsis.errors.ledger import EntryMalformed
from asepsis.ledger import shape
from asepsis.ledger.entry import entry_bytes, parse_entry
from asepsis.ledger.tree import Fold, leaf_hash

LINE = entry_bytes(
    LedgerEntry(
        at=datetime(2024, 2, 29, 23, 59, 59, 7, tzinfo=UTC),
        actor=PartyId("northgate"),
        act=Act.GRANT_GIVEN,
        subject="run-1",
        facts={"contract": "a" * 64, "count": 3, "size": 0, "remaining": -5},
        commitments={"clinician": "c" * 64, "person": "b" * 64},
    )
)


def same(line: bytes) -> None:
    """Both readings end alike, also where the quick one knows the shape of an entry that is nearly the same."""
    try:
        expected = parse_entry(line).act
    except EntryMalformed:
        with pytest.raises(EntryMalformed):
            shape.act_of(line)
        with pytest.raises(EntryMalformed):
            list(shape.acts_of([LINE, line]))
    else:
        assert shape.act_of(line) is expected
        assert list(shape.acts_of([LINE, line, LINE])) == [Act.GRANT_GIVEN, expected, Act.GRANT_GIVEN]


@given(
    st.sampled_from(Act),
    st.dictionaries(
        st.sampled_from(sorted(FACTS)),
        st.integers(-(2**53) + 1, 2**53 - 1) | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:@/+=-]{0,50}", fullmatch=True),
    ),
    st.sets(st.sampled_from(sorted(PERSONAL))),
    st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_every_entry_is_recognised(act: Act, facts: dict[str, Any], personal: set[str], at: datetime) -> None:
    commitments = dict.fromkeys(personal, "d" * 64)
    entry = LedgerEntry(at=at, actor=PartyId("room"), act=act, subject="run-1", facts=facts, commitments=commitments)
    assert shape.act_of(entry_bytes(entry)) is act


def test_an_ordinary_entry_is_not_read_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guard of the speed alone: without the pattern, audits take ten times as long."""
    monkeypatch.setattr(shape, "parse_entry", lambda _: pytest.fail("it was read in full"))
    assert shape.act_of(LINE) is Act.GRANT_GIVEN


def test_an_entry_like_the_one_before_is_held_against_its_values_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guard of the speed alone: without what was learnt, audits take half as long again."""
    seen: list[bytes] = []
    wide = shape.act_of
    monkeypatch.setattr(shape, "act_of", lambda line: (seen.append(line), wide(line))[1])
    other = LINE.replace(b"run-1", b"run-2")
    assert list(shape.acts_of([LINE, other, other])) == [Act.GRANT_GIVEN] * 3
    assert seen == [LINE]


@given(st.lists(st.sampled_from(sorted(FACTS)), unique=True, max_size=3), st.lists(st.sampled_from(Act), max_size=12))
def test_entries_of_changing_shapes_are_recognised_in_their_order(names: list[str], acts: list[Act]) -> None:
    entries = [
        LedgerEntry(
            at=datetime(2024, 1, 1, tzinfo=UTC),
            actor=PartyId("room"),
            act=act,
            subject="run-1",
            facts=dict.fromkeys(names[: number % 4], number),
        )
        for number, act in enumerate(acts)
    ]
    assert list(shape.acts_of(map(entry_bytes, entries))) == acts


@given(st.integers(0, len(LINE) - 1), st.sampled_from([*b'"{}:,.0129azAZ-_ \\\x00\xff']))
@example(LINE.index(b"29T"), ord("3"))
def test_a_changed_byte_is_judged_as_by_the_full_reading(place: int, byte: int) -> None:
    same(LINE[:place] + bytes([byte]) + LINE[place + 1 :])


CHANGES = {
    "a day that is none": (b"2024-02-29", b"2023-02-29"),
    "the year nought": (b"2024-02-29", b"0000-02-29"),
    "hour 24": (b"T23:59:59", b"T24:00:00"),
    "an unknown act": (b"grant.given", b"grant.taken"),
    "an unknown fact": (b'"count"', b'"court"'),
    "a fact twice": (b'"remaining"', b'"count"'),
    "facts out of order": (b'"contract"', b'"zontract"'),
    "a person's name": (b'"person"', b'"surname"'),
    "a commitment twice": (b'"clinician"', b'"person"'),
    "a fact in place of a commitment": (b'"clinician"', b'"contract"'),
    "a short commitment": (b"c" * 64, b"c" * 63),
    "a number too large": (b":-5", b":99999999999999999"),
    "the largest number": (b":-5", b":9007199254740991"),
    "one more than the largest": (b":-5", b":9007199254740992"),
    "a leading nought": (b":3,", b":03,"),
    "a negative nought": (b":0}", b":-0}"),
    "a fraction": (b":3,", b":3.0,"),
    "true": (b":3,", b":true,"),
    "an escape": (b"run-1", b"run\\u002d1"),
    "a line end": (b"}", b"}\n"),
    "a long subject": (b"run-1", b"r" * 201),
    "another format": (b"entry/1", b"entry/2"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_nearly_an_entry_is_judged_as_by_the_full_reading(change: str) -> None:
    old, new = CHANGES[change]
    assert LINE.count(old)
    same(LINE.replace(old, new))


@given(st.lists(st.integers(0, 700), max_size=4), st.binary(max_size=6))
@example([1, 255, 256, 1], b"")
def test_adding_entries_is_adding_their_hashes(lengths: list[int], salt: bytes) -> None:
    one, other = Fold(), Fold()
    entries = [salt + bytes([number % 251]) for number in range(sum(lengths))]
    start = 0
    for length in lengths:
        one.extend(entries[start : start + length])
        start += length
    for entry in entries:
        other.add(leaf_hash(entry))
    assert (one.size, one.root()) == (other.size, other.root())
