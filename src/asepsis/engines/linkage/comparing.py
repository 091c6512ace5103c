"""Compares pairs of lines: one level of agreement per comparison, packed into a pattern.

A pattern has three bits per comparison, in the order of ``COMPARISONS``: the level plus one, zero for missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from asepsis.engines.linkage.lines import COMPARED, EQUAL_ONLY, MARKS, Flags, Forms, Ids, Lines
from asepsis.engines.linkage.near import NEAR, Levels, Nearness
from asepsis.linkage.classes import COMPARISONS, MISSING
from asepsis.linkage.stretches import Places
from asepsis.linkage.token_fields import DOMAIN_OF, Domain

BITS: Final = 3
EQUAL: Final = 4
"""The highest level of a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The pattern of every pair, and the names that it agrees in; 0 where it does not, or crosswise only."""

    pattern: npt.NDArray[np.uint32]
    given: Ids
    family: Ids


def compare(lines: Lines, i: Ids, j: Ids, *, near: Nearness, threads: int) -> Compared:
    """Compare every line of ``i`` with the one at the same place of ``j``, in chunks side by side on ``threads``."""
    found = Compared(
        pattern=np.empty(len(i), dtype=np.uint32),
        given=np.empty(len(i), dtype=np.int32),
        family=np.empty(len(i), dtype=np.int32),
    )

    def part(start: int) -> None:
        chunk = slice(start, start + near.at_once)
        _compare(_Beside(lines, i[chunk], j[chunk], near), found, chunk)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(part, range(0, len(i), near.at_once)))
    return found


def unpacked(pattern: int) -> tuple[int, ...]:
    """The levels of a pattern, ``MISSING`` for missing."""
    return tuple((pattern >> (BITS * at) & (1 << BITS) - 1) - 1 for at in range(len(COMPARISONS)))


class _Beside:
    """The values of two lines beside each other, for all pairs of a chunk."""

    def __init__(self, lines: Lines, i: Ids, j: Ids, near: Nearness) -> None:
        self.lines, self._near = lines, near
        self.i, self.j = i.astype(np.intp), j.astype(np.intp)
        self._same, self._known = (np.empty((len(COMPARED) + 1, len(i)), dtype=np.bool_) for _ in range(2))
        self._left, self._right = (np.empty((len(COMPARED) + 1 - _VALUES, len(i)), dtype=np.int32) for _ in range(2))
        for start in range(0, len(i), _ROWS_AT_ONCE):
            self._turn(slice(start, start + _ROWS_AT_ONCE))

    def _turn(self, chunk: slice) -> None:
        """Make columns of the rows of two lines each."""
        left, right = (self.lines.rows.take(line[chunk], axis=0, mode="clip") for line in (self.i, self.j))
        self._same[:, chunk] = (left == right).T
        self._known[:, chunk] = np.logical_and(left, right).T
        self._left[:, chunk], self._right[:, chunk] = left[:, _VALUES:].T, right[:, _VALUES:].T

    def __len__(self) -> int:
        """How many pairs."""
        return len(self.i)

    def both(self, name: str) -> tuple[Ids, Ids]:
        """The two values of a column that has variants."""
        at = _AT[name] - _VALUES
        return self._left[at], self._right[at]

    def either(self, mark: str, other: str) -> Flags:
        """Whether the first line has one mark or the second line the other."""
        one, two = (np.int32(1 << MARKS.index(each)) for each in (mark, other))
        either: Flags = ((self._left[-1] & one) | (self._right[-1] & two)) > 0
        return either

    def known(self, name: str) -> Flags:
        """Whether both have a value."""
        known: Flags = self._known[_AT[name]]
        return known

    def equal(self, name: str) -> Flags:
        """Whether both have the same value."""
        equal: Flags = self._same[_AT[name]] & self._known[_AT[name]]
        return equal

    def differ(self, name: str) -> Flags:
        """Whether both have a value, and not the same."""
        differ: Flags = self._known[_AT[name]] > self._same[_AT[name]]
        return differ

    def near(self, name: str, *, where: Flags | None = None) -> Levels:
        """How near two different values of a column are."""
        differ = self.differ(name)
        return self._asked(name, *self.both(name), differ if where is None else differ & where)

    def crosswise(self, name: str, other: str) -> Flags:
        """Whether the value of one column in the first line is that of another in the second."""
        left, right = self.both(name)[0], self.both(other)[1]
        same: Flags = (left == right) & (left > 0)
        return same

    def near_crosswise(self, name: str, other: str, *, where: Flags) -> Levels:
        """How near the value of one column in the first line is to a different one of another in the second."""
        left, right = self.both(name)[0], self.both(other)[1]
        return self._asked(name, left, right, where & (left != right) & np.logical_and(left, right))

    def _asked(self, name: str, left: Ids, right: Ids, asked: Flags) -> Levels:
        if self._near.is_table(Domain(DOMAIN_OF[name])):
            every: Levels = self._near(Domain(DOMAIN_OF[name]), left, right) * asked
            return every
        places = np.flatnonzero(asked)
        levels = np.zeros(len(asked), dtype=np.int8)
        levels[places] = self._near(
            Domain(DOMAIN_OF[name]), left.take(places, mode="clip"), right.take(places, mode="clip")
        )
        return levels

    @property
    def is_of_one_owner(self) -> Flags:
        """Whether both lines are one owner's."""
        left, right = (self.lines.owner_of[self.lines.node.take(each, mode="clip")] for each in (self.i, self.j))
        same: Flags = left == right
        return same

    @cached_property
    def is_at_home(self) -> Flags:
        """Whether any part of the address but the street is equal."""
        return self.equal("number") | self.equal("city") | self.equal("postal_code")

    @cached_property
    def is_line_crossed(self) -> Flags:
        """Whether the street of one is or is near the second line of the other."""
        where = self.is_at_home & self.differ("street")
        crossed = self.crosswise("street", "second_line") | self.crosswise("second_line", "street")
        crossed |= self.near_crosswise("street", "second_line", where=where) > 0
        crossed |= self.near_crosswise("second_line", "street", where=where) > 0
        return crossed


def _compare(pairs: _Beside, found: Compared, chunk: slice) -> None:
    """Write what the pairs of a chunk agree in to its place in ``found``."""
    given, family, is_crossed = _names(pairs)
    second = _levels(pairs, "second_line")
    street = _levels(pairs, "street", where=pairs.is_at_home)
    for line in (second, street):
        line[(line == 0) & pairs.is_line_crossed] = 1
    area = np.maximum(_levels(pairs, "postal_code"), _levels(pairs, "city"))
    levels: Mapping[str, Levels] = {
        "given": given,
        "family": family,
        "birth": _birth(pairs),
        "sex": _yes_or_no(pairs, "sex"),
        "address": _address(street, area, pairs.equal("number")),
        "phone": _levels(pairs, "phone"),
        "second_line": second,
        "state": _yes_or_no(pairs, "state"),
        "national_id": _levels(pairs, "national_id"),
        "list": pairs.is_of_one_owner.astype(np.int8),
    }
    pattern = np.zeros(len(pairs), dtype=np.uint32)
    for at, comparison in enumerate(COMPARISONS):
        pattern |= (levels[comparison.name] + 1).astype(np.uint32) << np.uint32(BITS * at)
    found.pattern[chunk] = pattern
    found.given[chunk] = np.where((given == EQUAL) & ~is_crossed, pairs.both("given")[0], 0)
    found.family[chunk] = np.where((family == EQUAL) & ~is_crossed, pairs.both("family")[0], 0)


def _levels(pairs: _Beside, name: str, *, where: Flags | None = None) -> Levels:
    """0 different, 1 near, 2 equal."""
    levels: Levels = (pairs.near(name, where=where) > 0).astype(np.int8)
    levels[pairs.equal(name)] = 2
    levels[~pairs.known(name)] = MISSING
    return levels


def _yes_or_no(pairs: _Beside, name: str) -> Levels:
    levels: Levels = pairs.equal(name).astype(np.int8)
    levels[~pairs.known(name)] = MISSING
    return levels


def _names(pairs: _Beside) -> tuple[Levels, Levels, Flags]:
    """The levels of given and family name, and whether they agree only when one is held against the other."""
    nick = pairs.equal("given_canonical")
    initials = pairs.equal("given_initial")
    given = _name(pairs, "given", weak=initials, sound=pairs.equal("given_sound"), nick=nick)
    only_initial = pairs.either("is_initial", "is_initial") & (given >= 0) & (given < NEAR)
    given[only_initial] = np.where(initials[only_initial], 2, 0)
    family = _name(pairs, "family", weak=pairs.equal("family_four"), sound=pairs.equal("family_sound"), nick=None)
    one, other = pairs.crosswise("given", "family"), pairs.crosswise("family", "given")
    is_unlike = (given < 2) & (family < 2)  # noqa: PLR2004 - neither sounds alike
    one_level = np.where(one, EQUAL, _crossed_level(pairs, "given", "family", where=is_unlike & other))
    other_level = np.where(other, EQUAL, _crossed_level(pairs, "family", "given", where=is_unlike & one))
    is_crossed: Flags = is_unlike & (one_level >= NEAR) & (other_level >= NEAR)
    given[is_crossed], family[is_crossed] = one_level[is_crossed], other_level[is_crossed]
    return given, family, is_crossed


def _name(pairs: _Beside, name: str, *, weak: Flags, sound: Flags, nick: Flags | None) -> Levels:
    """0 none, 1 how it begins, 2 sound, 3 near, nickname or another form, 4 equal."""
    near = pairs.near(name, where=None if nick is None else ~nick)
    levels: Levels = (weak | (near == 1)).astype(np.int8)
    levels[sound | (near == 2)] = 2  # noqa: PLR2004 - a level
    levels[(near == NEAR) | _share_a_form(pairs, name, name, where=pairs.differ(name))] = NEAR
    if nick is not None:
        levels[nick] = NEAR
    levels[pairs.equal(name)] = EQUAL
    levels[~pairs.known(name)] = MISSING
    return levels


def _crossed_level(pairs: _Beside, name: str, other: str, *, where: Flags) -> Levels:
    """How near one name of the first line is to the other one of the second."""
    levels = pairs.near_crosswise(name, other, where=where)
    levels[_share_a_form(pairs, name, other, where=where)] = NEAR
    return levels


def _share_a_form(pairs: _Beside, name: str, other: str, *, where: Flags) -> Flags:
    """Whether a form of a name is one of a name of the second line, where either has more than one."""
    forms, others = (pairs.lines.forms[f"{each}_forms"] for each in (name, other))
    left, right = pairs.both(name)[0], pairs.both(other)[1]
    several = where & pairs.either(f"{name}_forms", f"{other}_forms")
    places = np.flatnonzero(several & np.logical_and(left, right))
    lefts = _spread(forms, pairs.i[places], left[places])
    rights = _spread(others, pairs.j[places], right[places])
    shared = np.zeros(len(pairs), dtype=np.bool_)
    shared[places[np.unique(lefts[np.isin(lefts, rights)] >> _FORM)]] = True
    return shared


def _spread(forms: Forms, lines: Places, values: Ids) -> npt.NDArray[np.int64]:
    """Every form of every name, with its place in ``lines`` as one number; the value where it has one form only."""
    starts = forms.starts[lines]
    several = forms.starts[lines + 1] - starts
    counts = np.maximum(several, 1)
    places = np.repeat(np.arange(len(lines)), counts)
    nth = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
    found = values[places].astype(np.int64)
    is_listed = several[places] > 0
    found[is_listed] = forms.values[(starts[places] + nth)[is_listed]]
    return (places << _FORM) | found


_FORM: Final = 32
_AT: Final[Mapping[str, int]] = {name: at for at, name in enumerate(COMPARED)}
"""Where a column stands in the rows."""
_VALUES: Final = len(EQUAL_ONLY)
"""From where on more than equality is asked."""
_ROWS_AT_ONCE: Final = 1 << 11
"""As many as stay in the cache of a processor while column after column is taken out of them."""


def _birth(pairs: _Beside) -> Levels:
    """0 none, 1 year, 2 two of year, month and day, 3 one slip, 4 day and month swapped, 5 equal.

    A date that is no day of the calendar speaks for a pair where it is near, and never against one.
    """
    other_century = pairs.differ("year")
    is_whole, is_equal = pairs.known("birth"), pairs.equal("birth")
    levels: Levels = pairs.equal("birth_short_year").astype(np.int8)
    levels[pairs.equal("birth_year_month")] = 2
    levels[is_whole & (pairs.equal("birth_year_day") | pairs.equal("birth_month_day"))] = 2
    levels[pairs.near("birth", where=~other_century) > 0] = 3
    levels[is_whole & pairs.equal("birth_sorted")] = 4
    levels[is_whole & ~pairs.known("birth_month_day") & (levels < NEAR)] = MISSING
    levels[is_equal] = 5
    levels[is_equal & other_century] = 1
    levels[~pairs.known("birth_short_year")] = MISSING
    return levels


def _address(street: Levels, area: Levels, number: Flags) -> Levels:
    """0 none, 1 area, 2 street, or number and area, 3 street with number or area, 4 nearly all, 5 all."""
    levels: Levels = (area >= 1).astype(np.int8)
    levels[(street >= 1) | (number & (area == 2))] = 2  # noqa: PLR2004 - equal
    levels[(street >= 1) & (number | (area >= 1))] = 3
    levels[(street == 2) & number & (area >= 1)] = 4  # noqa: PLR2004 - equal
    levels[(street == 2) & number & (area == 2)] = 5  # noqa: PLR2004 - equal
    levels[(street == MISSING) & (area == MISSING)] = MISSING
    return levels
