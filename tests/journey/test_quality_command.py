"""The data-quality report of a real contribution, as its owner asks for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from simulator import NORTHGATE, call


def test_a_contribution_leaves_its_quality_report_with_the_owner(contributed_world: Any) -> None:
    world = contributed_world
    home = world.room().home(NORTHGATE)
    (folder,) = (path for path in (home / "contributions").iterdir() if path.is_dir())
    names = {path.name for path in folder.iterdir()}
    assert {"quality-exact.json", "quality.json", "quality.txt", "quality.html", "books.html"} <= names
    exact = json.loads((folder / "quality-exact.json").read_text())
    assert exact["run"] == folder.name
    assert {file["path"] for file in exact["files"]} == {file["path"] for file in _books(folder)}
    host = [path.name for path in (world.room().folder / "host").rglob("*")]
    assert not [name for name in host if "quality" in name]


def _books(folder: Path) -> Any:
    return json.loads((folder / "books.json").read_text())["files"]


def test_the_owner_sees_what_failed_first_masked_unless_exact_is_asked_for(
    contributed_world: Any, tmp_path: Path
) -> None:
    world = contributed_world
    asked = ("quality", "--as", NORTHGATE)
    text = call(*world.command(*asked))
    assert text.out.startswith("data quality: ")
    assert "Counts below 5 are masked" in text.out
    assert json.loads(call(*world.command(*asked, "--json")).out)["masked_below"] == 5
    assert json.loads(call(*world.command(*asked, "--json", "--exact")).out)["masked_below"] is None
    page = tmp_path / "page.html"
    call(*world.command(*asked, "--html", str(page)))
    assert page.read_text().startswith("<!doctype html>")
