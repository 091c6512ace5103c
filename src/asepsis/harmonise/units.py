"""Units of measurement: how laboratories write them, their UCUM code, and exact factors between them.

Invariant: a factor is a fraction, never a rounded number; where no exact linear factor exists (temperatures,
logarithms, mass and amount without the molar mass) there is none. Case is ignored only where it leaves one reading.
Source: G. Schadow, C. McDonald, The Unified Code for Units of Measure, version 2.2, https://ucum.org/ucum.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from asepsis.errors.vocabulary import UnitsIncommensurable, UnitUnknown
from asepsis.harmonise.vocabulary.codes import AS_WRITTEN, Spelling

_ALIASES: Final = """
%: percent pct PCT PERCENT
[pH]: pH ph PH
/[HPF]: /hpf /HPF
/[LPF]: /lpf /LPF
/uL: /mcL cells/uL CELLS/UL /UL /cumm cells/mcL /mm3 /cmm cells/mm3
/min: bpm BPM beats/min beats/minute BEATS/MIN /minute br/min breaths/min BR/MIN resp/min per_min
10*3/uL: x10E3/uL X10E3/UL x10*3/uL x10^3/uL 10^3/uL 10E3/uL K/uL K/UL k/uL K/mcL K/MCL K/mm3 K/cumm thou/uL
10*3/uL: THOU/UL Thousand/uL x1000/uL x10(3)/uL 10(3)/uL x10E3/mcL 10e3/ul 10*3/mm3
10*6/uL: x10E6/uL X10E6/UL x10*6/uL x10^6/uL 10^6/uL 10E6/uL M/uL M/UL M/mcL M/mm3 M/cumm mill/uL MILL/UL
10*6/uL: Million/uL x10(6)/uL 10(6)/uL x10E6/mcL 10*6/mm3
10*9/L: x10E9/L X10E9/L x10*9/L x10^9/L 10^9/L 10E9/L x10(9)/L Giga/L
10*12/L: x10E12/L X10E12/L x10*12/L x10^12/L 10^12/L 10E12/L x10(12)/L Tera/L
Cel: degC degreesC deg_C °C [degC] DEGC celsius Celsius
[degF]: degF °F DEGF deg_F fahrenheit Fahrenheit degreesF
[iU]/L: IU/L iu/L IU/l [IU]/L
[iU]/mL: IU/mL IU/ML IU/ml [IU]/mL
[iU]: IU iu [IU]
m[iU]/L: mIU/L MIU/L mIU/l
m[iU]/mL: mIU/mL MIU/ML mIU/ml
u[iU]/mL: uIU/mL UIU/ML uIU/ml mcIU/mL µIU/mL
U/L: u/L U/l u/l Units/L units/L UNITS/L unit/L [U]/L
U/mL: U/ML U/ml units/mL Units/mL [U]/mL
g/dL: G/DL g/dl gm/dL gm/dl GM/DL grams/dL g/100mL gm% G%
g/L: G/L gm/L gm/l g/l GM/L
mg/dL: MG/DL mg/dl mg% MG% mgs/dL mg/100mL
mg/L: MG/L mg/l
mg/mL: MG/ML mg/ml
ug/dL: UG/DL ug/dl mcg/dL MCG/DL mcg/dl µg/dL μg/dL
ug/L: UG/L ug/l mcg/L MCG/L mcg/l µg/L μg/L
ug/mL: UG/ML ug/ml mcg/mL MCG/ML mcg/ml µg/mL μg/mL
ng/mL: NG/ML ng/ml
ng/dL: NG/DL ng/dl
ng/L: NG/L ng/l
pg/mL: PG/ML pg/ml
pg: PG picograms pgrams
fL: FL fl femtoliters cubic_microns cu_micron
mmol/L: MMOL/L mmol/l mM mMol/L MMOL/l
umol/L: UMOL/L umol/l µmol/L μmol/L mcmol/L uM uMol/L
nmol/L: NMOL/L nmol/l nM nMol/L
pmol/L: PMOL/L pmol/l pMol/L
mol/L: MOL/L mol/l
meq/L: mEq/L MEQ/L meq/l mEq/l
meq: mEq MEQ
mosm/kg: mOsm/kg MOSM/KG mosmol/kg mOsmol/kg
mosm/L: mOsm/L MOSM/L
mm[Hg]: mmHg MMHG mm_Hg mmhg MM_HG torr Torr mm(Hg) mm/Hg
cm[H2O]: cmH2O CMH2O cm_H2O
mm/h: mm/hr MM/HR mm/HR MM/H
mL/min: ML/MIN ml/min
mL/min/{1.73_m2}: mL/min/1.73m2 ML/MIN/1.73M2 mL/min/1.73.m2 ml/min/1.73m2 mL/min/1.73_m2 mL/min/1.73sqm
mL: ML ml cc CC cm3 milliliter milliliters
L: l liter liters litre LITERS
mg: MG mgs milligram milligrams
g: gm GM gram grams gms
ug: mcg MCG µg μg microgram micrograms
kg: KG Kg kgs kilogram kilograms
[lb_av]: lb lbs LB LBS pound pounds
[oz_av]: oz OZ ounce ounces
cm: CM centimeter centimeters
m: meter meters metre
mm: MM millimeter millimeters
[in_i]: in inch inches IN INCHES
[ft_i]: ft feet foot FT
kg/m2: KG/M2 kg/m^2 kg/m² kg/sqm kg/m*2
m2: M2 m^2 m² sqm
s: sec SEC seconds secs second
min: MIN minute minutes mins
h: hr HR hrs hour hours
d: day days DAY DAYS
wk: week weeks WEEK WEEKS
mo: month months MONTH MONTHS
a: yr year years YR YRS YEARS yrs
mg/g{creat}: mg/g_creat mg/gCr mg/g_Cr mg/gm_creat MG/G_CREAT mg/g_creatinine
mg/(24.h): mg/24h mg/24hr MG/24HR mg/24_h mg/24hrs
g/(24.h): g/24h g/24hr G/24HR
mL/(24.h): mL/24h mL/24hr ML/24HR
ug/min: mcg/min MCG/MIN µg/min
ug/kg/min: mcg/kg/min MCG/KG/MIN µg/kg/min
mg/kg: MG/KG
U: unit units Units UNITS UNIT
{INR}: INR inr
{ratio}: ratio RATIO
{score}: score SCORE points
{titer}: titer TITER titre
1: unitless
"""
"""UCUM code: how it is written elsewhere. Spaces of a written unit are underscores here."""

_OMOP_SPELLINGS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "Cel": ("[degC]",),
        "/min": ("{beats}/min",),
        "mL/min/{1.73_m2}": ("mL/min/1.73.m2", "mL/min/{1.73.m2}"),
        "U/L": ("[U]/L",),
        "U/mL": ("[U]/mL",),
        "U": ("[U]",),
        "mo": ("mo_j",),
        "[iU]/L": ("[IU]/L",),
        "/uL": ("{cells}/uL",),
    }
)
"""Other spellings of the same unit that releases of the OMOP vocabulary have used."""

_BASE: Final = ("m", "s", "g", "rad", "K", "C", "cd", "mol", "eq", "osm", "iU", "HPF", "LPF")
_PREFIXES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1,
        "d": -1, "c": -2, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15, "a": -18, "z": -21, "y": -24,
    }
)  # fmt: skip
_METRIC: Final[Mapping[str, str]] = MappingProxyType(
    {
        "m": "1 m", "s": "1 s", "g": "1 g", "rad": "1 rad", "K": "1 K", "C": "1 C", "cd": "1 cd",
        "mol": "1 mol", "eq": "1 eq", "osm": "1 osm", "[iU]": "1 iU", "[IU]": "1 iU",
        "L": "1/1000 m3", "l": "1/1000 m3", "Hz": "1 s-1", "N": "1000 m g s-2", "Pa": "1000 m-1 g s-2",
        "J": "1000 m2 g s-2", "W": "1000 m2 g s-3", "A": "1 C s-1", "V": "1000 m2 g s-2 C-1", "Gy": "1 m2 s-2",
        "Sv": "1 m2 s-2", "Bq": "1 s-1", "Ci": "37000000000 s-1", "bar": "100000000 m-1 g s-2",
        "m[Hg]": "133322000 m-1 g s-2", "m[H2O]": "9806650 m-1 g s-2", "kat": "1 mol s-1",
        "U": "1/60000000 mol s-1", "cal": "4184 m2 g s-2", "t": "1000000 g", "lm": "1 cd",
    }
)  # fmt: skip
"""Units that take a prefix. mol, eq, osm and the international unit are dimensions of their own here: what UCUM would
let convert (amount to number, unit to unit of another substance) no laboratory means."""

_PLAIN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "min": "60 s", "h": "3600 s", "d": "86400 s", "wk": "604800 s", "a": "31557600 s", "mo": "2629800 s",
        "a_j": "31557600 s", "mo_j": "2629800 s", "%": "1/100", "[ppth]": "1/1000", "[ppm]": "1/1000000",
        "[ppb]": "1/1000000000", "[lb_av]": "45359237/100000 g", "[oz_av]": "45359237/1600000 g",
        "[in_i]": "127/5000 m", "[ft_i]": "381/1250 m", "[yd_i]": "1143/1250 m", "[mi_i]": "201168/125 m",
        "[foz_us]": "473176473/16000000000000 m3", "[HPF]": "1 HPF", "[LPF]": "1 LPF", "1": "1",
    }
)  # fmt: skip
"""Units that take none."""

_SPECIAL: Final = frozenset({"Cel", "[degF]", "[degRe]", "[pH]", "B", "Np", "[m/s2/Hz^(1/2)]"})
"""Units on scales that no factor leads out of."""

_ATOM: Final = re.compile(r"10[*^][+-]?\d+|(?:[A-Za-z_%]|\[[^\[\]]+\])+(?P<power>[+-]?\d+)?|\d+")
_TERM: Final = re.compile(r"^(?P<name>.*?)(?P<power>[+-]?\d+)?$")
_ALONE: Final = re.compile(r"(^|[./(])\{[^{}]*\}")
_ANNOTATION: Final = re.compile(r"\{[^{}]*\}")
_LONGEST: Final = 80
_DEEPEST: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A unit as a factor and powers of the base dimensions; ``special`` where it is a scale of its own."""

    factor: Fraction
    powers: tuple[int, ...]
    special: str | None = None


def ucum_code(text: str) -> str:
    """The UCUM code of a unit as it is written.

    Raises:
        UnitUnknown: it is neither UCUM nor a known alias, or its case leaves two readings.
    """
    code = _resolve(text.strip())
    if code is None:
        raise UnitUnknown(problem="it is neither a UCUM code nor a known alias")
    return code


def unit_codes(text: str) -> tuple[Spelling, ...]:
    """What a written unit may be called in a vocabulary: as written, its UCUM code, other spellings of OMOP."""
    trimmed = text.strip()
    found = {text: AS_WRITTEN}
    code = _resolve(trimmed)
    if code is not None:
        found.setdefault(code, f"alias of {code}")
        for other in _OMOP_SPELLINGS.get(code, ()):
            found.setdefault(other, f"alias of {code}")
    return tuple(Spelling(code=each, way=way) for each, way in found.items())


def is_ucum(code: str) -> bool:
    """Whether the text is a unit of the part of UCUM that is known here."""
    try:
        measure_of(code)
    except UnitUnknown:
        return False
    return True


def factor_between(source: str, target: str, *, molar_mass: Fraction | None = None) -> Fraction:
    """What a value in one UCUM unit is multiplied with to be one in another; ``molar_mass`` is in g/mol.

    Raises:
        UnitUnknown: a unit is not known.
        UnitsIncommensurable: no exact factor leads from one to the other.
    """
    first, second = measure_of(source), measure_of(target)
    if first.special or second.special:
        if source == target:
            return Fraction(1)
        raise UnitsIncommensurable(source=source, target=target, problem="one of them is a scale without a factor")
    apart = {name: a - b for name, a, b in zip(_BASE, first.powers, second.powers, strict=True) if a != b}
    factor = first.factor / second.factor
    if not apart:
        return factor
    sign = apart.get("g", 0)
    if apart != {"g": sign, "mol": -sign} or abs(sign) != 1:
        raise UnitsIncommensurable(source=source, target=target, problem="they measure different things")
    if molar_mass is None or molar_mass <= 0:
        raise UnitsIncommensurable(source=source, target=target, problem="the molar mass is needed")
    return factor / molar_mass if sign > 0 else factor * molar_mass


def measure_of(code: str) -> Measure:
    """Understand a UCUM code.

    Raises:
        UnitUnknown: it is not a code of the known part of UCUM.
    """
    if code in _SPECIAL:
        return Measure(factor=Fraction(1), powers=(0,) * len(_BASE), special=code)
    # An annotation that stands alone is the unit one; one that follows a unit says nothing about it.
    text = _ANNOTATION.sub("", _ALONE.sub(r"\g<1>1", code))
    if not code or len(code) > _LONGEST or not code.isascii() or " " in code or "{" in text or "}" in text:
        raise UnitUnknown(problem="it is not a UCUM code")
    return _Reader(text).read()


class _Reader:
    """Reads terms joined by ``.`` and ``/``, from left to right, with parentheses."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def read(self) -> Measure:
        measure = self._terms(0)
        if self._at != len(self._text):
            raise UnitUnknown(problem="it is not a UCUM code")
        return measure

    def _terms(self, depth: int) -> Measure:
        if depth > _DEEPEST:
            raise UnitUnknown(problem="it is nested too deep")
        whole, divides = _ONE, self._take("/")
        while True:
            part = self._part(depth)
            whole = _times(whole, part, -1 if divides else 1)
            if self._take("."):
                divides = False
            elif self._take("/"):
                divides = True
            else:
                return whole

    def _part(self, depth: int) -> Measure:
        if self._take("("):
            inner = self._terms(depth + 1)
            if not self._take(")"):
                raise UnitUnknown(problem="a parenthesis is not closed")
            return inner
        match = _ATOM.match(self._text, self._at)
        if match is None:
            raise UnitUnknown(problem="it is not a UCUM code")
        self._at = match.end()
        return _atom(match[0])

    def _take(self, mark: str) -> bool:
        if self._text.startswith(mark, self._at):
            self._at += 1
            return True
        return False


_ONE: Final = Measure(factor=Fraction(1), powers=(0,) * len(_BASE))


def _times(first: Measure, second: Measure, power: int) -> Measure:
    powers = tuple(a + power * b for a, b in zip(first.powers, second.powers, strict=True))
    return Measure(factor=first.factor * second.factor**power, powers=powers)


def _atom(text: str) -> Measure:
    if text[:3] in {"10*", "10^"}:
        power = int(text[3:])
        if abs(power) > _LARGEST_POWER:
            raise UnitUnknown(problem="a power is too large")
        return Measure(factor=Fraction(10) ** power, powers=_ONE.powers)
    if text.isdecimal():
        if int(text) == 0:
            raise UnitUnknown(problem="zero is no unit")
        return Measure(factor=Fraction(int(text)), powers=_ONE.powers)
    match = _TERM.match(text)
    name, power = (text, 1) if match is None else (match["name"], int(match["power"] or 1))
    if abs(power) > _LARGEST_POWER:
        raise UnitUnknown(problem="a power is too large")
    return _times(_ONE, _named(name), power)


def _named(name: str) -> Measure:
    known = _UNITS.get(name)
    if known is not None:
        return known
    for size in (2, 1):
        inner = _METRIC_UNITS.get(name[size:])
        if name[:size] in _PREFIXES and inner is not None:
            return Measure(factor=inner.factor * Fraction(10) ** _PREFIXES[name[:size]], powers=inner.powers)
    raise UnitUnknown(problem="a part of it is no unit of UCUM")


def _defined(text: str) -> Measure:
    factor, *terms = text.split()
    powers = dict.fromkeys(_BASE, 0)
    for term in terms:
        match = _TERM.match(term)
        if match is not None:
            powers[match["name"]] += int(match["power"] or 1)
    return Measure(factor=Fraction(factor), powers=tuple(powers.values()))


_LARGEST_POWER: Final = 30
_METRIC_UNITS: Final = {name: _defined(text) for name, text in _METRIC.items()}
_UNITS: Final = {**_METRIC_UNITS, **{name: _defined(text) for name, text in _PLAIN.items()}}


def _listed() -> Iterator[tuple[str, str]]:
    for line in _ALIASES.strip().splitlines():
        code, _, names = line.partition(": ")
        yield code, code
        yield from ((name.replace("_", " ") if "{" not in name else name, code) for name in names.split())


def _folded() -> dict[str, str | None]:
    """Aliases without case; null where two codes differ by case alone."""
    found: dict[str, str | None] = {}
    for name, code in _listed():
        folded = _fold(name)
        found[folded] = code if found.get(folded, code) == code else None
    return found


def _fold(text: str) -> str:
    return re.sub(r"\s+", "", text).casefold()


_EXACT: Final = dict(_listed())
_FOLDED: Final = _folded()


def _resolve(text: str) -> str | None:
    """Exactly as listed; as UCUM; then without case and spaces, where that leaves one reading."""
    if text in _EXACT:
        return _EXACT[text]
    if is_ucum(text):
        return text.replace("[IU]", "[iU]")
    return _FOLDED.get(_fold(text))
