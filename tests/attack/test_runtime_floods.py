"""A runtime that takes all memory, or writes without end, is ended; nothing of what it wrote is used."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest

from asepsis.engines.confinement.group import Group
from asepsis.engines.runtime_process import RuntimeDialogue, RuntimeProcesses
from asepsis.errors.runtime import RuntimeAnswerMalformed

GREEDY = "import sys; sys.stdin.readline(); held = [bytearray(16 << 20) for _ in range(64)]; print('kept', flush=True)"
ENDLESS = "import sys\nwhile True: sys.stdout.write('A' * (1 << 20))"
LIMIT = 256 << 20


def test_a_process_that_takes_more_memory_than_its_group_may_is_killed() -> None:
    """Guard: the limit of memory of ``Group.make``. TR-053."""
    group = Group.make(memory=LIMIT)
    if group.kind == "none":
        pytest.skip("this user may make no control group here")
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-I", "-c", GREEDY], stdin=pipe, stdout=pipe) as process:
        assert group.hold(process.pid)
        said, _ = process.communicate(b"go\n", timeout=600)
    group.remove()
    assert (process.returncode, said) == (-signal.SIGKILL, b"")


def test_an_answer_without_end_is_cut_and_refused() -> None:
    """Guard: the longest answer that ``RuntimeDialogue`` reads. TR-056."""
    with (
        ExitStack() as life,
        subprocess.Popen([sys.executable, "-I", "-c", ENDLESS], stdout=subprocess.PIPE) as process,
    ):
        life.callback(process.kill)
        dialogue = RuntimeDialogue(RuntimeProcesses(), life)
        dialogue._pipes = lambda: Flooded(process)  # type: ignore[assignment, method-assign, return-value]
        with pytest.raises(RuntimeAnswerMalformed):
            dialogue._receive("evidence")


class Flooded:
    """What a dialogue reads from."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.answers = process.stdout
