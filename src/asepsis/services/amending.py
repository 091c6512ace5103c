"""What an amendment changes, place by place: what it widens, what it narrows, and what is another agreement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from asepsis.domain.contract import Contract


class Direction(StrEnum):
    """Whether a change lets more happen, or less; what cannot be told counts as a change of its own."""

    WIDENS = "widens"
    NARROWS = "narrows"
    CHANGES = "changes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """One place of the contract; ``before`` and ``after`` are empty where there is nothing."""

    place: str
    direction: Direction
    before: str
    after: str

    @property
    def words(self) -> str:
        """The change in one line."""
        return f"{self.place}: {self.before or 'nothing'} -> {self.after or 'nothing'}"


_MORE_IS_WIDER: Final = (
    "budgets.*",
    "retention_days",
    "valid.until",
    "disclosure.quotas.*",
    "linkage.review",
    "dp.budget.*",
    "dp.question.*",
    "analyses.queries",
    "analyses.referrals",
)
_LESS_IS_WIDER: Final = ("valid.from", "runtime.level", "dp.least_persons")
_NEW_IS_WIDER: Final = (
    "analyses.methods.*",
    "analyses.templates.*",
    "continuity.*",
    "datasets.*",
    "disclosure.automatic_release.*",
    "disclosure.beside.*",
    "linkage.review",
    "linkage.stricter.*",
    "parties.*",
    "purposes.*",
    "runtime.measurements.*",
    "tables.*",
)
"""Places where more is wider, where less is, and where something new is; whatever else changes is neither."""
_UNSAID: Final = ("amends.*", "version")


def changes(new: Contract, *, before: Contract) -> tuple[Changed, ...]:
    """Every place where two versions differ, by its name; defaults are compared as the numbers that they are."""
    old_leaves, new_leaves = _leaves_of(before), _leaves_of(new)
    places = sorted(set(old_leaves) | set(new_leaves))
    return tuple(
        Changed(
            place=place,
            direction=_direction(place, old_leaves.get(place), new_leaves.get(place)),
            before=_said(old_leaves.get(place)),
            after=_said(new_leaves.get(place)),
        )
        for place in places
        if old_leaves.get(place) != new_leaves.get(place) and not _is_one_of(place, _UNSAID)
    )


def _direction(place: str, old: object, new: object) -> Direction:
    if (old is None or new is None) and _is_one_of(place, _NEW_IS_WIDER):
        return Direction.WIDENS if old is None else Direction.NARROWS
    if isinstance(old, int | str) and isinstance(new, int | str) and type(old) is type(new):
        is_more = new > old  # type: ignore[operator]  # the same type on both sides
        if _is_one_of(place, _MORE_IS_WIDER):
            return Direction.WIDENS if is_more else Direction.NARROWS
        if _is_one_of(place, _LESS_IS_WIDER):
            return Direction.NARROWS if is_more else Direction.WIDENS
    return Direction.CHANGES


def _leaves_of(contract: Contract) -> dict[str, object]:
    document = contract.to_document()
    document["disclosure"] = {**_mapping(document["disclosure"]), "quotas": contract.quotas.to_document()}
    document["linkage"] = contract.linkage.to_document()
    return dict(_leaves(document, ""))


def _leaves(value: object, place: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for item in value:
            yield f"{place}.{item}", True
    else:
        yield place, value


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _is_one_of(place: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(place, pattern) for pattern in patterns)


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
