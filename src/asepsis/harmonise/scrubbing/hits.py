"""Places of a text that are to be replaced, each under a label; and replacing them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class Label(StrEnum):
    """What stands in place of what was taken out, in brackets."""

    NAME = "NAME"
    DATE = "DATE"
    ID = "ID"
    PHONE = "PHONE"
    PLACE = "PLACE"
    EMAIL = "EMAIL"
    URL = "URL"
    NUMBER = "NUMBER"


class Hit(NamedTuple):
    """A place in a text."""

    start: int
    end: int
    label: Label


def apart(hits: Iterable[Hit]) -> list[Hit]:
    """The places in order; those that overlap become one, under the label of the longest: nothing of them is left."""
    found: list[Hit] = []
    for hit in sorted(hits, key=lambda one: (one.start, -one.end)):
        if not found or hit.start >= found[-1].end:
            found.append(hit)
            continue
        last = found[-1]
        label = hit.label if hit.end - hit.start > last.end - last.start else last.label
        found[-1] = Hit(last.start, max(last.end, hit.end), label)
    return found


def replaced(text: str, hits: Iterable[Hit]) -> str:
    """The text with a label in each of the places, which stand apart and in order."""
    parts, place = [], 0
    for hit in hits:
        parts += [text[place : hit.start], f"[{hit.label}]"]
        place = hit.end
    return "".join([*parts, text[place:]])
