"""Files that say something about other files: a copybook is compared, a manifest's counts are met or told."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from asepsis.domain.books import Books, FileBooks
from asepsis.engines.harmonise import HarmonisedRun, check_mapping
from asepsis.errors.harmonise import LayoutDiffers
from asepsis.harmonise.mapping import Mapping
from asepsis.harmonise.readers import companion
from asepsis.harmonise.readers.batch import records_of
from asepsis.harmonise.readers.record import Limits, RecordKind

ROOT = Path(__file__).parents[3]
COPYBOOK = (ROOT / "examples" / "mappings" / "northgate" / "PATMAST.CPY").read_bytes()

Run = Callable[..., HarmonisedRun]


def manifest(**counts: int | None) -> bytes:
    output = [
        {"type": name, "url": f"https://fhir.example/out/{name}.ndjson?t=1"} | ({} if n is None else {"count": n})
        for name, n in counts.items()
    ]
    return json.dumps({"transactionTime": "2025-01-01T00:00:00Z", "output": output, "error": []}, indent=1).encode()


def books_of(result: HarmonisedRun, name: str) -> FileBooks:
    return next(file for file in result.books.files if file.path.endswith(name))


def test_a_manifest_declares_how_many_resources_each_file_has(
    run: Run, riverside: Mapping, sources: dict[str, dict[str, bytes]]
) -> None:
    files = sources["riverside"] | {"export/manifest.json": manifest(Patient=3, Condition=6)}
    result = run(riverside, files)
    assert books_of(result, "Patient.ndjson").meets_declared_count is True
    condition = books_of(result, "Condition.ndjson")
    assert (condition.declared, condition.meets_declared_count) == (6, False)
    assert "export/Condition.ndjson declares 6, which it does not hold" in result.books.as_text()
    own = books_of(result, "manifest.json")
    assert (own.landed, own.context, own.declared, own.counted) == (1, 1, 2, 2)
    assert result.books.uncovered == ()


def test_a_file_that_was_exported_and_is_not_here_shows_in_the_books(
    run: Run, riverside: Mapping, sources: dict[str, dict[str, bytes]]
) -> None:
    files = sources["riverside"] | {"export/manifest.json": manifest(Patient=None, Condition=5, Encounter=7)}
    result = run(riverside, files)
    own = books_of(result, "manifest.json")
    assert (own.declared, own.counted, own.meets_declared_count) == (3, 2, False)
    assert books_of(result, "Patient.ndjson").meets_declared_count is None


def test_a_manifest_speaks_of_its_own_folder_only(
    run: Run, riverside: Mapping, sources: dict[str, dict[str, bytes]]
) -> None:
    result = run(riverside, sources["riverside"] | {"older/manifest.json": manifest(Patient=99)})
    assert books_of(result, "Patient.ndjson").declared is None
    assert books_of(result, "manifest.json").meets_declared_count is False


def test_what_is_no_manifest_is_quarantined_whole(
    run: Run, riverside: Mapping, sources: dict[str, dict[str, bytes]]
) -> None:
    result = run(riverside, sources["riverside"] | {"export/manifest.json": manifest(Patient=3)[:-9]})
    own = books_of(result, "manifest.json")
    assert (own.quarantined, own.reasons, own.declared) == (1, {"companion_not_understood": 1}, None)


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b"{}",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"output": 3}',
        b'{"output": [1]}',
        b'{"output": [{"url": 1}]}',
        b'{"output": [{"url": ""}]}',
        b'{"output": [{"url": "http://["}]}',
        b'{"output": [{"url": "a"}, {"url": "b/a"}]}',
        b'{"output": [{"url": "a", "count": -1}]}',
        b'{"output": [{"url": "a", "count": true}]}',
        b'{"output": [{"url": "a", "count": 1.5}]}',
        b'{"output": [{"url": "a", "count": ' + b"9" * 5000 + b"}]}",
    ],
)
def test_a_manifest_that_cannot_be_meant_is_not_understood(text: bytes) -> None:
    assert companion.exported_counts(text) is None


def test_the_copybook_in_the_backup_must_describe_what_the_mapping_reads(
    run: Run, northgate: Mapping, sources: dict[str, dict[str, bytes]]
) -> None:
    other = COPYBOOK.replace(b"PIC 9(8)", b"PIC 9(7)", 1)
    assert other != COPYBOOK
    with pytest.raises(LayoutDiffers):
        run(northgate, sources["northgate"] | {"data/PATMAST.CPY": other})


def test_a_copybook_that_differs_in_its_remarks_only_is_context(
    run: Run, northgate: Mapping, sources: dict[str, dict[str, bytes]]
) -> None:
    files = sources["northgate"] | {"data/PATMAST.CPY": b"      * PRINTED 1985, R\xd6NTGEN DEPT\n" + COPYBOOK}
    own = books_of(run(northgate, files), "PATMAST.CPY")
    assert (own.landed, own.context, own.quarantined) == (1, 1, 0)


def test_a_copybook_that_cannot_be_read_is_quarantined_whole(
    run: Run, northgate: Mapping, sources: dict[str, dict[str, bytes]]
) -> None:
    own = books_of(run(northgate, sources["northgate"] | {"data/PATMAST.CPY": b"MZ\x90\0"}), "PATMAST.CPY")
    assert own.reasons == {"companion_not_understood": 1}


@pytest.mark.parametrize(("size", "kinds"), [(0, []), (9, [RecordKind.CONTEXT]), (10, [RecordKind.RESIDUE])])
def test_a_companion_beyond_the_limit_of_a_record_is_residue(size: int, kinds: list[RecordKind]) -> None:
    found = companion.read(io.BytesIO(bytes(size)), understood=len, limits=Limits(record_bytes=9))
    records = list(records_of(found))
    assert [record.kind for record in records] == kinds
    assert sum(record.length for record in records) == size


def test_a_companion_needs_no_table_and_no_fields(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(ROOT / "examples" / "mappings" / "riverside", folder)
    assert {remark.code for remark in check_mapping(folder)} == {"mapping.unused_fields"}


def test_the_text_of_the_books_names_what_nobody_reads() -> None:
    books = Books(run="r", mapping="m", files=(), uncovered=("a/b.txt",))  # type: ignore[arg-type]
    assert "not read by any entry of the mapping: a/b.txt" in books.as_text()
