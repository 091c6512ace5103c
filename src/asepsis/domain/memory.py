"""The memory of releases as parties speak of it: a version, its digest, and the step of one run to the next version.

What is inside is known to runtimes only. There is one memory for all versions of a contract, named by its
lineage; version 0 is empty and has no file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from asepsis.domain.documents import Document, Fields
from asepsis.domain.names import Digest, RunId

FORMAT: Final = "asepsis/memory-step/2"

_HEX_256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryVersion:
    """One version: its number, the BLAKE3 root (hex) of its sealed file, and the bytes of that file."""

    number: int
    root: str
    size: int

    def to_document(self) -> Document:
        """The document form; :func:`read_memory_version` reads it."""
        return {"number": self.number, "root": self.root, "size": self.size}


EMPTY: Final = MemoryVersion(number=0, root="", size=0)
"""The memory of a contract under which nothing was asked yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUse:
    """From which version a run started, and which one it left; the same where it had nothing to remember."""

    before: MemoryVersion
    after: MemoryVersion

    def to_document(self) -> Document:
        """The document form; :func:`read_memory_use` reads it."""
        return {"before": self.before.to_document(), "after": self.after.to_document()}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryStep:
    """What the runtime of a run signs before its statistic leaves: the version it made out of which."""

    run: RunId
    contract: Digest
    lineage: Digest
    job: Digest
    use: MemoryUse

    def to_document(self) -> Document:
        """The document that the runtime signs; :func:`read_memory_step` reads it."""
        named = {"run": self.run, "contract": self.contract, "lineage": self.lineage, "job": self.job}
        return {"format": FORMAT, **named, **self.use.to_document()}


def read_memory_version(value: object) -> MemoryVersion:
    """Read a version. Raises DocumentMalformed."""
    fields = Fields(value, document="memory version")
    version = MemoryVersion(
        number=fields.integer("number"), root=str(fields.anything("root")), size=fields.integer("size")
    )
    fields.close()
    if version != EMPTY and (version.number == 0 or _HEX_256.fullmatch(version.root) is None):
        raise fields.malformed("root", "a version after the empty one is named by a digest")
    return version


def read_memory_use(value: object) -> MemoryUse:
    """Read the versions before and after a run. Raises DocumentMalformed."""
    fields = Fields(value, document="memory use")
    use = _read_use(fields)
    fields.close()
    return use


def read_memory_step(value: object) -> MemoryStep:
    """Read a step, which leads to exactly the next version. Raises DocumentMalformed."""
    fields = Fields(value, document="memory step")
    if fields.text("format") != FORMAT:
        raise fields.malformed("format", f"'{FORMAT}' is needed")
    step = MemoryStep(
        run=RunId(fields.text("run")),
        contract=Digest(fields.text("contract")),
        lineage=Digest(fields.text("lineage")),
        job=Digest(fields.text("job")),
        use=_read_use(fields),
    )
    fields.close()
    if step.use.after.number != step.use.before.number + 1:
        raise fields.malformed("after", "the version after the one before is needed")
    return step


def _read_use(fields: Fields) -> MemoryUse:
    return MemoryUse(
        before=read_memory_version(fields.anything("before")), after=read_memory_version(fields.anything("after"))
    )
