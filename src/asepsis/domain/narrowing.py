"""Whether a version of a contract only narrows the one before it: it lets nothing through that the other refused.

One owner may narrow alone, as one may stop everything alone. So what cannot be told to narrow counts as widening: a
clause that this page does not know must stay as it is. It is not asked whether a change is wise: an owner who ends
everything early may also make it less.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from operator import ge, le
from typing import Any, Final

from asepsis.domain.catalogue import AFFILIATIONS, Catalogue, Column, Table, Use
from asepsis.domain.contract import Contract
from asepsis.domain.link_terms import LinkTerms
from asepsis.domain.parties import Party, Role
from asepsis.domain.privacy import Privacy
from asepsis.domain.quotas import Quotas

PROTECTING: Final = frozenset({Use.UNIT, *AFFILIATIONS})
"""Uses that protect: without them, fewer persons, providers or sites are asked for. They cannot be taken away."""


def widened(new: Contract, *, before: Contract) -> tuple[str, ...]:
    """The clauses by which a version is more than a narrowing of the one before it; none, if it only narrows.

    Which version it amends is not compared: whoever asks has checked that.
    """
    return tuple(
        _PLACES.get(field.name, field.name)
        for field in fields(Contract)
        if field.name != "amends"
        and not _NARROWS.get(field.name, _same)(getattr(new, field.name), getattr(before, field.name))
    )


def _same(new: object, before: object) -> bool:
    return new == before


def _parties(new: tuple[Party, ...], before: tuple[Party, ...]) -> bool:
    """Whoever only asks may be left out. Everybody else watches, decides, or receives in another's place."""
    left_out = {party.id: party for party in before}
    for party in new:
        if left_out.pop(party.id, None) != party:
            return False
    return all(party.roles == {Role.RESEARCHER} for party in left_out.values())


def _catalogue(new: Catalogue, before: Catalogue) -> bool:
    return all(_table(table, before.table(table.name)) for table in new.tables)


def _table(new: Table, before: Table | None) -> bool:
    if before is None or replace(new, columns=()) != replace(before, columns=()):
        return False
    kept = {column.name for column in new.columns}
    return all(_column(column, before.column(column.name)) for column in new.columns) and all(
        column.name in kept or not column.uses & PROTECTING for column in before.columns
    )


def _column(new: Column, before: Column | None) -> bool:
    return (
        before is not None
        and replace(new, uses=frozenset()) == replace(before, uses=frozenset())
        and new.uses <= before.uses
        and new.uses & PROTECTING == before.uses & PROTECTING
    )


def _budgets(new: Mapping[str, int], before: Mapping[str, int]) -> bool:
    return new.keys() == before.keys() and all(new[owner] <= before[owner] for owner in new)


def _quotas(new: Quotas, before: Quotas) -> bool:
    return all(getattr(new, field.name) <= getattr(before, field.name) for field in fields(Quotas))


def _privacy(new: Privacy | None, before: Privacy | None) -> bool:
    """What persons may lose in all may be less; cheaper questions would be more, dearer ones would say more each."""
    if new is None or before is None:
        return new is before
    fits = new.budget.micro_rho <= before.budget.micro_rho and new.budget.pico_delta <= before.budget.pico_delta
    return fits and replace(new, budget=before.budget) == before


def _purposes(new: Mapping[str, str], before: Mapping[str, str]) -> bool:
    """Fewer of them; without any, no run would have to state one."""
    return bool(new) == bool(before) and new.items() <= before.items()


def _linkage(new: LinkTerms, before: LinkTerms) -> bool:
    """Analyses may state fewer other certainties, and owners may review less; links themselves stay as they are."""
    is_less = new.stricter <= before.stricter and new.review <= before.review
    return is_less and replace(new, stricter=before.stricter, review=before.review) == before


def _some(new: tuple[object, ...], before: tuple[object, ...]) -> bool:
    return set(new) <= set(before)


_NARROWS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "valid_from": ge,
    "valid_until": le,
    "retention_days": le,
    "parties": _parties,
    "catalogue": _catalogue,
    "queries": le,
    "methods": _some,
    "referrals": le,
    "budgets": _budgets,
    "automatic_release": le,
    "level": ge,
    "measurements": _some,
    "beside": le,
    "quotas": _quotas,
    "privacy": _privacy,
    "linkage": _linkage,
    "purposes": _purposes,
    "templates": _some,
}
"""For each clause that can narrow: whether the first value lets through no more than the second."""

_PLACES: Final[Mapping[str, str]] = {
    "valid_from": "valid.from",
    "valid_until": "valid.until",
    "catalogue": "tables",
    "queries": "analyses.queries",
    "methods": "analyses.methods",
    "referrals": "analyses.referrals",
    "profile": "disclosure.profile",
    "automatic_release": "disclosure.automatic_release",
    "beside": "disclosure.beside",
    "quotas": "disclosure.quotas",
    "level": "runtime.level",
    "measurements": "runtime.measurements",
    "ledger_origin": "ledger.origin",
    "privacy": "dp",
    "templates": "analyses.templates",
}
"""Where a clause stands in the contract, if not under its own name."""
