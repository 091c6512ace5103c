"""Quarantined records are judged again under a corrected mapping; that gives what a whole run gives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from collections.abc import Mapping as MappingOf
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from asepsis.engines.harmonise import HarmonisedRun, KeptRun, Resources, harmonise, load_mapping, rerun
from asepsis.errors.harmonise import BooksDoNotBalance, KeptRunDamaged, RerunNeedsBackup
from asepsis.harmonise.mapping import Mapping

MAPPINGS = Path(__file__).parents[3] / "examples" / "mappings"
KEY = bytes(range(32))
RESOURCES = Resources(memory="256MB", threads=1)
Sources = dict[str, dict[str, bytes]]
Run = Callable[..., HarmonisedRun]
Change = Callable[[Path], None]


def edited(hospital: str, folder: Path, change: Change) -> Mapping:
    shutil.copytree(MAPPINGS / hospital, folder)
    change(folder)
    return load_mapping(folder)


def strict(table: str, rule: MappingOf[str, Any]) -> Change:
    """One more requirement than the hospital's mapping has."""

    def change(folder: Path) -> None:
        path = folder / "tables" / f"{table}.yaml"
        content = yaml.safe_load(path.read_text())
        content["require"] = [*content.get("require", []), dict(rule)]
        path.write_text(yaml.safe_dump(content))

    return change


def without_codes(table: str, codes: str, *removed: str) -> Change:
    """A code map lacks codes, and the table takes known codes only."""

    def change(folder: Path) -> None:
        path = folder / "codes" / f"{codes}.csv"
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if line.split(",")[0] not in removed))
        known = {"expr": f"in_codes(code, '{codes}')", "reason": "code_not_known", "on_fail": "quarantine"}
        strict(table, known)(folder)

    return change


def kept(result: HarmonisedRun, folder: Path) -> KeptRun:
    """What the owner's home holds after a contribution."""
    folder.mkdir()
    paths = (result.quarantine, result.excluded, result.merged, result.provenance)
    for path in (*paths, result.waiting, result.persons, result.partners, result.reading):
        shutil.copyfile(path, folder / path.name)
    (folder / "books.json").write_text(json.dumps(result.books.as_dict()))
    return KeptRun(folder=folder, tables={**result.tables, "identity": result.identity})


def rows(path: Path) -> list[dict[str, Any]]:
    found = pq.read_table(path).to_pylist()
    return [{name: value for name, value in row.items() if name not in {"run", "mapping"}} for row in found]


def same(again: HarmonisedRun, whole: HarmonisedRun) -> None:
    """Every row, id and order, and the books, are those of the whole run."""
    assert dict(again.row_counts) == dict(whole.row_counts)
    assert set(again.tables) == set(whole.tables)
    for name, path in whole.tables.items():
        assert rows(again.tables[name]) == rows(path), name
    for name in ("identity", "quarantine", "excluded", "merged", "provenance", "waiting", "persons", "partners"):
        assert rows(getattr(again, name)) == rows(getattr(whole, name)), name
    assert again.books.files == whole.books.files


ONLY_NEW = {"expr": "year(condition_start_date) >= 2001", "reason": "too_old"}
CHANGES = {
    "a code map lacks codes": ("northgate", without_codes("condition_occurrence", "conditions", "4019", "0340")),
    "a requirement was too strict": ("northgate", strict("condition_occurrence", ONLY_NEW)),
    "masters were refused": ("northgate", strict("person", {"expr": "pat_sex = 'F'", "reason": "not_female"})),
    "every master was refused": ("northgate", strict("person", {"expr": "pat_sex = 'X'", "reason": "not_x"})),
    "resources were refused": ("riverside", strict("condition_occurrence", {"expr": "id <> 'c2'", "reason": "odd"})),
    "patients were refused": ("riverside", strict("person", {"expr": "id <> 'p1'", "reason": "odd"})),
}
QUICK = ("patients were refused",)


@pytest.mark.parametrize(
    "case", [*QUICK, *(pytest.param(case, marks=pytest.mark.long) for case in CHANGES if case not in QUICK)]
)
def test_a_rerun_after_a_repair_of_the_mapping_is_the_whole_run(
    case: str, sources: Sources, run: Run, tmp_path: Path
) -> None:
    hospital, change = CHANGES[case]
    old, new = edited(hospital, tmp_path / "old", change), load_mapping(MAPPINGS / hospital)
    first = run(old, sources[hospital], "first")
    whole = run(new, sources[hospital], "whole")
    assert first.books.files != whole.books.files
    earlier = kept(first, tmp_path / "kept")
    again = rerun(new, earlier, workdir=tmp_path, run="again", person_key=KEY, resources=RESOURCES)
    same(again, whole)
    if case != "every master was refused":
        named = {(row["run"], row["mapping"]) for row in pq.read_table(again.provenance).to_pylist()}
        assert named == {("first", str(old.digest)), ("again", str(new.digest))}


@pytest.mark.long
def test_a_rerun_of_a_rerun_ends_where_the_whole_run_does(sources: Sources, run: Run, tmp_path: Path) -> None:
    female = strict("person", {"expr": "pat_sex = 'F'", "reason": "not_female"})
    late = strict("condition_occurrence", ONLY_NEW)

    def both(folder: Path) -> None:
        female(folder)
        late(folder)

    first = run(edited("northgate", tmp_path / "old", both), sources["northgate"], "first")
    between, new = edited("northgate", tmp_path / "between", late), load_mapping(MAPPINGS / "northgate")
    half = rerun(between, kept(first, tmp_path / "k1"), workdir=tmp_path, run="half", person_key=KEY)
    again = rerun(new, kept(half, tmp_path / "k2"), workdir=tmp_path, run="again", person_key=KEY)
    same(again, run(new, sources["northgate"], "whole"))


@pytest.mark.long
def test_a_record_that_repeats_an_accepted_one_is_merged_into_it(sources: Sources, run: Run, tmp_path: Path) -> None:
    """Guard: the note of the twin; without it an event would be there twice after the rerun."""

    def by_fields(folder: Path) -> None:
        path = folder / "source.yaml"
        content = yaml.safe_load(path.read_text())
        content["files"]["condition"]["duplicates"] = ["subject", "code"]
        path.write_text(yaml.safe_dump(content))

    def refuses(folder: Path) -> None:
        by_fields(folder)
        strict("condition_occurrence", {"expr": "id <> 'c4'", "reason": "odd"})(folder)

    old, new = edited("riverside", tmp_path / "old", refuses), edited("riverside", tmp_path / "new", by_fields)
    first, whole = run(old, sources["riverside"], "first"), run(new, sources["riverside"], "whole")
    assert (sum(f.merged for f in first.books.files), sum(f.merged for f in whole.books.files)) == (0, 1)
    again = rerun(new, kept(first, tmp_path / "kept"), workdir=tmp_path, run="again", person_key=KEY)
    same(again, whole)


def test_a_person_who_is_known_already_stays_apart(sources: Sources, run: Run, tmp_path: Path) -> None:
    """Guard: persons of the earlier run count when repeated persons are set apart."""
    files = dict(sources["northgate"])
    size = 131
    first_patient = files["data/PATMAST.DAT"][:size]
    altered = first_patient.replace("JANE".encode("cp037"), "JOAN".encode("cp037"))
    files["data/PATMAST.DAT"] = files["data/PATMAST.DAT"][: 4 * size] + altered
    old = edited("northgate", tmp_path / "old", strict("person", {"expr": "pat_sex = 'F'", "reason": "not_female"}))
    new = load_mapping(MAPPINGS / "northgate")
    again = rerun(new, kept(run(old, files, "first"), tmp_path / "k"), workdir=tmp_path, run="again", person_key=KEY)
    whole = run(new, files, "whole")
    assert {name: n for file in again.books.files for name, n in file.reasons.items()}["repeated_person"] == 1
    same(again, whole)


@pytest.mark.long
def test_another_reading_needs_the_backup(sources: Sources, run: Run, tmp_path: Path) -> None:
    first = kept(run(load_mapping(MAPPINGS / "northgate"), sources["northgate"], "first"), tmp_path / "kept")

    def century(folder: Path) -> None:
        path = folder / "source.yaml"
        path.write_text(path.read_text().replace("century_from: 1925", "century_from: 1930"))

    def layout(folder: Path) -> None:
        path = folder / "PATMAST.CPY"
        path.write_text(path.read_text().replace("PAT-LAST", "PAT-FAMILY"))
        for table in ("person", "identity"):
            target = folder / "tables" / f"{table}.yaml"
            target.write_text(target.read_text().replace("pat_last", "pat_family"))

    for number, change in enumerate((century, layout)):
        mapping = edited("northgate", tmp_path / str(number), change)
        with pytest.raises(RerunNeedsBackup, match="patmast"):
            rerun(mapping, first, workdir=tmp_path, run="again", person_key=KEY)
    with pytest.raises(RerunNeedsBackup, match="person_key"):
        rerun(load_mapping(MAPPINGS / "northgate"), first, workdir=tmp_path, run="again", person_key=bytes(32))
    with pytest.raises(RerunNeedsBackup, match="owner"):
        rerun(load_mapping(MAPPINGS / "riverside"), first, workdir=tmp_path, run="again", person_key=KEY)
    assert not (tmp_path / "again").exists()


def test_a_kept_record_that_is_gone_is_noticed(sources: Sources, run: Run, tmp_path: Path) -> None:
    mapping = load_mapping(MAPPINGS / "northgate")
    earlier = kept(run(mapping, sources["northgate"], "first"), tmp_path / "kept")
    path = earlier.folder / "quarantined_records.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    with pytest.raises(BooksDoNotBalance):
        rerun(mapping, earlier, workdir=tmp_path, run="again", person_key=KEY)
    path.unlink()
    with pytest.raises(KeptRunDamaged):
        rerun(mapping, earlier, workdir=tmp_path, run="again", person_key=KEY)
    (earlier.folder / "reading.json").unlink()
    with pytest.raises(KeptRunDamaged):
        rerun(mapping, earlier, workdir=tmp_path, run="again", person_key=KEY)


@pytest.mark.long
def test_both_hospitals_whole_after_a_repair_are_the_whole_run(shared: Path, tmp_path: Path) -> None:
    cases = {
        "northgate": ("hospital_a_legacy", strict("person", {"expr": "pat_sex = 'F'", "reason": "odd"})),
        "riverside": ("hospital_b_fhir", strict("person", {"expr": "gender = 'male'", "reason": "odd"})),
    }
    for hospital, (folder, change) in cases.items():
        files = {item.name: partial(item.open, "rb") for item in (shared / "two_hospitals" / folder).iterdir()}
        old, new = edited(hospital, tmp_path / hospital, change), load_mapping(MAPPINGS / hospital)
        work = tmp_path / f"{hospital}-work"
        limits = Resources(memory="512MB")
        first = harmonise(old, files, workdir=work, run="first", person_key=KEY, resources=limits)
        whole = harmonise(new, files, workdir=work, run="whole", person_key=KEY, resources=limits)
        assert sum(file.quarantined for file in first.books.files) > sum(f.quarantined for f in whole.books.files)
        earlier = kept(first, tmp_path / f"{hospital}-kept")
        again = rerun(new, earlier, workdir=work, run="again", person_key=KEY, resources=limits)
        same(again, whole)


def joins(*fields: str, wanted: str) -> Change:
    """Diagnoses are taken only of patients whose sex, which stands in the master file, is the wanted one."""

    def change(folder: Path) -> None:
        path = folder / "tables" / "condition_occurrence.yaml"
        content = yaml.safe_load(path.read_text())
        content["joins"] = {"master": {"entry": "patmast", "on": {"pat_mrn": "trim(mrn)"}, "fields": list(fields)}}
        content["require"] = [*content["require"], {"expr": f"master_pat_sex in ({wanted})", "reason": "other_sex"}]
        path.write_text(yaml.safe_dump(content))

    return change


def test_what_was_joined_is_kept_so_that_records_are_joined_again(sources: Sources, run: Run, tmp_path: Path) -> None:
    """Guard: most masters were accepted and do not wait; judged without them, diagnoses would stay refused."""
    old = edited("northgate", tmp_path / "old", joins("pat_sex", wanted="'X'"))
    new = edited("northgate", tmp_path / "new", joins("pat_sex", wanted="'F', 'M'"))
    earlier = kept(run(old, sources["northgate"], "first"), tmp_path / "kept")
    again = rerun(new, earlier, workdir=tmp_path, run="again", person_key=KEY, resources=RESOURCES)
    before, after = (sum(file.accepted for file in books.files) for books in (earlier.books(), again.books))
    assert before < after


@pytest.mark.long
def test_reruns_of_a_mapping_that_joins_end_where_the_whole_run_does(
    sources: Sources, run: Run, tmp_path: Path
) -> None:
    new = edited("northgate", tmp_path / "new", joins("pat_sex", wanted="'F', 'M'"))
    between = edited("northgate", tmp_path / "between", joins("pat_sex", wanted="'M'"))
    old = edited("northgate", tmp_path / "old", joins("pat_sex", wanted="'X'"))
    whole = run(new, sources["northgate"], "whole")
    first = run(old, sources["northgate"], "first")
    half = rerun(between, kept(first, tmp_path / "k1"), workdir=tmp_path, run="half", person_key=KEY)
    again = rerun(new, kept(half, tmp_path / "k2"), workdir=tmp_path, run="again", person_key=KEY)
    same(again, whole)
    counts = [sum(file.accepted for file in each.books.files) for each in (first, half, whole)]
    assert counts == sorted({*counts})
    assert len({*counts}) == 3


def test_a_mapping_that_joins_other_fields_needs_the_backup(sources: Sources, run: Run, tmp_path: Path) -> None:
    """Only the fields that were joined are kept."""
    one = edited("northgate", tmp_path / "m1", joins("pat_sex", wanted="'F'"))
    two = edited("northgate", tmp_path / "m2", joins("pat_sex", "pat_dob", wanted="'F'"))
    earlier = kept(run(one, sources["northgate"], "one"), tmp_path / "kept")
    with pytest.raises(RerunNeedsBackup, match="joins fields of patmast"):
        rerun(two, earlier, workdir=tmp_path, run="again", person_key=KEY)
    (earlier.folder / "partners.parquet").unlink()
    with pytest.raises(KeptRunDamaged):
        rerun(one, earlier, workdir=tmp_path, run="again", person_key=KEY)
