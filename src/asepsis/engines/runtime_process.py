"""Starts the runtime: its own confined process, an empty environment, no inherited files but three pipes.

The process starts when the order is known, because the order says what it may reach: the ciphertext of the job's
snapshots for reading, one output folder for writing. Data that is not synthetic, or a contract above level 0, is
never computed on unless every ring of the confinement holds (see ``asepsis.engines.confinement``).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from asepsis.domain.documents import Document, Fields, encode_bytes
from asepsis.domain.names import PartyId
from asepsis.engines.confinement.launch import Confined, best_ring, confined
from asepsis.engines.confinement.reach import check_output, opened, reach_of, runs_unconfined
from asepsis.engines.confinement.report import Confinement, Ring
from asepsis.errors import AsepsisError, error_of
from asepsis.errors.runtime import RuntimeAnswerMalformed, RuntimeLost
from asepsis.ports import Keep

_LONGEST_ANSWER: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class RuntimeProcesses:
    """Launches one runtime process per order; ``ring`` is the outer ring, the best one where none is given."""

    python: str = sys.executable
    ring: Ring | None = None

    @contextmanager
    def start(self) -> Iterator[RuntimeDialogue]:
        """A new runtime; ended, whatever happens, when the context ends."""
        with ExitStack() as life:
            yield RuntimeDialogue(self, life)

    def launch(self, order: Document, life: ExitStack) -> Confined:
        """Start the process for one order. Raises RuntimeUnconfined or ConfinementFailed."""
        reach = reach_of(order)
        life.enter_context(opened(reach))
        ring = self.ring or best_ring(self.python, reach)
        runtime = life.enter_context(confined(self.python, reach, ring=ring))
        if not runs_unconfined(order):
            runtime.confinement.require()
        return runtime


def confinement_here(python: str = sys.executable) -> Confinement:
    """What confines a runtime on this machine, tried out. Raises ConfinementFailed."""
    reach = reach_of({})
    with confined(python, reach, ring=best_ring(python, reach)) as tried:
        return tried.confinement


class RuntimeDialogue:
    """The room's side of the dialogue (see ``asepsis.runtime.dialogue``)."""

    def __init__(self, processes: RuntimeProcesses, life: ExitStack) -> None:
        self._processes = processes
        self._life = life
        self._runtime: Confined | None = None
        self._output = ""

    @property
    def confinement(self) -> Confinement | None:
        """What holds around the process, once it was started."""
        return None if self._runtime is None else self._runtime.confinement

    def prove(self, order: Document) -> Mapping[PartyId, Document]:
        """Hand over the order; the runtime answers with one piece of evidence per desk."""
        self._runtime = self._processes.launch(order, self._life)
        self._output = str(order.get("output") or "")
        self._send({"type": "order", **order})
        answer = self._receive("evidence")
        with answer.mapping("evidence") as raw:
            evidence = {PartyId(owner): raw.anything(owner) for owner in raw.names()}
        return {owner: item for owner, item in evidence.items() if isinstance(item, dict)}

    def finish(self, grants: Sequence[Document], *, keep: Keep) -> tuple[Document, bytes]:
        """Hand over the grants; the runtime answers with its statistic and its signature over it.

        ``keep`` is called with the step to a new memory of releases, if the runtime shows one before.
        """
        self._send({"type": "grants", "grants": list(grants)})
        kind, answer = self._receive_one("memory", "statistic")
        if kind == "memory":
            step = answer.anything("step")
            if not isinstance(step, dict):
                raise RuntimeAnswerMalformed
            check_output(self._output)
            receipts = keep(step, answer.octets("signature", length=64))
            self._send({"type": "receipts", "receipts": {owner: encode_bytes(one) for owner, one in receipts.items()}})
            answer = self._receive("statistic")
        statistic = answer.anything("statistic")
        if not isinstance(statistic, dict):
            raise RuntimeAnswerMalformed
        check_output(self._output)
        return statistic, answer.octets("signature", length=64)

    def confined(self) -> str:
        """One word for the record: how the process was found to be confined. Raises RuntimeLost before it started."""
        return self._pipes().confinement.word

    def _pipes(self) -> Confined:
        if self._runtime is None:
            raise RuntimeLost(ended="it was not started")
        return self._runtime

    def _send(self, document: Document) -> None:
        try:
            requests = self._pipes().requests
            requests.write(json.dumps(document, separators=(",", ":")).encode() + b"\n")
            requests.flush()
        except BrokenPipeError:
            return  # the answer that is waiting says why

    def _receive(self, kind: str) -> Fields:
        return self._receive_one(kind)[1]

    def _receive_one(self, *kinds: str) -> tuple[str, Fields]:
        line = self._pipes().answers.readline(_LONGEST_ANSWER)
        if not line:
            raise RuntimeLost(ended=self._pipes().ended())
        try:
            document = json.loads(line)
        except ValueError:
            raise RuntimeAnswerMalformed from None
        fields = Fields(document, document="answer")
        answered = fields.text("type")
        if answered == "error":
            raise _as_error(fields)
        if answered not in kinds:
            raise RuntimeAnswerMalformed
        return answered, fields


def _as_error(fields: Fields) -> AsepsisError:
    """The runtime's error as the class that it names; an unknown code is an unexpected one."""
    known = error_of(fields.text("code"))
    names = fields.anything("names")
    return known(**{str(key): str(value) for key, value in names.items()} if isinstance(names, dict) else {})
