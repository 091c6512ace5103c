"""The deterministic rules, from strict to loose, as data: an engine compiles them, the documentation prints them.

A rule says which traits must be equal (``key``), what must hold besides (``conditions``), how much it may
decide alone (``grade``) and why a coincidence is rare enough (``reasoning``). Rates in the reasoning are for two
owners with 100,000 records each, so 10^10 pairs: a birth date and sex agree by chance in about 1 of 60,000
pairs, a common given name in 1 of 100, a family name in 1 of 1,000 (births over 80 years; name frequencies of
the US census of 1990).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from asepsis.domain.linkage import Grade


class Trait(StrEnum):
    """The columns that rules compare; an engine has one column of this name for each."""

    NATIONAL_ID = "national_id"
    FAMILY = "family"
    FAMILY_FORM = "family_form"
    """Any form of the present or a former family name: the whole, or a part of a double name."""
    FAMILY_SOUND = "family_sound"
    GIVEN = "given"
    GIVEN_CANONICAL = "given_canonical"
    INITIAL = "initial"
    BIRTH = "birth"
    BIRTH_SWAPPED = "birth_swapped"
    SEX = "sex"
    ADDRESS = "address"
    POSTAL_CODE = "postal_code"
    PHONE = "phone"


class Condition(StrEnum):
    """What must hold besides equality of the key."""

    YEARS_AGREE = "years_agree"
    """The full years of birth are the same where both sources gave them."""
    SEXES_AGREE = "sexes_agree"
    """The sexes are the same where both are known."""
    SAME_HOME = "same_home"
    """The same address or the same phone."""
    FEMALE = "female"
    FAMILY_NEAR = "family_near"
    """Family names at least .88 similar by Jaro-Winkler, as a misspelt one is."""
    GIVEN_NEAR = "given_near"
    """Given names one edit apart or sounding alike."""
    ONE_IS_INITIAL = "one_is_initial"
    """One of the given names is a single letter."""
    BIRTH_ONE_DIGIT = "birth_one_digit"
    """The birth dates differ in exactly one digit."""
    BIRTH_NEAR = "birth_near"
    """The birth dates differ in one digit, or in the order of day and month."""
    NO_TWIN = "no_twin"
    """Neither has, at its own owner, a record of the same family name and birth date with another given name."""


class Witness(StrEnum):
    """A field that a rule does not use and that therefore can speak about its precision."""

    NATIONAL_ID = "national_id"
    NAMES = "names"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One deterministic rule; ``key`` pairs the trait of the one record with that of the other."""

    name: str
    grade: Grade
    key: tuple[tuple[Trait, Trait], ...]
    conditions: tuple[Condition, ...] = ()
    reasoning: str

    @property
    def witness(self) -> Witness:
        """The field that may judge this rule."""
        uses_id = any(Trait.NATIONAL_ID in pair for pair in self.key)
        return Witness.NAMES if uses_id else Witness.NATIONAL_ID


def _same(*traits: Trait) -> tuple[tuple[Trait, Trait], ...]:
    return tuple((trait, trait) for trait in traits)


RULES: Final = (
    Rule(
        name="id_and_birth",
        grade=Grade.STRONG,
        key=_same(Trait.NATIONAL_ID, Trait.BIRTH),
        conditions=(Condition.YEARS_AGREE,),
        reasoning="An id is unique by design; a mistyped one meets another person of its birth date once in 30,000.",
    ),
    Rule(
        name="id_and_names",
        grade=Grade.STRONG,
        key=_same(Trait.NATIONAL_ID, Trait.FAMILY_FORM, Trait.GIVEN_CANONICAL),
        reasoning="As above with both names, for records whose birth date is missing or wrong.",
    ),
    Rule(
        name="id_given_and_near_birth",
        grade=Grade.STRONG,
        key=_same(Trait.NATIONAL_ID, Trait.GIVEN_CANONICAL),
        conditions=(Condition.BIRTH_NEAR, Condition.SEXES_AGREE),
        reasoning="As the first rule: a near birth date is met once in 600, a given name once in 100.",
    ),
    Rule(
        name="names_birth_and_home",
        grade=Grade.STRONG,
        key=_same(Trait.FAMILY, Trait.GIVEN, Trait.BIRTH),
        conditions=(Condition.YEARS_AGREE, Condition.SEXES_AGREE, Condition.SAME_HOME),
        reasoning="Only relatives share name and home, and they do not share given name and birth date.",
    ),
    Rule(
        name="names_birth_and_sex",
        grade=Grade.FAIR,
        key=_same(Trait.FAMILY, Trait.GIVEN, Trait.BIRTH, Trait.SEX),
        conditions=(Condition.YEARS_AGREE,),
        reasoning="About 2 coincidences in 10^10 pairs for common names, fewer than 1 on average.",
    ),
    Rule(
        name="short_names_and_birth",
        grade=Grade.FAIR,
        key=_same(Trait.FAMILY, Trait.GIVEN_CANONICAL, Trait.BIRTH),
        conditions=(Condition.YEARS_AGREE, Condition.SEXES_AGREE),
        reasoning="As above with short forms of the given name or an unknown sex: about 3 coincidences.",
    ),
    Rule(
        name="former_name_and_birth",
        grade=Grade.FAIR,
        key=_same(Trait.FAMILY_FORM, Trait.GIVEN_CANONICAL, Trait.BIRTH),
        conditions=(Condition.YEARS_AGREE, Condition.SEXES_AGREE),
        reasoning="A maiden name or one part of a double name: two or three forms a record, below 10 coincidences.",
    ),
    Rule(
        name="given_birth_and_address",
        grade=Grade.FAIR,
        key=_same(Trait.GIVEN_CANONICAL, Trait.BIRTH, Trait.ADDRESS),
        conditions=(Condition.YEARS_AGREE, Condition.SEXES_AGREE),
        reasoning="Two people of one birth date and given name do not share a house; the family name changed.",
    ),
    Rule(
        name="given_birth_and_phone",
        grade=Grade.FAIR,
        key=_same(Trait.GIVEN_CANONICAL, Trait.BIRTH, Trait.PHONE),
        conditions=(Condition.YEARS_AGREE, Condition.SEXES_AGREE),
        reasoning="As above with the phone.",
    ),
    Rule(
        name="crossed_names_and_birth",
        grade=Grade.FAIR,
        key=((Trait.FAMILY, Trait.GIVEN), (Trait.GIVEN, Trait.FAMILY), (Trait.BIRTH, Trait.BIRTH)),
        conditions=(Condition.YEARS_AGREE, Condition.SEXES_AGREE),
        reasoning="Family and given name in each other's field: rarer by chance than the names in their own.",
    ),
    Rule(
        name="names_and_swapped_birth",
        grade=Grade.FAIR,
        key=(
            *_same(Trait.FAMILY_FORM, Trait.GIVEN_CANONICAL, Trait.SEX),
            (Trait.BIRTH, Trait.BIRTH_SWAPPED),
        ),
        conditions=(Condition.YEARS_AGREE,),
        reasoning="Day and month change places in 4 of 10 dates at most: below 5 coincidences.",
    ),
    Rule(
        name="near_family_given_and_birth",
        grade=Grade.LOOSE,
        key=_same(Trait.GIVEN_CANONICAL, Trait.BIRTH, Trait.SEX),
        conditions=(Condition.YEARS_AGREE, Condition.FAMILY_NEAR),
        reasoning="About 1,700 pairs share given name, birth date and sex; 1 of 300 has so near a family name.",
    ),
    Rule(
        name="family_sound_given_and_birth",
        grade=Grade.LOOSE,
        key=_same(Trait.FAMILY_SOUND, Trait.GIVEN_CANONICAL, Trait.BIRTH, Trait.SEX),
        conditions=(Condition.YEARS_AGREE,),
        reasoning="As above; 1 of 1,000 family names sounds the same.",
    ),
    Rule(
        name="family_initial_and_birth",
        grade=Grade.LOOSE,
        key=_same(Trait.FAMILY_FORM, Trait.INITIAL, Trait.BIRTH),
        conditions=(
            Condition.YEARS_AGREE,
            Condition.SEXES_AGREE,
            Condition.ONE_IS_INITIAL,
            Condition.NO_TWIN,
        ),
        reasoning="Only for the few records with an initial; a twin known to either owner stops it.",
    ),
    Rule(
        name="family_near_given_and_birth",
        grade=Grade.LOOSE,
        key=_same(Trait.FAMILY_FORM, Trait.BIRTH, Trait.SEX, Trait.INITIAL),
        conditions=(Condition.YEARS_AGREE, Condition.GIVEN_NEAR, Condition.NO_TWIN),
        reasoning="About 170 pairs share family name, birth date and sex, half of them twins; 1 of 50 is so near.",
    ),
    Rule(
        name="names_postal_code_and_near_birth",
        grade=Grade.LOOSE,
        key=_same(Trait.FAMILY, Trait.GIVEN_CANONICAL, Trait.POSTAL_CODE),
        conditions=(Condition.SEXES_AGREE, Condition.BIRTH_ONE_DIGIT),
        reasoning="One of about 700 pairs of birth dates differs in one digit; father and son seldom do.",
    ),
    Rule(
        name="names_phone_and_near_birth",
        grade=Grade.LOOSE,
        key=_same(Trait.FAMILY, Trait.GIVEN_CANONICAL, Trait.PHONE),
        conditions=(Condition.SEXES_AGREE, Condition.BIRTH_ONE_DIGIT),
        reasoning="As above with the phone.",
    ),
    Rule(
        name="given_birth_and_postal_code",
        grade=Grade.LOOSE,
        key=_same(Trait.GIVEN_CANONICAL, Trait.BIRTH, Trait.POSTAL_CODE),
        conditions=(Condition.YEARS_AGREE, Condition.FEMALE),
        reasoning="A name changed by marriage: 1,700 pairs share given name and birth date, 1 of 500 the postal code.",
    ),
)
"""The order is the order of trust: a clusterer follows it and never goes back."""

LARGEST_BLOCK: Final = 60
"""Records that may share one key value: 1,770 pairs. More records than that say nothing about a person."""

COMMON_FROM: Final[Mapping[Trait, tuple[int, int]]] = {
    Trait.NATIONAL_ID: (4, 0),
    Trait.PHONE: (20, 0),
    Trait.ADDRESS: (60, 0),
    Trait.BIRTH: (20, 10),
}
"""A default: more persons of one owner have it than this number, and than this many times the mean of other values."""
