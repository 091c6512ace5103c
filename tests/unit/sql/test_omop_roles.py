from __future__ import annotations

from asepsis.domain.catalogue import ColumnType, Use
from asepsis.sql.omop import omop_catalogue

WHOLE, REAL, DAY, WORD = ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.DATE, ColumnType.TEXT


def test_columns_of_omop_tables_have_the_roles_of_the_design() -> None:
    catalogue = omop_catalogue({
        "person": [
            ("person_id", WHOLE), ("gender_concept_id", WHOLE), ("year_of_birth", WHOLE), ("care_site_id", WHOLE),
            ("person_source_value", WORD), ("gender_source_concept_id", WHOLE), ("birth_datetime", DAY),
        ],
        "MEASUREMENT": [
            ("MEASUREMENT_ID", WHOLE), ("PERSON_ID", WHOLE), ("MEASUREMENT_DATE", DAY), ("VALUE_AS_NUMBER", REAL),
            ("visit_occurrence_id", WHOLE), ("value_source_value", WORD), ("note_text", WORD),
        ],
        "concept": [("concept_id", WHOLE), ("concept_name", WORD)],
        "broken": [("column0", WORD)],
    })  # fmt: skip
    roles = {
        (table.name, column.name): column.uses for table in catalogue.tables for column in table.columns if column.uses
    }
    coded = frozenset({Use.COMPARE, Use.GROUP})
    assert roles == {
        ("person", "person_id"): {Use.UNIT},
        ("person", "gender_concept_id"): coded,
        ("person", "year_of_birth"): coded,
        ("person", "care_site_id"): coded | {Use.SITE},
        ("measurement", "person_id"): {Use.UNIT},
        ("measurement", "measurement_date"): {Use.DATE},
        ("measurement", "value_as_number"): {Use.AGGREGATE},
        ("concept", "concept_id"): coded,
        ("concept", "concept_name"): coded,
    }
    person, concept = catalogue.table("person"), catalogue.table("concept")
    assert person is not None
    assert concept is not None
    assert (person.one_per_person, person.key) == (True, None)
    assert (concept.one_per_person, concept.key) == (False, "concept_id")
