"""The account: what happened in each step, who saw what, and what the host could see."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import typer


@dataclass(slots=True)
class Account:
    """Prints as the story goes on, and keeps the lines for the file that stays behind."""

    show: Callable[[str], None] = typer.echo
    lines: list[str] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def step(self, number: int, title: str) -> None:
        """Begin a step of the story."""
        self._write("")
        self._write(f"{number}. {title}   [{time.monotonic() - self.began:.0f} s]")

    def happened(self, text: str) -> None:
        """One thing that happened."""
        self._block("   ", text)

    def saw(self, who: str, what: str) -> None:
        """Who saw what."""
        self._write(f"   {who} saw: {what}")

    def host(self, what: str) -> None:
        """What the host of the room could see."""
        self._write(f"   the host could see: {what}")

    def fact(self, name: str, value: object) -> None:
        """A number or id for ``--json`` and for tests."""
        self.facts[name] = value

    def _block(self, indent: str, text: str) -> None:
        for line in text.splitlines():
            self._write(indent + line)

    def _write(self, line: str) -> None:
        self.lines.append(line)
        self.show(line)
