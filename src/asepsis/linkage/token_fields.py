"""What a token table holds: its columns, and the domains inside which two tokens may be compared.

A *value token* stands for one normalised value. Tokens of one domain are made with one key, so that a given name
can be compared with a family name, or two lines of an address with each other; tokens of different domains never
are equal. A *variant* is a token that two nearly equal values share: the value with one letter left out, or a
date with one digit masked.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import pyarrow as pa

TOKENS_VERSION: Final = "asepsis-tokens/2"
"""Changes with every change of a normaliser, a domain or a column: tables of two versions are not comparable."""


class Domain(StrEnum):
    """Domains whose values have variants."""

    NAME = "name"
    BIRTH = "birth"
    STREET = "street"
    CITY = "city"
    POSTAL_CODE = "postal_code"
    PHONE = "phone"
    NATIONAL_ID = "national_id"


NUMBER_OF: Final = {domain: number for number, domain in enumerate(Domain)}

TOKENS: Final = (
    "given",
    "given_canonical",
    "given_sound",
    "given_initial",
    "given_three",
    "family",
    "family_sound",
    "family_four",
    "birth",
    "birth_year_month",
    "birth_year_day",
    "birth_month_day",
    "birth_sorted",
    "birth_sorted_days",
    "birth_short_year",
    "year",
    "sex",
    "number",
    "street",
    "second_line",
    "city",
    "postal_code",
    "postal_three",
    "state",
    "phone",
    "national_id",
)
LISTS: Final = ("given_forms", "family_forms")
"""All forms of a name, where it has more than one: parts, former names, other scripts."""

DOMAIN_OF: Final = {
    "given": Domain.NAME,
    "family": Domain.NAME,
    "given_forms": Domain.NAME,
    "family_forms": Domain.NAME,
    "birth": Domain.BIRTH,
    "street": Domain.STREET,
    "second_line": Domain.STREET,
    "city": Domain.CITY,
    "postal_code": Domain.POSTAL_CODE,
    "phone": Domain.PHONE,
    "national_id": Domain.NATIONAL_ID,
}
"""The domain of a column; a column that is not here is a domain of its own and has no variants."""

RECORDS: Final = pa.schema(
    [
        pa.field("person_id", pa.int64(), nullable=False),
        *(pa.field(name, pa.uint64()) for name in TOKENS),
        *(pa.field(name, pa.list_(pa.uint64())) for name in LISTS),
        pa.field("is_initial", pa.bool_(), nullable=False),
    ],
)
VARIANTS: Final = pa.schema(
    [
        pa.field("domain", pa.uint8(), nullable=False),
        pa.field("value", pa.uint64(), nullable=False),
        pa.field("variant", pa.uint64(), nullable=False),
    ],
)
