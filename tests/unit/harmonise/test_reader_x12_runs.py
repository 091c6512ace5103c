"""An invented claim file and an invented clinical document go the whole way, from bytes to rows, by files alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from asepsis.engines.harmonise import HarmonisedRun, load_mapping, run_mapping_tests
from asepsis.errors.harmonise import MappingMalformed

Run = Callable[..., HarmonisedRun]
SOURCE = """
format: asepsis-mapping/1
source: lakeview-archive
owner: lakeview
dataset: lakeview-omop
label: synthetic
files:
"""
CLAIMS = """
  claims:
    pattern: "*.837"
    reader: x12
    encoding: ascii
    extract_date: 2024-12-31
    segments: [NM1, HI, SV1]
    paths:
      role: NM1-1
      patient: NM1[QC|IL]-9
      family: NM1[QC|IL]-3
      born: NM1[QC|IL]/DMG-2
      sex: NM1[QC|IL]/DMG-3
      claim: CLM-1
      diagnosis: HI-1.2
      claim_date: DTP[431]-3
      service: SV1-1.2
      service_date: DTP[472]-3
"""
DOCUMENTS = """
  documents:
    pattern: "*.xml"
    reader: ccda
    encoding: utf-8
    extract_date: 2024-12-31
    frames:
      patient: /ClinicalDocument/recordTarget
      problem: "//section[code/@code='11450-4']/entry"
    paths:
      patient: /ClinicalDocument/recordTarget/patientRole/id[1]/@extension
      family: patientRole/patient/name/family
      born: patientRole/patient/birthTime/@value
      sex: patientRole/patient/administrativeGenderCode/@code
      code: act/entryRelationship/observation/value/@code
      unknown: act/entryRelationship/observation/value/@nullFlavor
      onset: act/entryRelationship/observation/effectiveTime/low/@value
"""
PERSON = """
table: person
from: {entry}
person: patient
where: "{where}"
fields:
  gender_concept_id: {{expr: "case when sex = 'F' then 8532 when sex = 'M' then 8507 else 0 end"}}
  year_of_birth: {{expr: "year(parse_date(born, '%Y%m%d'))"}}
"""
IDENTITY = """
table: identity
from: {entry}
person: patient
where: "{where}"
fields:
  mrn: {{expr: "patient"}}
  family_name: {{expr: "family"}}
"""
CONDITION = """
table: condition_occurrence
from: {entry}
person: patient
where: "{where}"
fields:
  condition_concept_id: {{code_map: conditions, from: {code}}}
  condition_start_date: {{expr: "parse_date({day}, '%Y%m%d')"}}
  condition_type_concept_id: {{expr: "32817"}}
  condition_source_value: {{expr: "{code}"}}
require:
  - {{expr: "{code} is not null", reason: no_code}}
  - {{expr: "condition_start_date is not null", reason: impossible_date}}
"""
PROCEDURE = """
table: procedure_occurrence
from: claims
person: patient
where: "segment = 'SV1'"
fields:
  procedure_concept_id: {expr: "0"}
  procedure_date: {expr: "parse_date(service_date, '%Y%m%d')"}
  procedure_type_concept_id: {expr: "32817"}
  procedure_source_value: {expr: "service"}
"""
PERIOD = """
table: observation_period
spans:
  - {table: condition_occurrence, column: condition_start_date}
period_type_concept_id: 32817
"""
CODES = "source_code,target_concept_id,grade,note\nJ45,317009,exact,\n"
CLAIM_FILE = (
    "ISA*00*          *00*          *ZZ*LAKEVIEW       *ZZ*PAYER          *990204*1200*U*00401*000000001*0*T*:~\n"
    "GS*HC*LAKEVIEW*PAYER*19990204*1200*1*X*004010X098A1~\nST*837*0001~\nBHT*0019*00*1*19990204*1200*CH~\n"
    "HL*1**20*1~\nHL*2*1*22*1~\nSBR*P~\nNM1*IL*1*ALDER*ROSE****MI*L1~\nDMG*D8*19400203*F~\n"
    "CLM*C1*50***11::1~\nDTP*431*D8*19990201~\nHI*BK:J45~\nLX*1~\nSV1*HC:99213*50~\nDTP*472*D8*19990203~\n"
    "HL*3*2*23*0~\nPAT*19~\nNM1*QC*1*ALDER*TOM****MI*L2~\nDMG*D8*19700506*M~\n"
    "CLM*C2*70***11::1~\nDTP*431*D8*19990231~\nHI*BK:J45~\nLX*1~\nSV1*HC:99214*70~\nDTP*472*D8*19990204~\n"
    "SE*24*0001~\nGE*1*1~\nIEA*1*000000001~\n"
)
DOCUMENT = """<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3">
  <recordTarget><patientRole><id extension="L7"/><patient><name><family>Élan</family></name>
    <administrativeGenderCode code="F"/><birthTime value="19610708"/></patient></patientRole></recordTarget>
  <component><structuredBody><component><section><code code="11450-4"/>
    <entry><act><entryRelationship><observation><effectiveTime><low value="20010203"/></effectiveTime>
      <value code="J45"/></observation></entryRelationship></act></entry>
    <entry><act><entryRelationship><observation><effectiveTime><low value="20010204"/></effectiveTime>
      <value nullFlavor="UNK"/></observation></entryRelationship></act></entry>
  </section></component><component><section><code code="48765-2"/><entry/></section></component></structuredBody>
  </component>
</ClinicalDocument>
"""


def folder(path: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text, encoding="utf-8")
    return path


def claims_folder(path: Path, source: str = SOURCE + CLAIMS) -> Path:
    patient = "segment = 'NM1' and role in ('IL', 'QC')"
    return folder(
        path,
        {
            "source.yaml": source,
            "tables/person.yaml": PERSON.format(entry="claims", where=patient),
            "tables/identity.yaml": IDENTITY.format(entry="claims", where=patient),
            "tables/condition_occurrence.yaml": CONDITION.format(
                entry="claims", where="segment = 'HI'", code="diagnosis", day="claim_date"
            ),
            "tables/procedure_occurrence.yaml": PROCEDURE,
            "tables/observation_period.yaml": PERIOD,
            "codes/conditions.csv": CODES,
        },
    )


def documents_folder(path: Path, source: str = SOURCE + DOCUMENTS) -> Path:
    return folder(
        path,
        {
            "source.yaml": source,
            "tables/person.yaml": PERSON.format(entry="documents", where="frame = 'patient'"),
            "tables/identity.yaml": IDENTITY.format(entry="documents", where="frame = 'patient'"),
            "tables/condition_occurrence.yaml": CONDITION.format(
                entry="documents", where="frame = 'problem'", code="code", day="onset"
            ),
            "tables/observation_period.yaml": PERIOD,
            "codes/conditions.csv": CODES,
        },
    )


def rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


def test_claims_become_persons_conditions_and_procedures(tmp_path: Path, run: Run) -> None:
    result = run(load_mapping(claims_folder(tmp_path / "mapping")), {"old.837": CLAIM_FILE.encode()})
    persons = {row["person_id"]: row["year_of_birth"] for row in rows(result.tables["person"])}
    assert sorted(persons.values()) == [1940, 1970]
    (condition,) = rows(result.tables["condition_occurrence"])
    assert persons[condition["person_id"]] == 1940
    assert (condition["condition_concept_id"], condition["condition_start_date"]) == (317009, date(1999, 2, 1))
    procedures = [
        (persons[row["person_id"]], row["procedure_date"]) for row in rows(result.tables["procedure_occurrence"])
    ]
    assert sorted(procedures) == [(1940, date(1999, 2, 3)), (1970, date(1999, 2, 4))]
    assert {row["family_name"] for row in rows(result.identity)} == {"ALDER"}
    (books,) = result.books.files
    assert books.reasons == {"impossible_date": 1}
    assert (books.header, books.context, books.residue, books.meets_declared_count) == (6, 11, 0, True)


def test_a_diagnosis_of_nobody_waits_in_quarantine(tmp_path: Path, run: Run) -> None:
    content = CLAIM_FILE.replace("NM1*IL*1*ALDER*ROSE****MI*L1", "NM1*IL*1*ALDER*ROSE").encode()
    result = run(load_mapping(claims_folder(tmp_path / "mapping")), {"old.837": content})
    (books,) = result.books.files
    assert books.reasons == {"impossible_date": 1, "person_key_missing": 1, "unknown_person": 2}
    assert [row["year_of_birth"] for row in rows(result.tables["person"])] == [1970]


def test_a_claim_file_that_was_cut_off_gives_no_rows_and_says_why(tmp_path: Path, run: Run) -> None:
    content = CLAIM_FILE[: CLAIM_FILE.index("SE*24")].encode()
    result = run(load_mapping(claims_folder(tmp_path / "mapping")), {"old.837": content})
    (books,) = result.books.files
    assert (books.accepted, books.quarantined) == (0, 9)
    assert books.reasons["transaction_not_closed"] == 7
    assert (books.reasons["group_not_closed"], books.reasons["interchange_not_closed"]) == (1, 1)


def test_a_wrong_interchange_is_flagged_on_every_row(tmp_path: Path, run: Run) -> None:
    content = CLAIM_FILE.replace("IEA*1", "IEA*3").encode()
    result = run(load_mapping(claims_folder(tmp_path / "mapping")), {"old.837": content})
    (books,) = result.books.files
    assert (books.accepted, books.flags["group_count_mismatch"]) == (5, 5)
    assert books.reasons["group_count_mismatch"] == 1


def test_documents_become_persons_and_conditions(tmp_path: Path, run: Run) -> None:
    mapping = load_mapping(documents_folder(tmp_path / "mapping"))
    bomb = b"<!DOCTYPE x [<!ENTITY a 'a'>]><ClinicalDocument xmlns='urn:hl7-org:v3'>&a;</ClinicalDocument>"
    result = run(mapping, {"good.xml": DOCUMENT.encode(), "bomb.xml": bomb, "cut.xml": DOCUMENT[:600].encode()})
    (person,) = rows(result.tables["person"])
    assert (person["year_of_birth"], person["gender_concept_id"]) == (1961, 8532)
    (condition,) = rows(result.tables["condition_occurrence"])
    assert (condition["condition_concept_id"], condition["condition_start_date"]) == (317009, date(2001, 2, 3))
    assert [row["family_name"] for row in rows(result.identity)] == ["Élan"]
    books = {file.path: file for file in result.books.files}
    assert (books["good.xml"].accepted, books["good.xml"].reasons) == (2, {"no_code": 1})
    assert books["good.xml"].exclusions == {"entry_not_mapped": 1}
    assert (books["bomb.xml"].residue, books["bomb.xml"].landed) == (1, 1)
    kept = {tuple(row["reasons"]) for row in rows(result.quarantine)}
    assert {("doctype_not_allowed",), ("not_well_formed",)} <= kept


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("paths:\n      role: NM1-1", "paths:\n      role: NM1"),
        ("[NM1, HI, SV1]", "[]"),
        ("[NM1, HI, SV1]", "[nm1]"),
        ("[NM1, HI, SV1]", "[SE]"),
        ("encoding: ascii", "encoding: cp037"),
        ("role: NM1-1", "segment: NM1-1"),
    ],
)
def test_an_entry_for_claims_that_makes_no_sense_is_refused(tmp_path: Path, old: str, new: str) -> None:
    assert old in CLAIMS
    with pytest.raises(MappingMalformed):
        load_mapping(claims_folder(tmp_path, SOURCE + CLAIMS.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("patient: /ClinicalDocument/recordTarget\n", "patient: document('x')\n"),
        ("family: patientRole/patient/name/family", "family: foo:bar"),
        ("encoding: utf-8", "encoding: utf-16"),
        ("encoding: utf-8", "encoding: utf-7"),
        (
            DOCUMENTS[DOCUMENTS.index("    frames:") : DOCUMENTS.index("    paths:")],
            "    frames: {}\n",
        ),
    ],
)
def test_an_entry_for_documents_that_makes_no_sense_is_refused(tmp_path: Path, old: str, new: str) -> None:
    assert old in DOCUMENTS
    with pytest.raises(MappingMalformed):
        load_mapping(documents_folder(tmp_path, SOURCE + DOCUMENTS.replace(old, new)))


def test_a_mapping_is_tried_with_the_text_of_a_document(tmp_path: Path) -> None:
    problem = (
        "<section><code code='11450-4'/><entry><act><entryRelationship><observation>"
        "<value code='J45'/></observation></entryRelationship></act></entry></section>"
    )
    given = f'    given: {{text: "{problem}"}}\n    expect: {{state: quarantined, reasons: [impossible_date]}}\n'
    case = f"from: documents\ncases:\n  - name: a problem without a date\n{given}"
    path = documents_folder(tmp_path)
    folder(path, {"tests/problem.yaml": case})
    (trial,) = run_mapping_tests(path)
    assert trial.passed, trial.differences
