"""The clause ``continuity``: what may run when production is down, who answers for it, and how old is too old.

Every analysis stands in the contract with its text and with the digest of the text that was approved. A text that was
changed afterwards no longer fits its digest and the contract is not read at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from asepsis.domain.analysis import Analysis, AnalysisKind, Argument, read_arguments
from asepsis.domain.documents import Document, Fields
from asepsis.domain.names import Digest, PartyId

MOST_HOURS: Final = 24 * 36_500
MOST_DAYS: Final = 36_500
MOST_CONCEPTS: Final = 10_000
ESSENTIALS: Final = "essentials"
"""The essentials' name among the outputs, and the argument by which a referral asks for their lists, not all rows."""

Arguments = Mapping[str, Argument | tuple[Argument, ...]]


class WhenStale(StrEnum):
    """What becomes of an analysis whose data are older than allowed."""

    STAMP = "stamp"
    """It runs, and its output says in red that it is too old."""
    REFUSE = "refuse"
    """It does not run."""


class EssentialList(StrEnum):
    """What a clinical team needs of its own patients when production is down."""

    CENSUS = "census"
    ACTIVE_MEDICATION = "active_medication"
    ALLERGIES = "allergies"
    PROBLEMS = "problems"
    RECENT_LABS = "recent_labs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How old data may be, what happens when they are older, and the objectives (RPO and RTO) of recovery."""

    most_age: timedelta
    when_stale: WhenStale
    rpo: timedelta
    rto: timedelta

    def to_document(self) -> Document:
        """The document form; :func:`_read_limits` reads it."""
        return {
            "max_age_hours": _hours(self.most_age),
            "when_stale": self.when_stale.value,
            "rpo_hours": _hours(self.rpo),
            "rto_minutes": int(self.rto / timedelta(minutes=1)),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PreApproved:
    """One analysis that may run when production is down. ``responsible`` is the person who answers for it."""

    name: str
    title: str
    responsible: str
    kind: AnalysisKind
    body: str
    arguments: Arguments
    limits: Limits

    @property
    def digest(self) -> Digest:
        """What the approval is about: kind, text and arguments."""
        return approved_digest(self.kind, self.body, self.arguments)

    def to_document(self) -> Document:
        """The document form of the clause."""
        arguments: Document = {"arguments": _plain(self.arguments)} if self.arguments else {}
        return {
            "title": self.title,
            "responsible": self.responsible,
            self.kind.value: self.body,
            **arguments,
            "digest": self.digest,
            **self.limits.to_document(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTerms:
    """How far a list looks back, in days before the instant of the data, and to which concepts it is confined."""

    days: int = 0
    concepts: tuple[int, ...] = ()

    def to_document(self) -> Document:
        """The document form; what is at its default is left out."""
        days: Document = {"days": self.days} if self.days else {}
        return {**days, **({"concepts": list(self.concepts)} if self.concepts else {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Essentials:
    """Patient-level lists for the hospitals' own clinical teams, and for nobody else."""

    responsible: str
    cohort: str
    lists: Mapping[EssentialList, ListTerms]
    limits: Limits

    def analysis(self, author: PartyId) -> Analysis:
        """The referral that every owner approves beforehand, at its own desk."""
        return Analysis(kind=AnalysisKind.REFERRAL, author=author, body=self.cohort, arguments={ESSENTIALS: True})

    def to_document(self) -> Document:
        """The document form of the clause."""
        return {
            "responsible": self.responsible,
            "cohort": self.cohort,
            "lists": {name.value: terms.to_document() for name, terms in sorted(self.lists.items())},
            **self.limits.to_document(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinuityTerms:
    """The clause. ``lead`` is the party that runs the pre-approved analyses, and signs the pack.

    ``purpose`` is the one of the contract's purposes that they are asked for, where it has several.
    """

    lead: PartyId
    analyses: tuple[PreApproved, ...]
    essentials: Essentials | None = None
    purpose: str = ""

    def asked(self, one: PreApproved) -> Analysis:
        """A pre-approved analysis as the lead asks it."""
        return Analysis(kind=one.kind, author=self.lead, body=one.body, arguments=one.arguments, purpose=self.purpose)

    def analysis(self, name: str) -> PreApproved | None:
        """The pre-approved analysis of that name."""
        return next((one for one in self.analyses if one.name == name), None)

    def to_document(self) -> Document:
        """The document form of the clause."""
        essentials: Document = {} if self.essentials is None else {"essentials": self.essentials.to_document()}
        purpose: Document = {"purpose": self.purpose} if self.purpose else {}
        analyses = {one.name: one.to_document() for one in self.analyses}
        return {"lead": self.lead, **purpose, "analyses": analyses, **essentials}


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What the rest of the contract allows, against which the clause is checked."""

    researchers: Collection[PartyId]
    queries: bool
    methods: Collection[str]
    referrals: bool
    teams: Collection[PartyId] = ()
    purposes: Collection[str] = ()


def approved_digest(kind: AnalysisKind, body: str, arguments: Arguments) -> Digest:
    """SHA-256 over kind, text and arguments as JSON with sorted keys and no spaces."""
    text = json.dumps(
        {"kind": kind.value, "body": body, "arguments": _plain(arguments)}, sort_keys=True, separators=(",", ":")
    )
    return Digest(hashlib.sha256(text.encode()).hexdigest())


def read_continuity(fields: Fields) -> ContinuityTerms:
    """Read the clause. Raises DocumentMalformed, also where a text is not the one that was approved."""
    terms = ContinuityTerms(
        lead=PartyId(fields.name("lead")),
        analyses=fields.each("analyses", _read_analysis),
        essentials=_read_essentials(fields),
        purpose=fields.name("purpose") if fields.has("purpose") else "",
    )
    if not terms.analyses and terms.essentials is None:
        raise fields.malformed("analyses", "the clause needs an analysis or essentials")
    return terms


def check_continuity(terms: ContinuityTerms, agreed: Agreed, fields: Fields) -> None:
    """Refuse a clause that pre-approves what the rest of the contract does not allow. Raises DocumentMalformed."""
    if terms.analysis(ESSENTIALS) is not None:
        raise fields.malformed("continuity.analyses", f"the name '{ESSENTIALS}' is taken")
    if terms.lead not in agreed.researchers:
        raise fields.malformed("continuity.lead", "the lead must be a researcher of this contract")
    if terms.purpose not in (agreed.purposes or {""}):
        raise fields.malformed("continuity.purpose", "one of the contract's purposes is needed, where it has several")
    for one in terms.analyses:
        if one.kind is AnalysisKind.QUERY and not agreed.queries:
            raise fields.malformed(f"continuity.analyses.{one.name}", "the contract allows no queries")
        if one.kind is AnalysisKind.METHOD and one.body not in agreed.methods:
            raise fields.malformed(f"continuity.analyses.{one.name}", "the contract does not allow this method")
    if terms.essentials is not None and not (agreed.referrals and agreed.teams):
        raise fields.malformed("continuity.essentials", "essentials need referrals and a clinical team")


def _read_analysis(name: str, fields: Fields) -> PreApproved:
    kinds = [kind for kind in (AnalysisKind.QUERY, AnalysisKind.METHOD) if fields.has(kind.value)]
    if len(kinds) != 1:
        raise fields.malformed("query", "either a query or a method is needed")
    body = fields.text(kinds[0].value)
    arguments: Arguments = {}
    if kinds[0] is AnalysisKind.METHOD and fields.has("arguments"):
        arguments = read_arguments(fields.anything("arguments"), document="contract")
    found = PreApproved(
        name=name,
        title=fields.text("title"),
        responsible=fields.text("responsible"),
        kind=kinds[0],
        body=body,
        arguments=MappingProxyType(arguments),
        limits=_read_limits(fields),
    )
    if fields.text("digest") != found.digest:
        raise fields.malformed("digest", "it is not the digest of this text; 'recover continuity digest' prints that")
    return found


def _read_essentials(fields: Fields) -> Essentials | None:
    if not fields.has("essentials"):
        return None
    with fields.mapping("essentials") as clause:
        with clause.mapping("lists") as lists:
            unknown = set(lists.names()) - set(EssentialList)
            if unknown or not lists.names():
                raise clause.malformed("lists", "one or more of " + ", ".join(EssentialList) + " are needed")
            read = {EssentialList(name): _read_list(EssentialList(name), lists) for name in lists.names()}
        return Essentials(
            responsible=clause.text("responsible"),
            cohort=clause.text("cohort"),
            lists=MappingProxyType(read),
            limits=_read_limits(clause),
        )


def _read_list(name: EssentialList, lists: Fields) -> ListTerms:
    with lists.mapping(name.value) as fields:
        days = fields.integer("days", default=0)
        concepts = fields.items("concepts") if fields.has("concepts") else []
        if days > MOST_DAYS:
            raise fields.malformed("days", f"at most {MOST_DAYS} are allowed")
        numbers = tuple(one for one in concepts if isinstance(one, int) and not isinstance(one, bool) and one >= 0)
        if len(numbers) != len(concepts) or len(numbers) > MOST_CONCEPTS:
            raise fields.malformed("concepts", f"at most {MOST_CONCEPTS} concept ids are allowed")
        if name is EssentialList.ALLERGIES and not numbers:
            raise fields.malformed("concepts", "which concepts are allergies must be said")
    return ListTerms(days=days, concepts=numbers)


def _read_limits(fields: Fields) -> Limits:
    hours = {key: fields.integer(key, least=1) for key in ("max_age_hours", "rpo_hours")}
    minutes = fields.integer("rto_minutes", least=1)
    for key, value in {**hours, "rto_minutes": -(-minutes // 60)}.items():
        if value > MOST_HOURS:
            raise fields.malformed(key, f"at most {MOST_HOURS} hours are allowed")
    return Limits(
        most_age=timedelta(hours=hours["max_age_hours"]),
        when_stale=fields.choice("when_stale", WhenStale),
        rpo=timedelta(hours=hours["rpo_hours"]),
        rto=timedelta(minutes=minutes),
    )


def _hours(span: timedelta) -> int:
    return int(span / timedelta(hours=1))


def _plain(arguments: Arguments) -> Document:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in sorted(arguments.items())}
