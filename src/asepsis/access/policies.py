"""The policy set: read once, checked against its schema, asked for rulings.

A question that does not fit the schema, an error while a policy is evaluated, and no decision at all are refusals:
Cedar itself skips a ``forbid`` whose condition fails, so an allowing answer with an error counts for nothing
(https://docs.cedarpolicy.com/auth/authorization.html).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

import cedarpy
from cedarpy import pst

from asepsis.domain.asking import Deed, Mark, Question, Ruling
from asepsis.errors.access import PoliciesUnusable

POLICIES: Final = "policies.cedar"
SCHEMA: Final = "schema.cedarschema"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy: its name, whether it permits or forbids, what it says in words, and its text."""

    id: str
    forbids: bool
    words: str
    text: str


class PolicySet:
    """Policies and their schema, parsed once."""

    def __init__(self, text: str, *, schema: str) -> None:
        """Read both. Raises PoliciesUnusable if they are no policies, do not fit the schema, or have no names."""
        self.digest = sha256(schema.encode() + b"\0" + text.encode()).hexdigest()
        try:
            self._schema = cedarpy.Schema.from_str(schema)
            self._set = cedarpy.PolicySet.from_str(text)
            is_valid = cedarpy.validate_policies(text, self._schema).validation_passed
            nodes = self._set.to_pst().static_policies
            self._ids = {key: node.annotations["id"] for key, node in nodes.items()}
            self.policies = tuple(_policy(node, text) for node in nodes.values())
        except (ValueError, KeyError):
            raise PoliciesUnusable from None
        if not is_valid or len(set(self._ids.values())) != len(self._ids):
            raise PoliciesUnusable

    def rule(self, question: Question) -> Ruling:
        """The ruling on a question; whatever goes wrong is a refusal."""
        principal, subject = question.principal, question.subject
        request = {
            "principal": _uid(principal.kind.value, principal.id),
            "action": _uid("Action", question.deed.value),
            "resource": _uid(subject.kind, subject.id),
            "context": _plain(question.context),
        }
        entities = [
            {"uid": request["principal"], "attrs": _plain(principal.marks()), "parents": []},
            {"uid": request["resource"], "attrs": _plain(subject.marks), "parents": []},
        ]
        answer = cedarpy.is_authorized(request, self._set, json.dumps(entities), schema=self._schema)
        fault = bool(answer.diagnostics.errors) or answer.decision is cedarpy.Decision.NoDecision
        return Ruling(
            allowed=answer.decision is cedarpy.Decision.Allow and not fault,
            policies=tuple(sorted(self._ids[key] for key in answer.diagnostics.reasons)),
            fault=fault,
        )

    def named(self, policy: str) -> Policy:
        """The policy of that name. Raises KeyError."""
        return {one.id: one for one in self.policies}[policy]

    def permitting(self, deed: Deed) -> tuple[Policy, ...]:
        """The permits that speak of a deed."""
        nodes = self._set.to_pst().static_policies
        spoken = {self._ids[key] for key, node in nodes.items() if deed.value in _deeds(node)}
        return tuple(policy for policy in self.policies if policy.id in spoken and not policy.forbids)


@cache
def policies() -> PolicySet:
    """The policies of this version. Raises PoliciesUnusable."""
    folder = files("asepsis.access")
    return PolicySet(folder.joinpath(POLICIES).read_text(), schema=folder.joinpath(SCHEMA).read_text())


def ruling(question: Question) -> Ruling:
    """The ruling of the policies of this version. Raises PoliciesUnusable."""
    return policies().rule(question)


def _policy(node: pst.Template, text: str) -> Policy:
    name = node.annotations["id"]
    start = text.index(f'@id("{name}")')
    return Policy(
        id=name,
        forbids=node.effect == "forbid",
        words=node.annotations["words"],
        text=text[start : text.index(";\n", start) + 1],
    )


def _deeds(node: pst.Template) -> set[str]:
    match node.action:
        case pst.ActionEq(entity=one):
            return {one.id}
        case pst.ActionIn(entities=several):
            return {one.id for one in several}
        case _:
            return {deed.value for deed in Deed}


def _uid(kind: str, name: str) -> dict[str, str]:
    return {"type": kind, "id": name}


def _plain(marks: Mapping[str, Mark]) -> dict[str, Any]:
    return {key: sorted(mark) if isinstance(mark, frozenset) else mark for key, mark in marks.items()}
