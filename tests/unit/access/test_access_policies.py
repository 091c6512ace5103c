"""The policies: every one of them matters, and whatever goes wrong while they are asked is a refusal."""

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from itertools import chain, combinations
from pathlib import Path

import pytest

from asepsis.access.compile import may_ask
from asepsis.access.policies import POLICIES, SCHEMA, PolicySet, policies, ruling
from asepsis.domain.access import ASKS, READS
from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.asking import Deed, Mark, Principal, PrincipalKind, Question, RuntimePrincipal, Scope, Subject
from asepsis.domain.datasets import Holding
from asepsis.domain.names import PartyId
from asepsis.domain.parties import Role
from asepsis.errors.access import PoliciesUnusable

TEXT = files("asepsis.access").joinpath(POLICIES).read_text()
SCHEMA_TEXT = files("asepsis.access").joinpath(SCHEMA).read_text()
NORTH, SOUTH = PartyId("northgate"), PartyId("riverside")


def who(*roles: Role, kind: PrincipalKind = PrincipalKind.PARTY, scopes: frozenset[Scope] | None = None) -> Principal:
    return Principal(kind=kind, id="somebody", party=NORTH, roles=frozenset(roles), scopes=scopes)


def subject(kind: str, **marks: Mark) -> Subject:
    return Subject(kind=kind, id="it", marks=marks)


def may(principal: Principal | RuntimePrincipal, deed: Deed, what: Subject, **context: Mark) -> Question:
    return Question(principal=principal, deed=deed, subject=what, context=context)


def granting(
    *, level: int = 0, needed: int = 0, label: str = "synthetic", confined: bool = True, **more: bool
) -> Question:
    context: dict[str, Mark] = {"label": label, "level": needed, "trusted": True, "needs-confinement": False, **more}
    principal = RuntimePrincipal(level=level, confined=confined)
    return Question(principal=principal, deed=Deed.GRANT, subject=subject("Run"), context=context)


OURS = frozenset({NORTH, SOUTH})
CONTRACT, ROOM = subject("Contract", parties=OURS), subject("Room", parties=OURS)
THEIRS = subject("Release", author=SOUTH)
REFERRAL = subject("Referral", author=SOUTH, teams=frozenset({NORTH}))
DATASET = subject("Dataset", owner=NORTH)
NOTHING: frozenset[str] = frozenset()
ASKING: Mapping[str, Mark] = {"agreed": True, "reads": NOTHING}
PERSON, SERVICE = PrincipalKind.PERSON, PrincipalKind.SERVICE
EVERYTHING_BUT = {scope: frozenset(Scope) - {scope} for scope in Scope}

PERMITTED = {
    "researchers-ask": may(who(Role.RESEARCHER), Deed.QUERY, CONTRACT, **ASKING),
    "owners-and-host-link": may(who(Role.HOST), Deed.LINK, CONTRACT, **ASKING),
    "owners-and-checkers-decide": may(who(Role.CHECKER), Deed.DECIDE_RELEASE, THEIRS),
    "owners-approve-referrals": may(who(Role.OWNER), Deed.APPROVE_REFERRAL, REFERRAL),
    "parties-sign": may(who(), Deed.SIGN_CONTRACT, CONTRACT),
    "parties-stop": may(who(), Deed.STOP_CONTRACT, CONTRACT),
    "owners-contribute-their-own": may(who(Role.OWNER), Deed.CONTRIBUTE, DATASET),
    "clinical-teams-collect": may(who(Role.CLINICIAN), Deed.COLLECT_REFERRAL, REFERRAL),
    "parties-read": may(who(), Deed.READ, ROOM),
    "releases-are-read-by-those-who-asked-or-answer-for-them": may(who(Role.AUDITOR), Deed.READ_RELEASE, ROOM),
    "attested-runtimes-get-keys": granting(level=0, confined=False),
}
"""For each permit a question that nothing else permits."""

FORBIDDEN = {
    "only-what-was-agreed": may(who(Role.RESEARCHER), Deed.QUERY, CONTRACT, agreed=False, reads=NOTHING),
    "no-identifiers-in-analyses": may(
        who(Role.RESEARCHER), Deed.METHOD, CONTRACT, agreed=True, reads=frozenset({"clinical", "identity"})
    ),
    "tokens-for-linkages-alone": may(
        who(Role.RESEARCHER), Deed.REFER, CONTRACT, agreed=True, reads=frozenset({"clinical", "tokens"})
    ),
    "no-clinical-data-in-linkages": may(
        who(Role.OWNER), Deed.LINK, CONTRACT, agreed=True, reads=frozenset({"clinical"})
    ),
    "nobody-decides-on-own-work": may(who(Role.CHECKER), Deed.DECIDE_RELEASE, subject("Release", author=NORTH)),
    "nobody-approves-own-referral": may(
        who(Role.OWNER, kind=PERSON), Deed.APPROVE_REFERRAL, subject("Referral", author=NORTH, teams=NOTHING)
    ),
    "services-do-not-decide": may(who(Role.OWNER, kind=SERVICE), Deed.DECIDE_RELEASE, THEIRS),
    "nobody-contributes-for-another": may(who(Role.OWNER), Deed.CONTRIBUTE, subject("Dataset", owner=SOUTH)),
    "nobody-collects-for-another-team": may(
        who(Role.CLINICIAN), Deed.COLLECT_REFERRAL, subject("Referral", author=SOUTH, teams=frozenset({SOUTH}))
    ),
    "the-host-only-operates": may(who(Role.HOST, Role.OWNER), Deed.READ_RELEASE, ROOM),
    "token-not-for-reading": may(who(kind=PERSON, scopes=EVERYTHING_BUT[Scope.READING]), Deed.READ, ROOM),
    "token-not-for-asking": may(
        who(Role.RESEARCHER, kind=SERVICE, scopes=EVERYTHING_BUT[Scope.ASKING]), Deed.QUERY, CONTRACT, **ASKING
    ),
    "token-not-for-deciding": may(
        who(Role.OWNER, kind=PERSON, scopes=EVERYTHING_BUT[Scope.DECIDING]), Deed.DECIDE_RELEASE, THEIRS
    ),
    "token-not-for-giving": may(
        who(Role.OWNER, kind=PERSON, scopes=EVERYTHING_BUT[Scope.GIVING]), Deed.CONTRIBUTE, DATASET
    ),
    "level-of-the-contract": granting(level=0, needed=1),
    "real-data-at-level-2": granting(level=1, needed=1, label="real"),
    "only-code-that-the-owner-trusts": granting(trusted=False),
    "no-keys-without-confinement": granting(level=2, needed=2, label="real", confined=False),
}
"""For each forbid a question that it alone forbids."""


def without(policy: str) -> PolicySet:
    """The policies as if one of them had never been written."""
    text = policies().named(policy).text
    assert text in TEXT
    return PolicySet(TEXT.replace(text, ""), schema=SCHEMA_TEXT)


def test_every_policy_has_a_question_here() -> None:
    assert set(PERMITTED) == {one.id for one in policies().policies if not one.forbids}
    assert set(FORBIDDEN) == {one.id for one in policies().policies if one.forbids}


@pytest.mark.parametrize("policy", sorted(FORBIDDEN))
def test_what_a_policy_forbids_is_allowed_once_it_is_gone(policy: str) -> None:
    question = FORBIDDEN[policy]
    refused = ruling(question)
    assert (refused.allowed, refused.policies) == (False, (policy,))
    assert without(policy).rule(question).allowed


@pytest.mark.parametrize("policy", sorted(PERMITTED))
def test_what_a_policy_permits_is_refused_once_it_is_gone(policy: str) -> None:
    question = PERMITTED[policy]
    assert ruling(question).policies == (policy,)
    assert ruling(question).allowed
    refused = without(policy).rule(question)
    assert (refused.allowed, refused.policies, refused.fault) == (False, (), False)


@pytest.mark.parametrize(
    "question",
    [
        granting(confined=False, **{"needs-confinement": True}),
        granting(confined=False, level=1, needed=1),
        granting(confined=False, level=2, label="real"),
    ],
)
def test_outside_the_sandbox_there_are_keys_of_synthetic_data_at_level_0_only(question: Question) -> None:
    assert ruling(question).policies == ("no-keys-without-confinement",)


@pytest.mark.parametrize("policy", sorted(PERMITTED))
def test_nobody_without_a_role_in_the_contract_may_do_anything(policy: str) -> None:
    question = PERMITTED[policy]
    if isinstance(question.principal, Principal):
        stranger = replace(question.principal, roles=frozenset(), party=PartyId("stranger"))
        assert not ruling(replace(question, principal=stranger)).allowed


def test_the_deeds_are_those_of_the_schema() -> None:
    declared = re.findall(r"^action (.+?) (?:in \[\w+\] )?appliesTo", SCHEMA_TEXT, re.MULTILINE)
    assert sorted(Deed) == sorted(name.strip('" ') for names in declared for name in names.split(","))
    assert sorted(Scope) == sorted(re.findall(r"^action (\w+);", SCHEMA_TEXT, re.MULTILINE))
    for deed in Deed:
        assert policies().permitting(deed), deed


@pytest.mark.parametrize(
    "broken",
    [
        replace(PERMITTED["researchers-ask"], context={}),
        replace(PERMITTED["researchers-ask"], context={"agreed": "yes", "reads": NOTHING}),
        replace(PERMITTED["researchers-ask"], context={**ASKING, "more": True}),
        replace(PERMITTED["researchers-ask"], subject=subject("Contract")),
        replace(PERMITTED["researchers-ask"], subject=subject("Novelty", parties=OURS)),
        replace(PERMITTED["researchers-ask"], deed=Deed.GRANT),
    ],
)
def test_a_question_that_does_not_fit_the_schema_is_refused(broken: Question) -> None:
    found = ruling(broken)
    assert not found.allowed
    assert found.fault


def test_a_forbid_that_fails_while_it_is_evaluated_does_not_allow() -> None:
    failing = '@id("fails") @words("It overflows.") forbid (principal is Runtime, action == Action::"grant", resource) '
    failing += "when { context.level + 9223372036854775807 < 0 };\n"
    question = granting(level=2, needed=1)
    found = PolicySet(TEXT + failing, schema=SCHEMA_TEXT).rule(question)
    assert ruling(question).allowed
    assert not found.allowed
    assert found.fault


@pytest.mark.parametrize(
    "text",
    [
        "permit (principal, action, resource);",
        '@id("a") @words("b") permit (principal, action, resource) when { principal.novelty };',
        '@id("a") @words("b") permit (principal, action, resource',
        '@id("a") @words("b") permit (principal is Runtime, action, resource);' * 2,
    ],
)
def test_policies_without_name_or_beside_the_schema_are_not_used(text: str) -> None:
    with pytest.raises(PoliciesUnusable):
        PolicySet(text, schema=SCHEMA_TEXT)


def test_the_tables_of_the_runtime_are_what_the_policies_say(repository_root: Path) -> None:
    script = repository_root / "scripts" / "compile_access.py"
    check = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stderr


def test_tables_and_policies_agree_for_all_roles_and_holdings() -> None:
    roles = list(chain.from_iterable(combinations(Role, size) for size in range(len(Role) + 1)))
    for kind in AnalysisKind:
        for held in roles:
            assert may_ask(policies(), kind, roles=frozenset(held), reads=frozenset()) == bool(ASKS[kind] & set(held))
        for read in (frozenset({Holding.CLINICAL}), frozenset({Holding.IDENTITY}), frozenset(Holding)):
            assert may_ask(policies(), kind, roles=frozenset(Role), reads=read) == (read <= READS[kind])
