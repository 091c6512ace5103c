"""The equivalences of CMS are used as their flags say: nothing is halved, nothing is picked."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from asepsis.engines.vocabulary import read_gems
from asepsis.errors.vocabulary import CodesMalformed, VocabularyMissing
from asepsis.harmonise.vocabulary.gems import Gems, Route

PLAIN = """0010  A000  00000
0020  A0100 10000
0730  A70   10111
0730  J17   10112
41000 I2109 10000
41000 I2119 10000
25000 E119  10000
25001 E109  10000
36570 NoDx  11000
66602 O720  10000
66602 O43211 10112
03840 A4150 00000
03841 A413  00000
"""


@pytest.fixture
def gems(tmp_path: Path) -> Gems:
    path = tmp_path / "2018_I9gem.txt"
    path.write_text(PLAIN)
    return read_gems(path)


@pytest.mark.parametrize(
    ("code", "route", "targets", "exact"),
    [
        ("001.0", Route.ONE, ("A000",), True),
        ("0010", Route.ONE, ("A000",), True),
        ("1.0", Route.ONE, ("A000",), True),
        ("002.0", Route.ONE, ("A0100",), False),
        ("073.0", Route.COMBINATION, ("A70", "J17"), False),
        ("410.00", Route.ALTERNATIVES, ("I2109", "I2119"), False),
        ("66602", Route.ALTERNATIVES, ("O720",), False),
        ("365.70", Route.NO_MAP, (), False),
        ("410", Route.CATEGORY, ("I21",), False),
        ("410.99", Route.CATEGORY, ("I21",), False),
        ("250", Route.CATEGORY, ("E10", "E11"), False),
        ("38", Route.CATEGORY, ("A41",), False),
        ("999", Route.ABSENT, (), False),
        ("4", Route.ABSENT, (), False),
    ],
)
def test_a_code_goes_where_its_flags_lead(
    code: str, route: Route, targets: tuple[str, ...], *, exact: bool, gems: Gems
) -> None:
    found = gems.translate(code)
    assert (found.route, found.targets, found.exact) == (route, targets, exact)


def test_what_was_repaired_is_in_the_note(gems: Gems) -> None:
    assert gems.translate("1.0").note == "GEM one code: A000; zeros restored"
    assert "A70+J17" in gems.translate("0730").note


@pytest.mark.parametrize(
    "text", ["0010 A000", "0010 A000 0000x", '"icd9cm","icd10cm","flags"\n0010,A000,1\n', "0010 A000 000"]
)
def test_a_table_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "g").write_text(text)
    with pytest.raises(CodesMalformed):
        read_gems(tmp_path / "g")
    with pytest.raises(VocabularyMissing):
        read_gems(tmp_path / "none")


def test_the_files_of_cms_have_these_routes(shared_data: Path) -> None:
    diagnoses = read_gems(shared_data / "icd9_icd10_gems" / "icd9toicd10cmgem.csv.gz")
    procedures = read_gems(shared_data / "icd9_icd10_gems" / "icd9toicd10pcsgem.csv.gz")
    assert (diagnoses.source, diagnoses.target, len(diagnoses)) == ("ICD9CM", "ICD10CM", 14_567)
    assert (procedures.source, procedures.target) == ("ICD9Proc", "ICD10PCS")
    routes = Counter(diagnoses.translate(code).route for code in diagnoses.codes)
    assert routes == {
        Route.ONE: 10_983,
        Route.ALTERNATIVES: 2_517,
        Route.COMBINATION: 642,
        Route.NO_MAP: 425,
    }
