"""Habits that keep data out of errors and logs, and I/O at the edges; read from the syntax trees of src."""

import ast
import functools
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Rule = Callable[[ast.Module, str], Iterator[ast.AST]]

CLOCK_EDGES = ("cli/", "api/", "bootstrap/", "desk_home.py", "runtime/main.py", "runtime/__main__.py")
CLOCKS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"), ("time", "time")}
BROAD = {"Exception", "BaseException"}
TEXT_OF = {"str", "repr", "format", "ascii"}


@functools.cache
def nodes_of(tree: ast.Module) -> list[ast.AST]:
    """All nodes of a module, walked once for all rules."""
    return list(ast.walk(tree))


def no_assert(tree: ast.Module, _name: str) -> Iterator[ast.AST]:
    """An assert is gone under -O: a guard raises."""
    return (node for node in nodes_of(tree) if isinstance(node, ast.Assert))


def no_print(tree: ast.Module, name: str) -> Iterator[ast.AST]:
    """Only the command line speaks."""
    if name.startswith("cli/"):
        return
    for node in nodes_of(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield node


def no_relative_import(tree: ast.Module, _name: str) -> Iterator[ast.AST]:
    """Every import names its package."""
    return (node for node in nodes_of(tree) if isinstance(node, ast.ImportFrom) and node.level)


def no_bare_except(tree: ast.Module, _name: str) -> Iterator[ast.AST]:
    """A bare except also swallows the wish to stop."""
    return (node for node in nodes_of(tree) if isinstance(node, ast.ExceptHandler) and node.type is None)


def no_text_of_a_broad_exception(tree: ast.Module, _name: str) -> Iterator[ast.AST]:
    """Whoever catches everything catches messages that quote data: their text goes nowhere."""
    for handler in nodes_of(tree):
        if isinstance(handler, ast.ExceptHandler) and handler.name and _is_broad(handler.type):
            for statement in handler.body:
                yield from (node for node in ast.walk(statement) if _tells_text(node, handler.name))


def no_traceback_text(tree: ast.Module, _name: str) -> Iterator[ast.AST]:
    """A traceback quotes source lines and messages."""
    for node in nodes_of(tree):
        if isinstance(node, ast.keyword) and node.arg == "exc_info":
            yield node.value
        if isinstance(node, ast.Attribute) and node.attr in {"format_exc", "print_exc", "format_exception"}:
            yield node


def no_clock_inside(tree: ast.Module, name: str) -> Iterator[ast.AST]:
    """The time enters at an edge and is passed on."""
    if name.startswith(CLOCK_EDGES):
        return
    for node in nodes_of(tree):
        if isinstance(node, ast.Attribute) and (ast.unparse(node.value).rpartition(".")[2], node.attr) in CLOCKS:
            yield node


RULES: list[Rule] = [
    no_assert,
    no_print,
    no_relative_import,
    no_bare_except,
    no_text_of_a_broad_exception,
    no_traceback_text,
    no_clock_inside,
]

BROKEN_HABITS = [
    (no_assert, "sql/parse.py", "assert x"),
    (no_print, "services/runs.py", "print(1)"),
    (no_relative_import, "sql/parse.py", "from . import bind"),
    (no_bare_except, "sql/parse.py", "try: f()\nexcept: pass"),
    (no_text_of_a_broad_exception, "engines/duck.py", 'try: f()\nexcept Exception as e: raise X(f"{e}")'),
    (no_text_of_a_broad_exception, "engines/duck.py", "try: f()\nexcept (ValueError, Exception) as e: g(str(e))"),
    (no_text_of_a_broad_exception, "engines/duck.py", 'try: f()\nexcept BaseException as e: g("%s" % e)'),
    (no_text_of_a_broad_exception, "engines/duck.py", "try: f()\nexcept Exception as e: g(e.args)"),
    (no_traceback_text, "engines/duck.py", "log.error('x', exc_info=True)"),
    (no_traceback_text, "engines/duck.py", "traceback.format_exc()"),
    (no_clock_inside, "services/runs.py", "datetime.now(UTC)"),
    (no_clock_inside, "services/runs.py", "datetime.datetime.utcnow()"),
    (no_clock_inside, "store/jobs.py", "clock = datetime.now"),
]


@pytest.fixture(scope="module")
def sources(repository_root: Path) -> dict[str, ast.Module]:
    """Path inside the package -> syntax tree, for every module of the package."""
    package = repository_root / "src" / "asepsis"
    return {str(path.relative_to(package)): ast.parse(path.read_text()) for path in sorted(package.rglob("*.py"))}


@pytest.mark.parametrize("rule", RULES)
def test_the_source_keeps_the_habit(rule: Rule, sources: dict[str, ast.Module]) -> None:
    assert len(sources) > len(RULES)
    found = [f"{name}:{node.lineno}" for name, tree in sources.items() for node in rule(tree, name)]  # type: ignore[attr-defined]
    assert not found, f"{rule.__doc__} {found}"


@pytest.mark.parametrize(("rule", "name", "text"), BROKEN_HABITS)
def test_a_broken_habit_is_found(rule: Rule, name: str, text: str) -> None:
    assert list(rule(ast.parse(text), name))


def test_the_domain_imports_the_standard_library_and_the_errors_only(sources: dict[str, ast.Module]) -> None:
    known = set(sys.stdlib_module_names)
    inner = ("asepsis.domain", "asepsis.errors")
    for name, tree in sources.items():
        if name.startswith(("domain/", "errors/")):
            strange = {m for m in _imported(tree) if m.partition(".")[0] not in known and not m.startswith(inner)}
            assert not strange, f"{name} imports {strange}"


def test_a_reminder_names_its_issue(repository_root: Path) -> None:
    word = "TO" + "DO"
    unnamed = re.compile(rf"\b({word}|FIX" + r"ME|XX" + r"X)\b(?!\(#\d+\))")
    for folder in ("src", "tests", "scripts", "docs", "requirements"):
        for path in (repository_root / folder).rglob("*"):
            if path.suffix in {".py", ".sh", ".md", ".in"}:
                assert not unnamed.search(path.read_text()), f"{path}: write {word}(#issue)"


def _imported(tree: ast.Module) -> set[str]:
    names = {alias.name for node in nodes_of(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module or "" for node in nodes_of(tree) if isinstance(node, ast.ImportFrom)}


def _is_broad(caught: ast.expr | None) -> bool:
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(isinstance(name, ast.Name) and name.id in BROAD for name in names)


def _tells_text(node: ast.AST, name: str) -> bool:
    match node:
        case ast.FormattedValue(value=value):
            return _mentions(value, name)
        case ast.Call(func=ast.Name(id=function), args=arguments) if function in TEXT_OF:
            return any(isinstance(argument, ast.Name) and argument.id == name for argument in arguments)
        case ast.Call(func=ast.Attribute(attr="format"), args=arguments):
            return any(_mentions(argument, name) for argument in arguments)
        case ast.BinOp(left=ast.Constant(value=str()), op=ast.Mod(), right=right):
            return _mentions(right, name)
        case ast.Attribute(value=ast.Name(id=owner), attr="args"):
            return owner == name
        case _:
            return False


def _mentions(node: ast.AST, name: str) -> bool:
    """Whether the expression shows the exception itself (its class alone is fine)."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "type":
        return False
    if isinstance(node, ast.Name):
        return node.id == name
    return any(_mentions(child, name) for child in ast.iter_child_nodes(node))
