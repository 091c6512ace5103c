"""What holds around this process, as the program that closed the rings found it before the runtime was loaded.

The runtime is the code that its measurement names, so its word on this is worth what its evidence is worth.
"""

from __future__ import annotations

from asepsis.domain.documents import Document
from asepsis.engines.confinement.report import read_confinement
from asepsis.errors.contract import DocumentMalformed

found: Document = {}
"""The report of ``asepsis.engines.confinement.inside``; empty in a process that it did not start."""


def is_confined() -> bool:
    """Whether every ring holds that real data need."""
    try:
        return not read_confinement(found).missing()
    except DocumentMalformed:
        return False
