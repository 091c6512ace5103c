"""Units: aliases lead to one UCUM code, factors are exact, and another library computes the same."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.errors.vocabulary import UnitsIncommensurable, UnitUnknown
from asepsis.harmonise import units
from asepsis.harmonise.units import factor_between, is_ucum, measure_of, ucum_code, unit_codes

CODES = sorted(set(units._EXACT.values()))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("MG/DL", "mg/dL"),
        ("mmHg", "mm[Hg]"),
        ("mm Hg", "mm[Hg]"),
        ("x10E3/uL", "10*3/uL"),
        ("K/uL", "10*3/uL"),
        ("mEq/L", "meq/L"),
        ("IU/L", "[iU]/L"),
        ("m[IU]/L", "m[iU]/L"),
        ("bpm", "/min"),
        ("degF", "[degF]"),
        ("%", "%"),
        ("Cel", "Cel"),
        ("MMOL/L", "mmol/L"),
        ("mMol/l", "mmol/L"),
        (" mg/dL ", "mg/dL"),
        ("mcg/dL", "ug/dL"),
        ("mL/min/1.73m2", "mL/min/{1.73_m2}"),
        ("U/l", "U/L"),
        ("Mg/dL", "Mg/dL"),
    ],
)
def test_an_alias_has_one_code(text: str, code: str) -> None:
    assert ucum_code(text) == code


def test_case_is_kept_where_it_carries_meaning() -> None:
    assert ucum_code("mm") == "mm"
    assert ucum_code("mM") == "mmol/L"
    assert "mm" in units._FOLDED
    assert units._FOLDED["mm"] is None


@pytest.mark.parametrize("text", ["", "furlong", "mg//", "(mg", "m g7", "10*99", "0", "m999", "mg/dL{", "é", "x" * 99])
def test_what_is_no_unit_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(UnitUnknown) as caught:
        ucum_code(text)
    assert "furlong" not in str(caught.value)


def test_there_are_many_aliases_and_none_has_two_codes() -> None:
    listed = list(units._listed())
    assert len({name for name, _ in listed}) > 400
    assert all(units._EXACT[name] == code for name, code in listed)
    assert all(map(is_ucum, CODES))


@pytest.mark.parametrize(
    ("source", "target", "factor"),
    [
        ("g/dL", "g/L", Fraction(10)),
        ("mm[Hg]", "kPa", Fraction(133322, 1000000)),
        ("/min", "Hz", Fraction(1, 60)),
        ("10*3/uL", "10*9/L", Fraction(1)),
        ("[lb_av]", "kg", Fraction(45359237, 100000000)),
        ("[in_i]", "cm", Fraction(254, 100)),
        ("mg/(24.h)", "g/d", Fraction(1, 1000)),
        ("%", "1", Fraction(1, 100)),
        ("kg/m2", "g/cm2", Fraction(1, 10)),
        ("Cel", "Cel", Fraction(1)),
    ],
)
def test_a_factor_is_exact(source: str, target: str, factor: Fraction) -> None:
    assert factor_between(source, target) == factor


@pytest.mark.parametrize(
    ("substance", "molar_mass", "factor"),
    [("glucose", "180.156", 0.0555), ("cholesterol", "386.65", 0.02586), ("creatinine", "113.12", 0.0884)],
)
def test_mass_and_amount_need_the_molar_mass(substance: str, molar_mass: str, factor: float) -> None:
    target = "mmol/L"
    with pytest.raises(UnitsIncommensurable):
        factor_between("mg/dL", target)
    found = factor_between("mg/dL", target, molar_mass=Fraction(molar_mass))
    assert math.isclose(found, factor, rel_tol=1e-2), substance
    assert factor_between(target, "mg/dL", molar_mass=Fraction(molar_mass)) * found == 1


@pytest.mark.parametrize(
    ("source", "target"),
    [("Cel", "[degF]"), ("mg/dL", "mm[Hg]"), ("[iU]/L", "U/L"), ("meq/L", "mmol/L"), ("[pH]", "1"), ("mg2", "mol2")],
)
def test_no_factor_is_invented(source: str, target: str) -> None:
    with pytest.raises(UnitsIncommensurable):
        factor_between(source, target, molar_mass=Fraction(1))


@given(st.sampled_from(CODES), st.sampled_from(CODES))
def test_there_and_back_is_one(first: str, second: str) -> None:
    try:
        there = factor_between(first, second)
    except UnitsIncommensurable:
        with pytest.raises(UnitsIncommensurable):
            factor_between(second, first)
        return
    assert there * factor_between(second, first) == 1


@given(st.text(alphabet="mgLl/.()[]{}10*^kuHU%-+ µ", max_size=14))
def test_any_text_is_a_unit_or_refused(text: str) -> None:
    found = unit_codes(text)
    assert found[0].code == text
    try:
        measure_of(text)
    except UnitUnknown:
        return
    assert is_ucum(text)


def test_another_library_computes_the_same() -> None:
    """Against ucumvert and pint, where they are installed; what they cannot read is left out and counted."""
    pytest.importorskip("ucumvert")
    compared = _differences()
    assert compared > 400


def _differences() -> int:
    import warnings  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ucumvert import PintUcumRegistry  # noqa: PLC0415

        registry = PintUcumRegistry()
    known = {}
    skipped = {"{score}", "{ratio}", "{titer}", "{INR}", "1"}
    for code in [*CODES, "kPa", "g/m3", "kat/L", "mg/kg/d", "J", "cal", "N", "bar", "L/s", "mol/kg", "Gy", "cm/s2"]:
        if measure_of(code).special is None and code not in skipped:
            try:
                known[code] = registry.from_ucum(code)
            except Exception:  # noqa: BLE001, S112 - its parser has errors of its own for what it does not know
                continue
    compared = 0
    for first, one in known.items():
        for second, other in known.items():
            try:
                ours = factor_between(first, second)
            except UnitsIncommensurable:
                continue
            if one.dimensionality != other.dimensionality:
                continue
            assert math.isclose((one / other).to("dimensionless").magnitude, ours, rel_tol=1e-5), (first, second)
            compared += 1
    return compared
