"""Exact rule profiles over token columns: two records are one person where all columns of some rule are equal.

``open-link-token`` follows T1 to T4 of Open Link Token 2.2 (github.com/TruvetaPublic/OpenLinkToken); T5, family name,
three letters and sex, is left out of decisions as its authors advise and stands in ``open-link-token-t5``.
``cms-style`` are six combinations in the style of the CMS patient matching proposal (v3.4.0, table 2). They were never
compared with that table, and so do not carry its name.
"""

from __future__ import annotations

from typing import Final

Profile = tuple[tuple[str, ...], ...]

PROFILES: Final[dict[str, Profile]] = {
    "open-link-token": (
        ("family", "given_initial", "sex", "birth"),
        ("family", "given", "birth", "postal_three"),
        ("family", "given", "sex", "birth"),
        ("national_id", "sex", "birth"),
    ),
    "open-link-token-t5": (("family", "given_three", "sex"),),
    "cms-style": (
        ("given", "family", "birth", "street", "number"),
        ("given", "family", "birth", "phone"),
        ("given", "family", "birth", "national_id"),
        ("given", "family", "birth", "sex", "postal_code"),
        ("family", "birth", "national_id"),
        ("given", "birth", "national_id"),
    ),
}
