"""Every name that a user can meet is on a reference page, and every name on a hand-written page is a real one."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asepsis.disclosure.profiles import PROFILES
from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.catalogue import ColumnType, Use
from asepsis.domain.codes import CODES
from asepsis.domain.continuity import approved_digest
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.identity import IDENTITY_COLUMNS
from asepsis.domain.keydesk import PublicKeys
from asepsis.domain.ledger import Act
from asepsis.domain.names import Digest, PartyId
from asepsis.domain.parties import Role
from asepsis.domain.snapshot import Label
from asepsis.errors.contract import DocumentMalformed
from asepsis.harmonise import expressions
from asepsis.harmonise.entries import Reader
from asepsis.harmonise.mapping import Grade, OnFail
from asepsis.harmonise.omop import TARGETS
from asepsis.integrity import reasons
from asepsis.methods.registry import METHODS
from asepsis.services.drafting import Enrolled, Terms, draft_contract
from asepsis.sources.registry import SCHEMES
from asepsis.sql.refusals import REASONS

CODE = re.compile(r"`([^`\n]+)`")
VARIABLE = re.compile(r"[\"'](ASEPSIS_[A-Z_]+)[\"']")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ANCHOR = re.compile(r"\]\(([^):]*)#([^)]+)\)")


def reference(root: Path, name: str) -> str:
    return (root / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("ledger-acts", {act.value for act in Act}),
        ("disclosure-profiles", set(PROFILES)),
        ("sql-refusals", set(REASONS)),
        ("findings", set(CODES)),
        ("reasons", set(reasons.REASONS)),
        ("methods", {*METHODS, *(each.name for method in METHODS.values() for each in method.parameters)}),
        ("contract", {*Role, *Use, *ColumnType, *Label}),
        ("mapping-words", {*Reader, *Grade, *OnFail, *TARGETS, *IDENTITY_COLUMNS, *expressions._OWN} - {"person_id"}),
        ("mapping", set(Grade) | set(OnFail)),
    ],
)
def test_every_name_is_on_its_page(repository_root: Path, page: str, names: set[str]) -> None:
    missing = set(map(str, names)) - set(CODE.findall(reference(repository_root, page)))
    assert not missing


def test_every_variable_that_the_program_reads_is_documented(repository_root: Path) -> None:
    files = (repository_root / "src" / "asepsis").rglob("*.py")
    read = {name for path in files if path.name != "settings.py" for name in VARIABLE.findall(path.read_text())}
    assert {"ASEPSIS_ROOM", "ASEPSIS_RESTIC_PASSWORD"} <= read
    assert read <= set(CODE.findall(reference(repository_root, "settings")))


def test_the_guide_names_the_sources_there_are(repository_root: Path) -> None:
    text = (repository_root / "docs" / "how-to" / "find-the-last-clean-backup.md").read_text()
    assert {name.partition(":")[0] for name in re.findall(r"\| `(\w+:)", text)} == set(SCHEMES)


CONTRACT = draft_contract(
    Terms(
        name="whole",
        title="t",
        purpose="p",
        legal_basis="b",
        label=Label.SYNTHETIC,
        valid_from=datetime(2026, 1, 1, tzinfo=UTC),
        valid_days=1,
        researchers=frozenset({PartyId("lab")}),
        teams={PartyId("team"): PartyId("owner")},
    ),
    Enrolled(
        host=PartyId("room"),
        owners=frozenset({PartyId("owner")}),
        keys={
            PartyId(name): PublicKeys(signing=b"s" * 32, sealing=b"k" * 32) for name in ("owner", "lab", "team", "room")
        },
        origin="asepsis.local/test",
    ),
    datasets={},
    measurement=Digest("00" * 32),
)
LIMITS = {"max_age_hours": 1, "when_stale": "stamp", "rpo_hours": 1, "rto_minutes": 1}
CLAUSES = {
    "amends": {"contract": "0" * 64, "lineage": "1" * 64},
    "analyses": {
        "queries": True,
        "methods": [],
        "referrals": True,
        "templates": {
            "older": {
                "title": "t",
                "sql": "SELECT 1",
                "parameters": {"since": {"type": "date", "values": ["2000-01-01"]}},
            },
        },
    },
    "datasets": {
        "owner-omop-clinical": {
            "owner": "owner",
            "label": "synthetic",
            "holds": "clinical",
            "free_text": ["note.note_text"],
        }
    },
    "linkage": {"mode": "rules", "percent": 90, "duplicate_free": ["owner"], "rules": "cms-style"},
    "dp": {
        "budget": {"micro_rho": 2, "pico_delta": 2},
        "question": {"micro_rho": 1, "pico_delta": 1},
        "records": 1,
        "cells": 1,
    },
    "purposes": {"care": "p"},
    "continuity": {
        "lead": "lab",
        "purpose": "care",
        "analyses": {
            "beds": {
                "title": "t",
                "responsible": "r",
                "query": "SELECT 1",
                "digest": approved_digest(AnalysisKind.QUERY, "SELECT 1", {}),
                **LIMITS,
            },
        },
        "essentials": {
            "responsible": "r",
            "cohort": "SELECT 1",
            "lists": {"allergies": {"days": 1, "concepts": [1]}},
            **LIMITS,
        },
    },
    "disclosure": {"profile": "strict-10", "beside": ["2" * 64], "quotas": {"cells_of_one": 1}},
}
"""The optional clauses that a draft leaves out."""
NAMED = {"parties": "PARTY", "datasets": "DATASET", "tables": "TABLE", "columns": "COLUMN", "budgets": "OWNER"}
NAMED |= {"purposes": "NAME", "continuity.analyses": "NAME", "continuity.essentials.lists": "LIST"}
NAMED |= {"analyses.templates": "TEMPLATE", "parameters": "NAME"}
OF_MODES = {"linkage.dummies", "linkage.review", "linkage.similarity"}
"""What a contract that links by rules, as the one of the clauses, cannot have."""
OF_METHODS = {"continuity.analyses.NAME.method", "continuity.analyses.NAME.arguments.ARGUMENT", "linkage.stricter"}
"""What a contract with noise, as the one of the clauses, cannot have."""


def keys(value: object, place: str = "", named: str | None = None) -> Iterator[str]:
    """Every key path of a contract, with placeholders for names."""
    if not isinstance(value, dict):
        yield place
        return
    for key, inner in value.items():
        there = ".".join(filter(None, (place, named or key)))
        yield from keys(inner, there, NAMED.get(there, NAMED.get(key)))


def documented(root: Path) -> set[str]:
    table = reference(root, "contract").partition("## Uses")[0]
    cells = (line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    return {key for cell in cells for key in CODE.findall(cell)}


def test_every_key_of_a_contract_is_documented(repository_root: Path) -> None:
    assert set(keys(CONTRACT)) <= documented(repository_root)


def test_every_documented_key_of_a_contract_is_one_that_it_may_have(repository_root: Path) -> None:
    """Reading a contract with one more key is refused; the optional ones are those that the draft leaves out."""
    read_contract(CONTRACT)
    leaves = set(keys(CONTRACT))
    containers = {leaf.rpartition(".")[0] for leaf in leaves}
    optional = documented(repository_root) - leaves - containers
    more = set(keys(read_contract({**CONTRACT, **CLAUSES}).to_document())) - leaves
    assert optional == {"tables.TABLE.key", "datasets.DATASET.free_text", *OF_MODES, *OF_METHODS, *more}
    with pytest.raises(DocumentMalformed):
        read_contract({**CONTRACT, "retention": 5})


def test_every_anchor_leads_to_a_heading(repository_root: Path) -> None:
    pages = [*repository_root.glob("*.md"), *(repository_root / "docs").rglob("*.md")]
    for page in pages:
        for target, anchor in ANCHOR.findall(page.read_text(encoding="utf-8")):
            there = (page.parent / target) if target else page
            headings = {slug(heading) for heading in HEADING.findall(there.read_text(encoding="utf-8"))}
            assert anchor in headings, f"{page.name}: {target}#{anchor}"


def slug(heading: str) -> str:
    """How a heading is addressed: lower case, without marks, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_page_is_reached_from_the_index(repository_root: Path) -> None:
    docs = repository_root / "docs"
    linked = {
        (docs / link).resolve() for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (docs / "index.md").read_text())
    }
    pages = {path.resolve() for path in docs.rglob("*.md")} - {docs / "index.md"}
    assert {path for path in pages if path.parent.name != "adr"} <= linked
    assert docs / "adr" in linked


def test_no_page_names_a_machine(repository_root: Path) -> None:
    """Paths of one machine and addresses of registries do not belong into documents."""
    for page in [*repository_root.glob("*.md"), *(repository_root / "docs").rglob("*.md")]:
        found = re.findall(r"(?<![\w.])/(?:work|tmp|home|root|Users)/|pypi\.|\.pkg\.", page.read_text(encoding="utf-8"))
        assert not found, f"{page.name}: {found}"
