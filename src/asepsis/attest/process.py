"""The level-0 attester ``process``: NON-CONFIDENTIAL. It says which code runs, and nothing protects it from its host.

The measurement covers every source file of the runtime's closure, the Python version and the versions of the
libraries that compute and decrypt. The evidence is signed by the runtime's own ephemeral key, so that it holds
together, and by no hardware: whoever controls the machine can make any such evidence. A desk therefore gives
the keys of real data never to this level.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import asepsis
from asepsis.attest.envelope import sign_evidence, verify_envelope
from asepsis.domain.attestation import LEVELS, Appraisal, Binding, Evidence, EvidenceKind
from asepsis.domain.names import Digest
from asepsis.errors.attest import EvidenceKindRefused, ProgramUnreadable
from asepsis.sealing.canonical import digest

CLOSURE: Final = (
    "errors",
    "domain",
    "sealing",
    "ledger",
    "sql",
    "disclosure",
    "methods",
    "linkage",
    "engines",
    "attest",
    "runtime",
)
"""The packages that the runtime may import; a house test keeps its closure inside them."""

LIBRARIES: Final = ("cryptography", "duckdb", "highspy", "numpy", "pyarrow", "sqlglot")

_FORMAT: Final = "asepsis/process-measurement/1"


@cache
def measure() -> Digest:
    """The measurement of the program as it is installed here, taken once per process. Raises ProgramUnreadable."""
    package = Path(asepsis.__file__).parent
    try:
        versions = {name: version(name) for name in LIBRARIES}
        return measure_files(package, packages=CLOSURE, python=platform.python_version(), libraries=versions)
    except (OSError, PackageNotFoundError):
        raise ProgramUnreadable from None


def measure_files(package: Path, *, packages: Iterable[str], python: str, libraries: Mapping[str, str]) -> Digest:
    """SHA-256 over the sorted paths and digests of all source files of some packages, and over the versions."""
    files = {path.relative_to(package).as_posix(): _file_digest(path) for path in _sources(package, packages)}
    return digest({"format": _FORMAT, "files": files, "python": python, "libraries": dict(libraries)})


def make_evidence(binding: Binding, *, signing_key: bytes, confined: bool = False) -> Evidence:
    """Evidence for one run, bound to it and signed by the runtime's ephemeral signing key (the private half).

    ``confined`` says that the process found itself in its sandbox.

    Raises:
        ProgramUnreadable: the program cannot be measured.
        KeyMalformed: the private key is none.
    """
    unsigned = Evidence(
        kind=EvidenceKind.PROCESS,
        confidential=False,
        measurement=measure(),
        report_data=binding.report_data(),
        sealing_key=binding.sealing_key,
        signing_key=binding.signing_key,
        signature=b"",
        confined=confined,
    )
    return sign_evidence(unsigned, signing_key=signing_key)


def verify_process(evidence: Evidence) -> Appraisal:
    """Check that the evidence is signed by the key it names and claims no more than its kind can give.

    Raises:
        EvidenceSignatureInvalid: it was not signed by the signing key that it names.
        EvidenceKindRefused: it claims to be confidential, or shows a report that no process can have.
    """
    if evidence.confidential or evidence.report or evidence.endorsements:
        raise EvidenceKindRefused(kind=EvidenceKind.PROCESS.value)
    verify_envelope(evidence)
    return Appraisal(
        kind=evidence.kind,
        level=LEVELS[evidence.kind],
        claims={"confidential": "false", "measurement": evidence.measurement},
        reasons=("NON-CONFIDENTIAL: a software key vouches for this process; its host can read its memory.",),
    )


def _sources(package: Path, packages: Iterable[str]) -> Iterator[Path]:
    yield from package.glob("__init__.py")
    yield from package.glob("ports.py")
    for name in packages:
        folder = package / name
        if not folder.is_dir():
            raise ProgramUnreadable
        yield from folder.rglob("*.py")


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
