"""The columns of an owner's identity dataset: read by the linkage and referral jobs, never by an analysis."""

from __future__ import annotations

from typing import Final

IDENTITY_COLUMNS: Final = (
    "person_id",  # the owner's pseudonym, as in the clinical tables
    "mrn",
    "national_id",
    "family_name",
    "given_name",
    "previous_family_name",
    "birth_date",  # DATE, NULL where the source's is impossible
    "birth_date_source",  # the source's own text, for partial agreement
    "sex",  # F, M or NULL
    "address",
    "city",
    "postal_code",
    "phone",
)
