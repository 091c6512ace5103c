"""Runs what a page tells its reader to type, in a real shell, and compares what the page says with what is printed.

A page holds, in order: files (a fenced block with a title), console blocks (``$`` before a command, ``>`` before its
further lines, then what it prints) and hidden set-up (``<!-- run`` to ``-->``). A printed line counts if it stands in
the output, in order; ``…`` stands for anything. Ids differ each time: the first time that a page shows one, it is bound
to the one that was really printed, and from then on replaced in commands. ``(exit code N)`` says how a command ends.
"""

import fcntl
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

BLOCK = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<body>.*?)^```$|^<!-- run\n(?P<hidden>.*?)^-->$",
    re.MULTILINE | re.DOTALL,
)
ID = re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{16})(?![0-9a-f])")
EXIT = re.compile(r"\(exit code (\d+)\)")


@dataclass
class Command:
    """A command and the lines that a page says it prints."""

    text: str
    printed: list[str] = field(default_factory=list)
    exit_code: int = 0


class Shell:
    """One bash in one folder, which keeps its variables from command to command."""

    def __init__(self, folder: Path, **variables: str) -> None:
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.folder = folder
        self.ids: dict[str, str] = {}
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={"PATH": programs, "HOME": str(folder), "LANG": "C.UTF-8", "COLUMNS": "200", **variables},
            text=True,
        )

    def close(self) -> None:
        """End the shell."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()

    def run(self, text: str) -> tuple[str, int]:
        """What a command prints, and its exit code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        mark = secrets.token_hex(20)
        self.process.stdin.write(f"{{ {text}\n}} </dev/null\nprintf '\\n{mark} %d\\n' $?\n")
        self.process.stdin.flush()
        lines: list[str] = []
        for line in self.process.stdout:
            if line.startswith(mark):
                return "".join(lines), int(line.split()[1])
            lines.append(line)
        raise AssertionError("the shell ended: " + "".join(lines))

    def follow(self, page: Path) -> int:
        """Do everything that a page says; returns how many commands it shows."""
        count = 0
        for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
            if block["hidden"] is not None:
                self._check(Command(block["hidden"]), page)
            elif block["title"] is not None:
                target = self.folder / block["title"]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(block["body"], encoding="utf-8")
            elif block["language"] == "console":
                for command in commands(block["body"]):
                    self._check(command, page)
                    count += 1
        return count

    def _check(self, command: Command, page: Path) -> None:
        text = ID.sub(lambda found: self.ids.get(found[0], found[0]), command.text)
        output, code = self.run(text)
        assert code == command.exit_code, f"{page.name}: $ {text}\nexit code {code}\n{output}"
        missing = match(command.printed, output, self.ids)
        assert missing is None, f"{page.name}: $ {text}\nnot printed: {missing}\n{output}"


def commands(body: str) -> list[Command]:
    """The commands of a console block."""
    found: list[Command] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:]))
        elif line.startswith("> ") and found and not found[-1].printed:
            found[-1].text += "\n" + line[2:]
        elif found and (ends := EXIT.fullmatch(line.strip())):
            found[-1].exit_code = int(ends[1])
        elif found:
            found[-1].printed.append(line)
    return found


def match(printed: list[str], output: str, ids: dict[str, str]) -> str | None:
    """The first line that is not in the output after those before it; binds the ids of the lines that are."""
    actual = iter(" ".join(line.split()) for line in output.splitlines())
    for line in printed:
        wanted = " ".join(line.split())
        if wanted.strip("… ") and not any(_bind(wanted, candidate, ids) for candidate in actual):
            return line
    return None


def _bind(wanted: str, candidate: str, ids: dict[str, str]) -> bool:
    shown = ID.findall(wanted)
    pieces = [".*".join(map(re.escape, piece.split("…"))) for piece in ID.split(wanted)]
    pattern = pieces[0]
    for identifier, piece in zip(shown, pieces[1:], strict=True):
        known = ids.get(identifier)
        pattern += (re.escape(known) if known else f"([0-9a-f]{{{len(identifier)}}})") + piece
    found = re.fullmatch(pattern, candidate)
    if found is None:
        return False
    new = [identifier for identifier in shown if identifier not in ids]
    ids.update(zip(new, found.groups(), strict=True))
    return True


@pytest.fixture(scope="session")
def demo_room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one demo, told once for all workers."""
    shared = tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else None
    place = (shared or tmp_path_factory.getbasetemp()) / "demo-of-the-docs"
    with (place.with_suffix(".lock")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "account.txt").exists():
            program = Path(sys.executable).parent / "asepsis"
            told = subprocess.run(
                [program, "demo", "--folder", place], capture_output=True, text=True, check=False, timeout=300
            )
            assert told.returncode == 0, told.stdout + told.stderr
    return place


@pytest.fixture
def shell(tmp_path: Path, repository_root: Path) -> Iterator[Shell]:
    """A shell in an empty folder beside the examples."""
    (tmp_path / "examples").symlink_to(repository_root / "examples")
    opened = Shell(tmp_path)
    yield opened
    opened.close()
