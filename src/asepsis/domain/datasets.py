"""The datasets of a contract: who brings them and what they hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from asepsis.domain.documents import Document, Fields
from asepsis.domain.names import PartyId
from asepsis.domain.snapshot import Label

TEXT_COLUMN: Final = re.compile(r"[a-z][a-z0-9_]{0,62}\.[a-z][a-z0-9_]{0,62}")
"""A column of a table, as a clause names it."""


NAME_KEYS: Final = "name_keys"
"""The table beside clinical tables that opens, person by person, the identifiers in the owner's home."""


class Holding(StrEnum):
    """What a dataset holds; identifiers and clinical data never travel together."""

    CLINICAL = "clinical"
    IDENTITY = "identity"
    TOKENS = "tokens"
    """Keyed tokens in place of identifiers, for one linkage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A dataset that an owner brings into the room; ``free_text`` are the columns with text that it may hold."""

    name: str
    owner: PartyId
    label: Label
    holds: Holding
    free_text: frozenset[str] = frozenset()


def read_dataset(name: str, fields: Fields) -> Dataset:
    """Read one dataset of a contract. Raises DocumentMalformed."""
    dataset = Dataset(
        name=name,
        owner=PartyId(fields.name("owner")),
        label=fields.choice("label", Label),
        holds=fields.choice("holds", Holding),
        free_text=frozenset(fields.texts("free_text", default=())),
    )
    if not all(map(TEXT_COLUMN.fullmatch, dataset.free_text)):
        raise fields.malformed("free_text", "columns are named like note.note_text")
    if dataset.free_text and dataset.holds is not Holding.CLINICAL:
        raise fields.malformed("free_text", "only a clinical dataset holds free text")
    return dataset


def dataset_document(dataset: Dataset) -> Document:
    """The dataset as the contract's document holds it; its name is the key."""
    document: Document = {"owner": dataset.owner, "label": dataset.label.value, "holds": dataset.holds.value}
    return document | ({"free_text": sorted(dataset.free_text)} if dataset.free_text else {})
