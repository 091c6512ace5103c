"""The edges of an import: the other tool's JSON, the header lines of files, and the folder that is made.

Invariant: a folder appears under its name complete or not at all, and nothing that was there is touched.
"""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import zlib
from pathlib import Path
from typing import Any, Final

from asepsis.errors.importing import ImportMalformed, ImportMissing, MappingKept
from asepsis.harmonise.importing.declared import Declared
from asepsis.harmonise.importing.draft import Draft, decisions_page, entry_name
from asepsis.harmonise.vocabulary.code_map import write_code_map
from asepsis.yaml_files import to_yaml

_LARGEST: Final = 64 << 20
_LONGEST_HEADER: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"


def read_document(path: Path) -> Any:
    """A JSON document, plain or gzip, inside limits.

    Raises:
        ImportMissing: it cannot be read.
        ImportMalformed: it is not JSON, or it is too large.
    """
    try:
        with path.open("rb") as stream:
            is_packed = stream.read(2) == _GZIP
        with gzip.open(path, "rb") if is_packed else path.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise ImportMalformed(file=path.name, place="the file", problem="the gzip file is damaged") from None
    except OSError:
        raise ImportMissing(path=str(path)) from None
    if len(data) > _LARGEST:
        raise ImportMalformed(file=path.name, place="the file", problem="it is too large")
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise ImportMalformed(file=path.name, place="the file", problem="it is not JSON") from None


def read_headers(folder: Path, *, declared: Declared) -> dict[str, tuple[str, ...]]:
    """The column names of each text file of a folder, by the name of its entry; no other line is read.

    Raises:
        ImportMissing: the folder or a file cannot be read.
    """
    headers = {}
    try:
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.suffix.lower() in {".csv", ".tsv", ".txt"}:
                with path.open("rb") as stream:
                    line = stream.readline(_LONGEST_HEADER).decode(declared.encoding, "replace")
                names = next(csv.reader([line.removeprefix("\ufeff").rstrip("\r\n")], delimiter=declared.mark), [])
                headers[entry_name(path.name)] = tuple(names)
    except (OSError, csv.Error):
        raise ImportMissing(path=str(folder)) from None
    return headers


def write_folder(draft: Draft, out: Path, *, tool: str) -> None:
    """Write the mapping folder with ``DECIDE.md``.

    Raises:
        MappingKept: there is something under its name.
        ImportMissing: it cannot be written.
    """
    if out.exists():
        raise MappingKept(path=str(out))
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    files = {
        "source.yaml": to_yaml(draft.source_document()),
        "DECIDE.md": decisions_page(draft, tool=tool),
        **{f"tables/{name}.yaml": to_yaml(document) for name, document in draft.tables.items()},
        **{f"left_out/{name}.yaml": to_yaml(document) for name, document in draft.left_out.items()},
        **{f"codes/{name}.csv": write_code_map(rows) for name, rows in draft.codes.items()},
    }
    try:
        for name, text in files.items():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        partial.rename(out)
    except OSError:
        raise ImportMissing(path=str(out)) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
