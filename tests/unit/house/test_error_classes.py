"""Every error class can be relied on: one code, a message, a hint, and templates that take names only."""

import importlib
import pkgutil
import string
from collections.abc import Iterator

import pytest

import asepsis.errors
from asepsis.errors import AsepsisError, Kind


def every_class(base: type[AsepsisError] = AsepsisError) -> Iterator[type[AsepsisError]]:
    """All error classes, after every module of the errors package was imported."""
    for module in pkgutil.iter_modules(asepsis.errors.__path__, "asepsis.errors."):
        importlib.import_module(module.name)
    for child in base.__subclasses__():
        if child.__module__.startswith("asepsis."):
            yield child
        yield from every_class(child)


def is_a_base(error: type[AsepsisError]) -> bool:
    """A class that only gathers others has no code of its own and is never raised."""
    return "code" not in error.__dict__ and bool(error.__subclasses__())


CLASSES = sorted(
    (each for each in set(every_class()) if not is_a_base(each)),
    key=lambda each: (each.__module__, each.__qualname__),
)


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


@pytest.mark.parametrize("error", CLASSES, ids=lambda each: each.__name__)
def test_an_error_class_says_what_happened_and_what_to_do(error: type[AsepsisError]) -> None:
    assert error.__module__.startswith("asepsis.errors."), "errors live in the errors package"
    assert error.__doc__
    assert error.message.strip() == error.message != AsepsisError.message
    assert error.hint.strip() == error.hint != AsepsisError.hint
    assert isinstance(error.kind, Kind)


@pytest.mark.parametrize("error", CLASSES, ids=lambda each: each.__name__)
def test_a_template_takes_plain_names_and_the_hint_no_others(error: type[AsepsisError]) -> None:
    assert all(name.isidentifier() for name in fields(error.message) | fields(error.hint))
    filled = error(**dict.fromkeys(fields(error.message) | fields(error.hint), "a-name"))
    assert "\n" not in filled.detail + filled.advice
    assert filled.as_dict()["code"] == error.code


def test_a_code_names_one_class() -> None:
    codes = [error.code for error in CLASSES]
    assert sorted(set(codes)) == sorted(codes)


def test_kinds_have_the_exit_codes_of_the_command_line() -> None:
    codes = {kind.label: kind.exit_code for kind in Kind}
    assert codes == {
        "invalid": 2,
        "denied": 3,
        "missing": 4,
        "conflict": 5,
        "exhausted": 6,
        "untrusted": 7,
        "unavailable": 8,
        "bug": 1,
    }
