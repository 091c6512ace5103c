"""A clean set: what was chosen, copied out of the restore points into a new folder, under one manifest.

Every file is digested while it is written. The digest of the manifest is the set's root, which the signed act of the
export names; so the certificate speaks for every byte, and :func:`check_clean_set` reads all of them again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from asepsis.domain.documents import Document
from asepsis.domain.incident_acts import Part
from asepsis.domain.source import Entry, EntryType
from asepsis.errors.incident import RecoveryNotCertified
from asepsis.errors.recovery import OutputExists, OutputUnwritable
from asepsis.ports import Source, TableSource
from asepsis.sealing.canonical import canonical, digest, parse_canonical

FORMAT: Final = "asepsis/clean-set/1"
MANIFEST: Final = "manifest.json"
FILES: Final = "files"
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanSet:
    """What was written: the digest of its manifest, and how much it is."""

    root: str
    files: int
    size: int


def new_folder(folder: Path) -> None:
    """Make a folder for its owner alone. Raises OutputExists or OutputUnwritable."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        raise OutputExists(path=str(folder)) from None
    except OSError:
        raise OutputUnwritable(path=str(folder)) from None


def copy_part(source: Source, part: Part, folder: Path, *, others: Sequence[Part]) -> None:
    """Copy one part of a choice below ``folder``; what another part takes more exactly is left to that one.

    Raises OutputExists where two parts have a file of the same name, OutputUnwritable, and the errors of the source.
    """
    point = next(one for one in source.restore_points() if one.id == part.point)
    target = folder / FILES
    target.mkdir(mode=0o700, exist_ok=True)
    if isinstance(source, TableSource):
        source.export(point.id, target)
        return
    exact = [one.path for one in others if one is not part and len(one.path) > len(part.path)]
    for entry in source.walk(point.id):
        if (
            entry.type is EntryType.FILE
            and _lies(entry.path, part.path)
            and not any(_lies(entry.path, p) for p in exact)
        ):
            with source.open(point.id, entry.path) as stream:
                _copy(stream, target / _inside(entry))


def seal_clean_set(folder: Path, *, incident: str) -> CleanSet:
    """Write the manifest over everything below the folder. Raises OutputUnwritable."""
    files = [_told(folder, path) for path in _everything(folder)]
    document: Document = {"format": FORMAT, "incident": incident, "files": files}
    _copy(BytesIO(canonical(document)), folder / MANIFEST)
    return CleanSet(root=digest(document), files=len(files), size=sum(int(str(one["size"])) for one in files))


def check_clean_set(folder: Path, *, root: str) -> int:
    """Read a whole clean set again and compare; returns how many files it has. Raises RecoveryNotCertified."""
    try:
        document = parse_canonical((folder / MANIFEST).read_bytes())
        found = [_told(folder, path) for path in _everything(folder)]
    except OSError:
        raise RecoveryNotCertified(problem="the clean set cannot be read") from None
    if digest(document) != root:
        raise RecoveryNotCertified(problem="the manifest of the clean set is another one")
    if document.get("files") != json.loads(json.dumps(found)):
        raise RecoveryNotCertified(problem="a file of the clean set is missing, added or changed")
    return len(found)


def check_certified_set(folder: Path, content: Mapping[str, object]) -> int:
    """Check a clean set against a verified certificate's exports. Raises RecoveryNotCertified."""
    exports = content["exports"]
    roots = [str(one["root"]) for one in exports] if isinstance(exports, list) else []
    try:
        root = digest(parse_canonical((folder / MANIFEST).read_bytes()))
    except OSError:
        raise RecoveryNotCertified(problem="the clean set cannot be read") from None
    if root not in roots:
        raise RecoveryNotCertified(problem="it certifies no such clean set")
    return check_clean_set(folder, root=root)


def _everything(folder: Path) -> Iterator[Path]:
    return iter(sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST))


def _told(folder: Path, path: Path) -> Document:
    hashed, size = sha256(), 0
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            hashed.update(piece)
            size += len(piece)
    name = path.relative_to(folder).as_posix().encode(errors="surrogateescape").decode(errors="backslashreplace")
    return {"path": name, "size": size, "sha256": hashed.hexdigest()}


def _copy(stream: BinaryIO, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise OutputExists(path=str(path)) from None
    except OSError:
        raise OutputUnwritable(path=str(path)) from None
    with os.fdopen(descriptor, "wb") as out:
        while piece := stream.read(_PIECE):
            out.write(piece)


def _lies(path: str, wanted: str) -> bool:
    """Whether a path is the wanted one or lies below it; everything lies below nothing."""
    return not wanted or path.strip("/") == wanted.strip("/") or path.strip("/").startswith(f"{wanted.strip('/')}/")


def _inside(entry: Entry) -> Path:
    """A path that stays where it is put, whatever a backup calls its files. Raises OutputUnwritable."""
    parts = [part for part in PurePosixPath(entry.path).parts if part != "/"]
    if not parts or ".." in parts:
        raise OutputUnwritable(path=entry.path)
    return Path(*parts)
