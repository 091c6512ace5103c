"""One telling of ``asepsis demo`` for all who look at what it left behind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from simulator import Answer, asepsis, base_folder, call, once


@dataclass(frozen=True)
class Demo:
    """The folder of a finished demo and what it said."""

    folder: Path

    @property
    def room(self) -> Path:
        return self.folder / "demo"

    @property
    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads((self.folder / "facts.json").read_text())
        return facts

    @property
    def bundle(self) -> Path:
        return self.folder / self.facts["bundle"]

    def verify_release(self, bundle: Path) -> Answer:
        return call("release", "verify", str(bundle), "--contract", self.facts["contract"], "--json")

    def verify_ledger(self, ledger: Path) -> Answer:
        return call("ledger", "verify", str(ledger), "--contract", str(self.room / "room.yaml"), "--json")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Read only."""

    def tell(folder: Path) -> None:
        folder.mkdir()
        answer = asepsis("demo", "--json", cwd=folder)
        assert (answer.code, answer.err) == (0, ""), answer
        (folder / "facts.json").write_text(answer.out)

    return Demo(once(base_folder(tmp_path_factory) / "story", tell))
