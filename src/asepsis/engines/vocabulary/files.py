"""The small files around a vocabulary: lists of codes, equivalences of CMS, code maps."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asepsis.errors.vocabulary import CodesMalformed, VocabularyMissing, VocabularyUnwritable
from asepsis.harmonise.vocabulary.code_map import MapRow, Merge, merge_code_map, read_code_map, write_code_map
from asepsis.harmonise.vocabulary.gems import GemEntry, Gems, read_entry
from asepsis.harmonise.vocabulary.matching import MappedCode

_CODE_NAMES: Final = ("source_code", "code")
_COUNT_NAMES: Final = ("count", "rows", "frequency")
_UNMAPPED: Final = ("source_code", "count", "note", "to_decide")
_GEMS: Final = {
    ("icd9cm", "icd10cm"): ("ICD9CM", "ICD10CM"),
    ("icd9pcs", "icd10pcs"): ("ICD9Proc", "ICD10PCS"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Distinct codes with their counts; ``empty`` values and ``unusable`` ones are counted, too."""

    codes: Mapping[str, int]
    empty: int
    unusable: int


def read_counts(path: Path, *, columns: Collection[str] = (), ignored: Collection[str] = ()) -> Counted:
    """Count the codes of a CSV file, in the named columns or in ``source_code`` (with ``count``, where there is one).

    Raises:
        VocabularyMissing: the file cannot be read.
        CodesMalformed: it is not CSV, or a column is not there.
    """
    counts: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    reader = csv.DictReader(io.StringIO(_text(path)), strict=True)
    names = [name.strip() for name in _header(reader, path)]
    reader.fieldnames = names
    wanted = _wanted(path, names, columns)
    number = next((name for name in _COUNT_NAMES if not columns and name in names), None)
    try:
        for line, row in enumerate(reader, start=2):
            count = _count(row.get(number) if number else "1", path, line)
            for name in wanted:
                code = row.get(name) or ""
                kind = _kind(code, ignored)
                if kind is None:
                    counts[code] += count
                else:
                    skipped[kind] += count
    except csv.Error:
        raise CodesMalformed(file=path.name, place="the file", problem="it is not valid CSV") from None
    return Counted(codes=dict(counts), empty=skipped["empty"], unusable=skipped["unusable"])


def read_gems(path: Path) -> Gems:
    """The equivalences of a GEM file: CSV with named flags, or the text file of CMS (``0010  A000  00000``).

    Raises:
        VocabularyMissing: the file cannot be read.
        CodesMalformed: it is neither.
    """
    text = _text(path)
    first = next(csv.reader([text.partition("\n")[0]]), [])
    systems = _GEMS.get((first[0].strip().lower(), first[1].strip().lower())) if len(first) > 1 else None
    if systems is None:
        return _plain_gems(text, path)
    reader = csv.DictReader(io.StringIO(text))
    reader.fieldnames = [name.strip().lower() for name in first]
    next(reader)
    names = [str(name) for name in reader.fieldnames[:2]]
    entries: list[GemEntry] = []
    for line, row in enumerate(reader, start=2):
        entry = read_entry(row, source=names[0], target=names[1])
        if entry is None:
            raise CodesMalformed(file=path.name, place=f"line {line}", problem="a flag is not one digit")
        entries.append(entry)
    return Gems(entries, source=systems[0], target=systems[1])


def read_code_maps(paths: Iterable[Path]) -> dict[str, tuple[MapRow, ...]]:
    """Code maps by the name of their file.

    Raises:
        VocabularyMissing: a file cannot be read.
        CodesMalformed: it is no code map.
    """
    return {path.name: read_code_map(_text(path), file=path.name) for path in paths}


def write_map(path: Path, mapped: Collection[MappedCode]) -> Merge:
    """Merge what was found into a code map, and list beside it what is not mapped, the most frequent first.

    Raises:
        CodesMalformed: what is there is no code map.
        VocabularyUnwritable: the folder cannot be written.
    """
    existing = read_code_map(_text(path), file=path.name) if path.exists() else ()
    merge = merge_code_map(existing, mapped)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_UNMAPPED)
    reviewed = {row.source_code for row in merge.rows if row.is_reviewed}
    left = [each for each in mapped if not each.concept_id and each.code not in reviewed]
    writer.writerows((each.code, each.count, each.note, "yes" if each.to_decide else "no") for each in left)
    _replace(unmapped_beside(path), out.getvalue())
    _replace(path, write_code_map(merge.rows))
    return merge


def write_counts(path: Path, counts: Mapping[str, int]) -> None:
    """Write codes with their counts as ``read_counts`` reads them. Raises VocabularyUnwritable."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([("source_code", "count"), *counts.items()])
    _replace(path, out.getvalue())


def unmapped_beside(path: Path) -> Path:
    """Where the codes that are not mapped are listed: outside ``codes/``, which holds code maps only."""
    folder = path.parent.parent if path.parent.name == "codes" else path.parent
    return folder / f"{path.stem}.unmapped.csv"


def _plain_gems(text: str, path: Path) -> Gems:
    entries = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if len(words) != len(("source", "target", "flags")) or len(words[2]) != len("00000"):
            raise CodesMalformed(file=path.name, place=f"line {number}", problem="it is no line of a GEM file")
        names = ("approximate", "no_map", "combination", "scenario", "choice_list")
        row = {"s": words[0], "t": words[1], **dict(zip(names, words[2], strict=True))}
        entry = read_entry(row, source="s", target="t")
        if entry is None:
            raise CodesMalformed(file=path.name, place=f"line {number}", problem="a flag is not one digit")
        entries.append(entry)
    procedures = all(len(entry.target) == len("6A750Z4") for entry in entries if not entry.no_map)
    source, target = ("ICD9Proc", "ICD10PCS") if procedures else ("ICD9CM", "ICD10CM")
    return Gems(entries, source=source, target=target)


def _header(reader: csv.DictReader[str], path: Path) -> list[str]:
    try:
        return list(reader.fieldnames or ())
    except csv.Error:
        raise CodesMalformed(file=path.name, place="the header", problem="it is not valid CSV") from None


def _wanted(path: Path, names: list[str], columns: Collection[str]) -> list[str]:
    wanted = list(columns) or [str(name) for name in _CODE_NAMES if name in names][:1]
    missing = [name for name in wanted if name not in names]
    if missing or not wanted:
        problem = f"there is no column {missing[0] if missing else ' or '.join(_CODE_NAMES)}"
        raise CodesMalformed(file=path.name, place="the header", problem=problem)
    return wanted


def _count(text: str | None, path: Path, line: int) -> int:
    if text is None or not text.strip().isdecimal():
        raise CodesMalformed(file=path.name, place=f"line {line}", problem="the count is not a whole number")
    return int(text)


def _kind(code: str, ignored: Collection[str]) -> str | None:
    if not code.strip() or code.strip() in ignored:
        return "empty"
    return None if code.isprintable() else "unusable"


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        raise VocabularyMissing(file=path.name, path=str(path.parent)) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CodesMalformed(file=path.name, place="the file", problem="it is not UTF-8") from None


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    draft = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError:
        raise VocabularyUnwritable(path=str(path)) from None
