"""Starts the runtime: its own process, an empty environment, no inherited files but three pipes.

The child is isolated Python (``-I``); it inherits no variable, so no secret of the room can reach it by accident.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Final

from asepsis.domain.documents import Document, Fields
from asepsis.domain.names import PartyId
from asepsis.errors import AsepsisError, error_of
from asepsis.errors.runtime import RuntimeAnswerMalformed, RuntimeLost

_LONGEST_ANSWER: Final = 64 << 20
_GRACE_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class RuntimeProcesses:
    """Launches one runtime process per order."""

    python: str = sys.executable

    @contextmanager
    def start(self) -> Iterator[RuntimeDialogue]:
        """A new runtime; ended, whatever happens, when the context ends."""
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [self.python, "-I", "-m", "asepsis.runtime"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            close_fds=True,
            cwd="/",
        )
        try:
            yield RuntimeDialogue(_pipe(process.stdin), _pipe(process.stdout))
        finally:
            _end(process)


class RuntimeDialogue:
    """The room's side of the dialogue (see ``asepsis.runtime.dialogue``)."""

    def __init__(self, requests: IO[bytes], answers: IO[bytes]) -> None:
        self._requests = requests
        self._answers = answers

    def prove(self, order: Document) -> Mapping[PartyId, Document]:
        """Hand over the order; the runtime answers with one piece of evidence per desk."""
        self._send({"type": "order", **order})
        answer = self._receive("evidence")
        with answer.mapping("evidence") as raw:
            evidence = {PartyId(owner): raw.anything(owner) for owner in raw.names()}
        return {owner: item for owner, item in evidence.items() if isinstance(item, dict)}

    def finish(self, grants: Sequence[Document]) -> tuple[Document, bytes]:
        """Hand over the grants; the runtime answers with its statistic and its signature over it."""
        self._send({"type": "grants", "grants": list(grants)})
        answer = self._receive("statistic")
        statistic = answer.anything("statistic")
        if not isinstance(statistic, dict):
            raise RuntimeAnswerMalformed
        return statistic, answer.octets("signature", length=64)

    def _send(self, document: Document) -> None:
        try:
            self._requests.write(json.dumps(document, separators=(",", ":")).encode() + b"\n")
            self._requests.flush()
        except BrokenPipeError:
            return  # the answer that is waiting says why

    def _receive(self, kind: str) -> Fields:
        line = self._answers.readline(_LONGEST_ANSWER)
        if not line:
            raise RuntimeLost
        try:
            document = json.loads(line)
        except ValueError:
            raise RuntimeAnswerMalformed from None
        fields = Fields(document, document="answer")
        answered = fields.text("type")
        if answered == "error":
            raise _as_error(fields)
        if answered != kind:
            raise RuntimeAnswerMalformed
        return fields


def _as_error(fields: Fields) -> AsepsisError:
    """The runtime's error as the class that it names; an unknown code is an unexpected one."""
    known = error_of(fields.text("code"))
    names = fields.anything("names")
    return known(**{str(key): str(value) for key, value in names.items()} if isinstance(names, dict) else {})


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise RuntimeLost
    return stream


def _end(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()
            except BrokenPipeError:
                continue
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
