"""Differential privacy as parties agree on it: what a question costs, what there is in all, and what is public.

A loss is additive: rho of zero-concentrated differential privacy in millionths, and the probability that a threshold
on groups fails in units of 10^-12. Both are whole numbers, so that an account never drifts.
Source: Bun, Steinke, "Concentrated Differential Privacy" (TCC 2016, arXiv 1605.02065), lemma 2.3 and section 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from asepsis.domain.catalogue import Catalogue, ColumnType, Use
from asepsis.domain.documents import Document, Fields
from asepsis.domain.names import Digest, PartyId, RunId
from asepsis.errors.desk import PrivacyExhausted

MICRO: Final = 1_000_000
"""Micro-rho in one rho."""

PICO: Final = 10**12
"""Pico-delta in one delta."""

LARGEST_NORM: Final = 1 << 30
MOST_RECORDS: Final = 1 << 20
MOST_VALUES: Final = 5_000

Public = int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A privacy loss, spent or to be spent."""

    micro_rho: int
    pico_delta: int

    def __add__(self, other: Loss) -> Loss:
        """Losses about the same persons add up, however the later questions were chosen."""
        return Loss(micro_rho=self.micro_rho + other.micro_rho, pico_delta=self.pico_delta + other.pico_delta)

    def to_document(self) -> Document:
        """The document form; :func:`read_loss` reads it."""
        return {"micro_rho": self.micro_rho, "pico_delta": self.pico_delta}


NOTHING: Final = Loss(micro_rho=0, pico_delta=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What is publicly known of a measured column: its values lie between ``low`` and ``high``.

    ``norm`` bounds the Euclidean length of a person's totals over all groups; without it, it follows from the
    greatest value and the contract's bound on records.
    """

    low: int
    high: int
    norm: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """What a question pays, on top of its cost, to have its bounds found; they are at most ``most``.

    ``most`` bounds the length of a person's numbers of records, and of its presence, over the groups of a question.
    """

    micro_rho: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """The clause ``dp``: queries under the contract are answered with noise.

    ``budget`` is all that the persons of a dataset may lose, under this and every other contract; half of its delta
    is kept for saying what a loss means as epsilon. ``question`` is what each new question costs, its
    ``pico_delta`` being spent on groups that no public list names.
    ``records`` and ``cells`` bound the Euclidean length of a person's numbers of records, and of a person's
    presence, over the groups of a question. ``least_persons``: groups of fewer persons, noise included, are left
    out. ``bounds`` and ``domains`` are public knowledge by table and column. ``purchase`` is the price of bounds
    that are bought; without it none are for sale.
    """

    budget: Loss
    question: Loss
    records: int
    cells: int
    least_persons: int = 0
    bounds: Mapping[tuple[str, str], Bound] = field(default_factory=dict)
    domains: Mapping[tuple[str, str], tuple[Public, ...]] = field(default_factory=dict)
    purchase: Purchase | None = None

    def cost(self, *, buys: bool) -> Loss:
        """What a new question costs in all, with or without bounds that it buys."""
        if not buys or self.purchase is None:
            return self.question
        return self.question + Loss(micro_rho=self.purchase.micro_rho, pico_delta=0)

    def to_document(self) -> Document:
        """The document form; :func:`read_privacy` reads it."""
        bounds: dict[str, dict[str, object]] = {}
        for (table, column), bound in sorted(self.bounds.items()):
            norm: Document = {} if bound.norm is None else {"norm": bound.norm}
            bounds.setdefault(table, {})[column] = {"low": bound.low, "high": bound.high, **norm}
        domains: dict[str, dict[str, object]] = {}
        for (table, column), values in sorted(self.domains.items()):
            domains.setdefault(table, {})[column] = list(values)
        purchase = self.purchase
        bought: Document = (
            {} if purchase is None else {"bought": {"micro_rho": purchase.micro_rho, "most": purchase.most}}
        )
        return {
            "budget": self.budget.to_document(),
            "question": self.question.to_document(),
            "records": self.records,
            "cells": self.cells,
            "least_persons": self.least_persons,
            "bounds": bounds,
            "domains": domains,
            **bought,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What one job of one run costs the persons of one dataset, counted once, under whatever contract."""

    owner: PartyId
    dataset: str
    run: RunId
    job: Digest
    contract: Digest
    loss: Loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the persons of one dataset lost so far, at their owner's desk, and the limit that holds now."""

    dataset: str
    limit: Loss
    spent: Loss

    @property
    def holds(self) -> bool:
        """Whether no more was spent than allowed; half of the delta is kept, see ``budget`` of :class:`Privacy`."""
        return self.spent.micro_rho <= self.limit.micro_rho and 2 * self.spent.pico_delta <= self.limit.pico_delta

    @property
    def remaining(self) -> Loss:
        """What can still be spent; never below zero."""
        return Loss(
            micro_rho=max(0, self.limit.micro_rho - self.spent.micro_rho),
            pico_delta=max(0, self.limit.pico_delta // 2 - self.spent.pico_delta),
        )

    def after(self, loss: Loss, *, owner: PartyId) -> Account:
        """The account after a loss. Raises PrivacyExhausted where it would exceed the limit."""
        after = Account(dataset=self.dataset, limit=self.limit, spent=self.spent + loss)
        if not after.holds:
            raise PrivacyExhausted(owner=owner, dataset=self.dataset, remaining=self.remaining.micro_rho)
        return after

    def to_document(self) -> Document:
        """The document form, for a receipt; :func:`read_account` reads it."""
        return {"dataset": self.dataset, "limit": self.limit.to_document(), "spent": self.spent.to_document()}


def read_account(value: object) -> Account:
    """Read an account. Raises DocumentMalformed."""
    fields = Fields(value, document="privacy account")
    account = Account(
        dataset=fields.text("dataset"), limit=_read_nested(fields, "limit"), spent=_read_nested(fields, "spent")
    )
    fields.close()
    return account


def read_loss(fields: Fields) -> Loss:
    """Read a loss from its mapping. Raises DocumentMalformed."""
    return Loss(micro_rho=fields.integer("micro_rho"), pico_delta=fields.integer("pico_delta"))


def read_privacy(fields: Fields, catalogue: Catalogue) -> Privacy:
    """Read the clause through its closed schema; it may only name what the catalogue has. Raises DocumentMalformed."""
    privacy = Privacy(
        budget=_read_nested(fields, "budget"),
        question=_read_nested(fields, "question"),
        records=fields.integer("records", least=1),
        cells=fields.integer("cells", least=1),
        least_persons=fields.integer("least_persons", default=0),
        bounds=_by_column(fields, "bounds", catalogue),
        domains=_read_domains(fields, catalogue),
        purchase=_read_purchase(fields) if fields.has("bought") else None,
    )
    if not 0 < privacy.question.micro_rho <= privacy.cost(buys=True).micro_rho <= privacy.budget.micro_rho:
        raise fields.malformed("question.micro_rho", "a question costs something, and no more than the budget")
    if not 2 * privacy.question.pico_delta <= privacy.budget.pico_delta > 0:
        raise fields.malformed("budget.pico_delta", "it is above zero and twice that of a question at least")
    if max(privacy.records, privacy.cells) > MOST_RECORDS:
        raise fields.malformed("records", f"'records' and 'cells' are at most {MOST_RECORDS}")
    return privacy


def _read_nested(fields: Fields, key: str) -> Loss:
    with fields.mapping(key) as inner:
        return read_loss(inner)


def _read_purchase(fields: Fields) -> Purchase:
    with fields.mapping("bought") as inner:
        purchase = Purchase(micro_rho=inner.integer("micro_rho", least=1), most=inner.integer("most", least=2))
        if purchase.most > MOST_RECORDS:
            raise inner.malformed("most", f"it is at most {MOST_RECORDS}")
        return purchase


def _by_column(fields: Fields, key: str, catalogue: Catalogue) -> dict[tuple[str, str], Bound]:
    found: dict[tuple[str, str], Bound] = {}

    def table(name: str, columns: Fields) -> None:
        known = catalogue.table(name)
        for column in columns.names():
            registered = None if known is None else known.column(column)
            if registered is None or Use.AGGREGATE not in registered.uses:
                raise columns.malformed(column, "a column that may be aggregated is needed")
            with columns.mapping(column) as inner:
                found[name, column] = _read_bound(inner)

    if fields.has(key):
        fields.each(key, table)
    return found


def _read_bound(fields: Fields) -> Bound:
    bound = Bound(
        low=fields.integer("low", least=-LARGEST_NORM),
        high=fields.integer("high", least=-LARGEST_NORM),
        norm=fields.integer("norm", least=1) if fields.has("norm") else None,
    )
    if bound.low > bound.high or bound.high > LARGEST_NORM or (bound.norm or 0) > LARGEST_NORM:
        raise fields.malformed("high", f"the bounds are in order and at most {LARGEST_NORM}")
    return bound


def _read_domains(fields: Fields, catalogue: Catalogue) -> dict[tuple[str, str], tuple[Public, ...]]:
    found: dict[tuple[str, str], tuple[Public, ...]] = {}

    def table(name: str, columns: Fields) -> None:
        known = catalogue.table(name)
        for column in columns.names():
            registered = None if known is None else known.column(column)
            if registered is None or Use.GROUP not in registered.uses:
                raise columns.malformed(column, "a column that may be grouped is needed")
            kind = str if registered.type is ColumnType.TEXT else int
            found[name, column] = _read_values(columns, column, kind)

    if fields.has("domains"):
        fields.each("domains", table)
    return found


def _read_values(fields: Fields, key: str, kind: type[Public]) -> tuple[Public, ...]:
    values = fields.items(key)
    public = tuple(value for value in values if isinstance(value, int | str) and type(value) is kind)
    if not values or len(set(public)) != len(values) or len(values) > MOST_VALUES:
        raise fields.malformed(key, f"a list of up to {MOST_VALUES} different values of the column's type is needed")
    return public
