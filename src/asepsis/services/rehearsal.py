"""A rehearsal: an owner tries a list of analyses on local tables, under the rules, before signing anything.

It starts from an empty memory of releases, plans and protects each step as the room would, and says what would
come of it. Nothing leaves the owner's machine; there is no ledger, no key and no budget.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from asepsis.disclosure.contributors import Contributors
from asepsis.disclosure.dp.bounds import bought, buy_norms, unbought
from asepsis.disclosure.dp.noise import Bits
from asepsis.disclosure.dp.release import release_noisy, remaining
from asepsis.disclosure.gate import Assessed
from asepsis.disclosure.memory import Memory
from asepsis.disclosure.profiles import Profile
from asepsis.disclosure.releasing import Asking, Behind, assess_method, assess_noisy, assess_with_memory
from asepsis.domain.analysis import Argument, read_arguments, scalars
from asepsis.domain.catalogue import Catalogue
from asepsis.domain.cells import CellTable, Needs
from asepsis.domain.documents import Document, Fields
from asepsis.domain.finding import Finding
from asepsis.domain.names import PartyId
from asepsis.domain.privacy import Account, Privacy
from asepsis.domain.private import PrivateLengths, PrivateSums
from asepsis.domain.quotas import Quotas
from asepsis.domain.sealed import Sealed
from asepsis.errors import AsepsisError
from asepsis.errors.contract import DocumentMalformed
from asepsis.methods.method import Method
from asepsis.methods.parameters import Value
from asepsis.methods.registry import plan_method
from asepsis.sql.identity import skeleton
from asepsis.sql.plan import QueryPlan
from asepsis.sql.planner import plan_query
from asepsis.sql.private import PrivatePlan, plan_private, question_of, with_norms
from asepsis.sql.refusals import RefusedError

_DATA: Final = "rehearsal"


class LocalRoom(Protocol):
    """The engine with the owner's local tables."""

    def cells_and_contributors(
        self, plan: QueryPlan, *, least: int, needs: Needs
    ) -> tuple[Sealed[CellTable], Sealed[Contributors]]:
        """The cells of a plan, and the persons behind those of at least ``least`` persons."""

    def vectors(self, plan: PrivatePlan) -> Sealed[PrivateSums]:
        """The exact vectors of a plan that is answered with noise."""

    def lengths(self, plan: PrivatePlan) -> Sealed[PrivateLengths]:
        """How long persons' parts of the unbought vectors of a plan are."""

    def statement(self, text: str, parameters: Mapping[str, object]) -> Sealed[Any]:
        """The result of a method's own statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One analysis of the list: SQL, or a method with arguments; ``author`` is who would ask.

    ``buys_bounds``: it pays for bounds of what one person counts for.
    """

    sql: str = ""
    method: str = ""
    arguments: Mapping[str, Argument | tuple[Argument, ...]]
    author: str
    buys_bounds: bool = False


@dataclass(slots=True, kw_only=True)
class Noise:
    """The clause ``dp`` in a rehearsal: fresh noise, and an account that is counted as a desk would."""

    privacy: Privacy
    bits: Bits
    account: Account

    def pay(self, *, buys: bool) -> tuple[Finding, ...]:
        """Count one question, before its noise is drawn. Raises PrivacyExhausted."""
        self.account = self.account.after(self.privacy.cost(buys=buys), owner=PartyId(_DATA))
        return (remaining({_DATA: self.account}),)

    def bounded(self, room: LocalRoom, plan: PrivatePlan) -> tuple[PrivatePlan, Finding | None]:
        """The plan with the norms that it buys, if it buys any, and the word on them."""
        if not unbought(plan.shape):
            return plan, None
        norms = buy_norms(room.lengths(plan), plan.shape, self.privacy, bits=self.bits)
        return with_norms(plan, norms), bought(plan.shape, norms)


@dataclass(slots=True, kw_only=True)
class Rehearsal:
    """One rehearsal, from an empty memory; steps are run in order.

    ``data`` names the tables: where they change between steps, as a refreshed snapshot does, so does their name.
    """

    room: LocalRoom
    catalogue: Catalogue
    profile: Profile
    memory: Memory
    data: str = _DATA
    quotas: Quotas = field(default_factory=Quotas)
    noise: Noise | None = None
    answered: dict[str, Document] = field(default_factory=dict)

    def run(self, steps: tuple[Step, ...]) -> Iterator[Document]:
        """One document per step: what the author would get."""
        for number, step in enumerate(steps, start=1):
            try:
                answer = self._answer(step)
            except AsepsisError as error:
                answer = {"status": "error", "code": error.code, "findings": [], "columns": [], "rows": []}
            yield {"step": number, **answer}

    def _answer(self, step: Step) -> Document:
        if step.method:
            planned_method = plan_method(step.method, step.arguments, self.catalogue)
            method, persons = planned_method.method, planned_method.persons
            if method is None or persons is None or planned_method.digest is None:
                return _refusal(planned_method.findings, rewrite=None)
            question, arguments = self._asked(planned_method.digest), planned_method.arguments
            asking = Asking(author=step.author, question=question, data=self.data, quotas=self.quotas)
            return self._once(question, lambda: self._compared(method, arguments, persons, asking))
        planned = plan_query(step.sql, self.catalogue, parameters=scalars(step.arguments))
        plan = planned.plan
        if plan is None:
            return _refusal(planned.findings, rewrite=planned.rewrite)
        if self.noise is not None:
            return self._noisy(plan, step, self.noise)
        if step.buys_bounds:
            return _refusal((RefusedError("sql.dp_unsold").finding(),), rewrite=None)
        return self._once(self._asked(plan.digest), lambda: self._remembered(plan, step.author))

    def _noisy(self, plan: QueryPlan, step: Step, noise: Noise) -> Document:
        """Answer with noise, for as long as the budget lasts; equal questions are paid once."""
        buys = step.buys_bounds
        private = plan_private(plan, noise.privacy, self.catalogue, buys=buys)
        if private.plan is None:
            return _refusal(private.findings, rewrite=None)
        asked, question = private.plan, self._asked(question_of(plan, buys=buys))
        asking = Asking(author=step.author, question=question, data=self.data, quotas=self.quotas)

        def compute() -> Assessed:
            left = noise.pay(buys=buys)
            bounded, bounds = noise.bounded(self.room, asked)
            sums = self.room.vectors(bounded)
            return release_noisy(sums, bounded.shape, noise.privacy, bits=noise.bits, words=left, bounds=bounds)

        def counted() -> Assessed:
            assessed, self.memory = assess_noisy(
                compute, self.profile, memory=self.memory, asking=asking, skeleton=skeleton(plan.groupings)
            )
            return assessed

        return self._once(question, counted)

    def _asked(self, digest: str) -> str:
        return f"{digest}@{self.data}"

    def _remembered(self, plan: QueryPlan, author: str) -> Assessed:
        """Judge the cells by the profile and by everything that this rehearsal has released before."""
        cells, contributors = self._behind(plan)
        asking = Asking(
            author=author,
            question=self._asked(plan.digest),
            data=self.data,
            notes=plan.notes,
            quotas=self.quotas,
        )
        assessed, self.memory = assess_with_memory(
            cells, contributors, plan.shape, self.profile, memory=self.memory, asking=asking
        )
        return assessed

    def _compared(self, method: Method, arguments: Mapping[str, Value], persons: QueryPlan, asking: Asking) -> Assessed:
        """A method judges its own result; the persons behind it are compared like those of cells."""
        assessed, self.memory = assess_method(
            lambda: (
                method.release(self.room, arguments, self.profile),
                self._behind(persons),
            ),
            self.profile,
            memory=self.memory,
            asking=asking,
            skeleton=method.name,
        )
        return assessed

    def _behind(self, plan: QueryPlan) -> Behind:
        return self.room.cells_and_contributors(plan, least=self.profile.threshold, needs=self.profile.needs)

    def _once(self, question: str, compute: Callable[[], Assessed]) -> Document:
        """Equal questions are one release."""
        if question not in self.answered:
            self.answered[question] = _answered(compute())
        return self.answered[question]


def read_steps(document: object) -> tuple[Step, ...]:
    """Read a list of steps through its closed schema. Raises DocumentMalformed."""
    if not isinstance(document, list):
        raise DocumentMalformed(document="list of steps", place="top", problem="a list is needed")
    return tuple(_read_step(item, number) for number, item in enumerate(document, start=1))


def _read_step(item: object, number: int) -> Step:
    fields = Fields(item, document="list of steps", place=f"step {number}")
    arguments = read_arguments(fields.anything("args"), document="list of steps") if fields.has("args") else {}
    step = Step(
        sql=fields.text("sql", default=""),
        method=fields.text("method", default=""),
        arguments=arguments,
        author=fields.text("as", default="researcher"),
        buys_bounds=fields.flag("buy_bounds", default=False),
    )
    fields.close()
    if bool(step.sql) == bool(step.method):
        raise fields.malformed("sql", "either 'sql' or 'method' is needed")
    return step


def _refusal(findings: tuple[Finding, ...], *, rewrite: str | None) -> Document:
    code = findings[0].code if findings else "sql.refused"
    answer: Document = {"status": "refused", "code": code, "findings": [finding.to_document() for finding in findings]}
    if rewrite is not None:
        answer["rewrite"] = rewrite
    return {**answer, "columns": [], "rows": []}


def _answered(assessed: Assessed) -> Document:
    released = assessed.released
    findings = [finding.to_document() for finding in assessed.assessment.findings]
    shown: Document = {"columns": [], "rows": []}
    if released is not None:
        shown = {"columns": list(released.columns), "rows": [list(row) for row in released.rows]}
        if released.within:
            shown["within"] = [list(row) for row in released.within]
    code = "" if released is not None else str(findings[-1]["code"])
    return {"status": assessed.outcome.value, "code": code, "findings": findings, **shown}
