"""Links of several certainties in a real room: refused where nobody agreed on them, and each answer a release."""

from __future__ import annotations

from pathlib import Path

import pytest

from asepsis.domain.ledger import Act
from simulator import COMMON, OWNERS, World, amend, call, persons_with, sign

pytestmark = pytest.mark.long


def test_every_answer_by_other_links_is_a_release_that_is_charged_and_compared(world: World) -> None:
    """Guard: the data that the runtime names to the memory, which are others by other links; no two answers tell what
    lies between them, here nobody."""
    asked = [*world.query(persons_with(COMMON)), "--json"]
    for option in (["--min-certainty", "99"], ["--sensitivity"]):
        refused = call(*asked, *option)
        assert (refused.code, refused.document()["error"]["code"]) == (3, "contract.forbids"), refused
    sign(world, amend(world, linkage={"stricter": [99]}))
    before = world.budgets()
    answer = call(*asked, "--sensitivity")
    assert answer.code == 0, answer
    agreed, stricter = answer.document()["answers"]
    assert (agreed["certainty"], agreed["status"], agreed["table"]["rows"]) == (50, "released", [[40]])
    assert (stricter["certainty"], stricter["table"]) == (99, None)
    assert stricter["release"] not in {None, agreed["release"]}
    assert [world.budgets()[owner] - before[owner] for owner in OWNERS] == [2, 2]
    again = call(*asked, "--min-certainty", "50").document()
    assert (again["release"], again["repeated"]) == (agreed["release"], True)
    stated = [finding["reason"] for finding in stricter["findings"] if finding["code"] == "disclosure.linked"]
    assert [reason.endswith("The analysis states links that are at least 99 % sure.") for reason in stated] == [True]
    text = call(*[one for one in asked if one != "--json"], "--sensitivity")
    assert all(f"({percent} %)" in text.out for percent in (50, 99))
    assert "99 %: " + stricter["release"] in text.out


def test_the_page_of_a_linkage_follows_from_what_the_runtime_signed(world: World, tmp_path: Path) -> None:
    page = tmp_path / "links.html"
    answer = call(*world.command("link", "--html", str(page), "--json"))
    assert answer.code == 0, answer
    (signed,) = {entry.facts["statistic"] for entry in world.room().audit.entries() if entry.act is Act.RUN_FINISHED}
    assert signed in page.read_text(encoding="utf-8")
    refused = call(*world.command("link", "--html", str(tmp_path), "--json"))
    assert (refused.code, refused.document()["error"]["code"]) == (4, "file.unreadable"), refused
