"""ViewDefinitions to DuckDB SQL. A FHIRPath collection is a list of JSON values, a select a list of rows.

The SQL uses the macros of ``PRELUDE``, which a connection needs once. Nothing of a definition is copied into the SQL
but checked names and quoted literals. Where the standard asks for an error at run time (a column with several values, a
condition that is no boolean, a tree deeper than the limit) the SQL fails; the engine maps that to an error of ours.
"""

# ruff: noqa: S608 - the SQL is written here from checked names and quoted literals; no data enters it

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from asepsis.errors.harmonise import ViewRefused
from asepsis.harmonise.expressions import quote_name, quote_text
from asepsis.harmonise.views.fhirpath import Node, parse

_NAME: Final = re.compile(r"^[A-Za-z_]\w{0,254}$")
_DEEPEST_REPEAT: Final = 12
_PLACE: Final = 9
"""Digits of a child's number in the place of a node; places in their order are a tree from top to bottom."""
_TYPES: Final = {
    "boolean": "BOOLEAN",
    "integer": "BIGINT",
    "positiveInt": "BIGINT",
    "unsignedInt": "BIGINT",
    "integer64": "BIGINT",
}
_TIMES: Final = frozenset({"dateTime", "instant", "time", "date"})
_OFFSET_LOW, _OFFSET_HIGH = "+14:00", "-12:00"

_MACROS: Final = {
    "fp_many(v)": (
        "CASE WHEN v IS NULL OR json_type(v) = 'NULL' THEN []::JSON[] "
        "WHEN json_type(v) = 'ARRAY' THEN v::JSON[] ELSE [v] END"
    ),
    "fp_child(c, k)": "flatten(list_transform(c, lambda fp_e: fp_many(json_extract(fp_e, k))))",
    "fp_text(c)": "c[1] ->> '$'",
    "fp_number(c)": (
        "CASE WHEN json_type(c[1]) IN ('BIGINT', 'UBIGINT', 'DOUBLE', 'HUGEINT') "
        "THEN try_cast(c[1] ->> '$' AS DOUBLE) END"
    ),
    "fp_is(c)": "try_cast(c[1] ->> '$' AS BOOLEAN)",
    "fp_of(b)": "CASE WHEN b IS NULL THEN []::JSON[] ELSE [to_json(b)] END",
    "fp_same(a, b)": (
        "CASE WHEN len(a) = 0 OR len(b) = 0 THEN NULL "
        "ELSE coalesce(fp_number(a) = fp_number(b), fp_text(a) = fp_text(b)) END"
    ),
    "fp_less(a, b)": (
        "CASE WHEN len(a) = 0 OR len(b) = 0 THEN NULL "
        "ELSE coalesce(fp_number(a) < fp_number(b), fp_text(a) < fp_text(b)) END"
    ),
    "fp_cross(a, b)": (
        "flatten(list_transform(a, lambda fp_x: list_transform(b, lambda fp_y: struct_concat(fp_x, fp_y))))"
    ),
    "fp_placed(c, p)": (
        "list_transform(c::JSON[], lambda fp_k, fp_i: "
        f"{{'place': p || lpad(fp_i::VARCHAR, {_PLACE}, '0'), 'node': fp_k}})"
    ),
    "fp_step(t)": "power(10.0, -length(split_part(t, '.', 2))) / 2",
}
PRELUDE: Final = tuple(f"CREATE OR REPLACE TEMP MACRO {name} AS {sql}" for name, sql in _MACROS.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledView:
    """``sql`` selects the rows of a view from a table with one JSON resource per row in a column ``resource``."""

    resource: str
    columns: tuple[str, ...]
    sql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewOfOne:
    """``rows`` is the list of a view's rows of the one resource ``r`` (JSON), empty where the view leaves it out.

    Where the standard asks for an error the expression fails in a way that ``try`` of the engine may catch.
    """

    columns: tuple[str, ...]
    rows: str


def compile_for_one(definition: Any) -> ViewOfOne:
    """Compile a ViewDefinition for single resources.

    Raises:
        ViewRefused: the definition is malformed or uses something outside the subset.
    """
    columns, rows, wheres = _compiled(definition, _caught)
    return ViewOfOne(columns=columns, rows=f"CASE WHEN {' AND '.join(wheres)} THEN {rows} ELSE [] END")


def _failing(text: str, _sql_type: str) -> str:
    return f"error({quote_text(text)})"


def _caught(_text: str, sql_type: str) -> str:
    """``try`` does not take ``error``; a cast that never succeeds is as good."""
    never = f"CAST((r ->> '$.resourceType') || '!' AS {sql_type.removesuffix('[]')})"
    return f"[{never}]" if sql_type.endswith("[]") else never


def compile_view(definition: Any, *, table: str) -> CompiledView:
    """Compile a ViewDefinition over a table (a checked SQL name).

    Raises:
        ViewRefused: the definition is malformed or uses something outside the subset.
    """
    columns, rows, wheres = _compiled(definition, _failing)
    source = f"SELECT resource::JSON AS r FROM {table}"
    kept = f"SELECT r FROM ({source}) WHERE {' AND '.join(wheres)}"
    return CompiledView(
        resource=definition["resource"],
        columns=columns,
        sql=f"SELECT row_.* FROM (SELECT unnest({rows}) AS row_ FROM ({kept}))",
    )


def _compiled(definition: Any, failing: Callable[[str, str], str]) -> tuple[tuple[str, ...], str, list[str]]:
    """The columns of a view, its rows of the resource ``r``, and the conditions under which there are any."""
    if not isinstance(definition, dict) or not isinstance(definition.get("resource"), str):
        raise ViewRefused(problem="the resource is missing")
    if not definition.get("select"):
        raise ViewRefused(problem="there is no select")
    compiler = _Compiler(_constants(definition.get("constant", [])), failing)
    columns, rows = compiler.select({"select": definition["select"]}, "[r]", "0")
    if len(set(columns)) != len(columns) or not columns:
        raise ViewRefused(problem="two columns have one name, or there is none")
    wheres = [f"(r ->> '$.resourceType') = {quote_text(definition['resource'])}"]
    wheres.extend(compiler.condition(item.get("path"), "[r]") for item in definition.get("where", []))
    return tuple(columns), rows, wheres


def _constants(items: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in items:
        values = [value for key, value in item.items() if key.startswith("value")]
        if len(values) != 1 or not isinstance(values[0], str | int | float | bool):
            raise ViewRefused(problem="a constant has no value")
        found[item.get("name", "")] = _literal(values[0])
    return found


def _literal(value: str | float | bool) -> str:  # noqa: FBT001 - a JSON value
    if isinstance(value, bool):
        return f"[to_json({'TRUE' if value else 'FALSE'})]"
    return f"[to_json({quote_text(value) if isinstance(value, str) else repr(value)})]"


class _Compiler:
    def __init__(self, constants: Mapping[str, str], failing: Callable[[str, str], str]) -> None:
        self._constants = constants
        self._failing = failing
        self._numbers = count()

    def select(self, node: Any, focus: str, index: str) -> tuple[list[str], str]:
        """The columns of a select and the SQL of its rows."""
        if not isinstance(node, dict):
            raise ViewRefused(problem="a select is malformed")
        for key in ("forEach", "forEachOrNull"):
            if key in node:
                return self._each(node, key, self.path(parse(node[key]), focus, index))
        if "repeat" in node:
            return self._each(node, "repeat", self._repeat(node["repeat"], focus, index))
        return self._inner(node, focus, index)

    def condition(self, text: Any, focus: str) -> str:
        """A condition of the view, which fails unless it is a boolean or empty."""
        value = self.path(parse(text), focus, "0")
        return (
            f"CASE WHEN len({value}) = 0 THEN FALSE WHEN len({value}) > 1 OR json_type(({value})[1]) <> 'BOOLEAN' "
            f"THEN {self._failing('not a boolean', 'BOOLEAN')} ELSE fp_is({value}) END"
        )

    def path(self, node: Node, focus: str, index: str) -> str:
        """The SQL of a collection."""
        if node.kind == "this":
            return focus
        return _KINDS[node.kind](self, node, focus, index)

    def bare(self, node: Node, _focus: str, _index: str) -> str:
        return f"[to_json({node.value.upper()})]"

    def text(self, node: Node, _focus: str, _index: str) -> str:
        text = re.sub(r"\\(.)", r"\1", node.value)
        return f"[to_json({quote_text(text)})]"

    def member(self, node: Node, focus: str, index: str) -> str:
        return f"fp_child({self._base(node, focus, index)}, {quote_text('$.' + quote_name(node.value))})"

    def index(self, node: Node, focus: str, index: str) -> str:
        place = f"fp_number({self.path(node.children[1], focus, index)})::BIGINT + 1"
        return f"({self._base(node, focus, index)})[{place}:{place}]"

    def constant(self, node: Node, _focus: str, index: str) -> str:
        name = node.value
        if name == "rowIndex":
            return f"[to_json({index})]"
        if name not in self._constants:
            raise ViewRefused(problem="a constant is not declared")
        return self._constants[name]

    def operator(self, node: Node, focus: str, index: str) -> str:
        left, right = (self.path(child, focus, index) for child in node.children)
        sign = node.value
        if sign in {"and", "or"}:
            return f"fp_of(fp_is({left}) {sign.upper()} fp_is({right}))"
        if sign in {"+", "-", "*", "/"}:
            return f"fp_of(fp_number({left}) {sign} fp_number({right}))"
        same, less, more = (f"fp_same({left}, {right})", f"fp_less({left}, {right})", f"fp_less({right}, {left})")
        known = {"=": same, "!=": f"NOT {same}", "<": less, ">": more, "<=": f"NOT {more}", ">=": f"NOT {less}"}
        return f"fp_of({known[sign]})"

    def call(self, node: Node, focus: str, index: str) -> str:
        handler = _CALLS.get(node.value)
        if handler is None:
            raise ViewRefused(problem=f"the function {node.value} is not known")
        return handler(self, node, focus, index)

    def _base(self, node: Node, focus: str, index: str) -> str:
        return self.path(node.children[0], focus, index)

    def where(self, node: Node, focus: str, index: str) -> str:
        if len(node.children) != 2:  # noqa: PLR2004 - the input and one criterion
            raise ViewRefused(problem="where takes one criterion")
        name = self._fresh()
        criterion = self.path(node.children[1], f"[{name}]", index)
        return f"list_filter({self._base(node, focus, index)}, lambda {name}: coalesce(fp_is({criterion}), FALSE))"

    def exists(self, node: Node, focus: str, index: str) -> str:
        inner = self.where(node, focus, index) if len(node.children) > 1 else self._base(node, focus, index)
        return f"[to_json(len({inner}) > 0)]"

    def empty(self, node: Node, focus: str, index: str) -> str:
        return f"[to_json(len({self._base(node, focus, index)}) = 0)]"

    def not_(self, node: Node, focus: str, index: str) -> str:
        return f"fp_of(NOT fp_is({self._base(node, focus, index)}))"

    def first(self, node: Node, focus: str, index: str) -> str:
        return f"({self._base(node, focus, index)})[1:1]"

    def join(self, node: Node, focus: str, index: str) -> str:
        base = self._base(node, focus, index)
        mark = f"fp_text({self.path(node.children[1], focus, index)})" if len(node.children) > 1 else "''"
        texts = f"list_transform({base}, lambda fp_j: fp_j ->> '$')"
        return f"[to_json(coalesce(array_to_string({texts}, {mark}), ''))]"

    def of_type(self, node: Node, focus: str, index: str) -> str:
        """A choice element stands in JSON under its name with the type: ``value.ofType(string)`` is ``valueString``."""
        base, kind = node.children[0], self._type(node)
        if base.kind != "member":
            raise ViewRefused(problem="ofType follows the name of a choice element")
        return self.path(Node("member", base.value + kind[:1].upper() + kind[1:], base.children), focus, index)

    def _type(self, node: Node) -> str:
        if len(node.children) != 2 or node.children[1].kind != "member":  # noqa: PLR2004 - the input and one type
            raise ViewRefused(problem="the name of a type is expected")
        return node.children[1].value

    def extension(self, node: Node, focus: str, index: str) -> str:
        url = Node("operator", "=", (Node("member", "url", (Node("this", ""),)), *node.children[1:2]))
        return self.where(Node("call", "where", (Node("member", "extension", node.children[:1]), url)), focus, index)

    def resource_key(self, node: Node, focus: str, index: str) -> str:
        return f"fp_child({self._base(node, focus, index)}, '$.id')"

    def reference_key(self, node: Node, focus: str, index: str) -> str:
        reference = f"fp_text(fp_child({self._base(node, focus, index)}, '$.reference'))"
        kind = self._type(node) if len(node.children) > 1 else None
        is_asked = "TRUE" if kind is None else f"split_part({reference}, '/', -2) = {quote_text(kind)}"
        return f"fp_of(CASE WHEN {is_asked} THEN split_part({reference}, '/', -1) END)"

    def boundary(self, node: Node, focus: str, index: str) -> str:
        base = self._base(node, focus, index)
        kind = self._type(node.children[0]) if node.children[0].value == "ofType" else "date"
        text, is_low = f"fp_text({base})", node.value == "lowBoundary"
        sign = "-" if is_low else "+"
        number = f"round(fp_number({base}) {sign} fp_step({text}), (length(split_part({text}, '.', 2)) + 1)::INTEGER)"
        moment = _boundary_of_time(text, kind, is_low=is_low)
        return f"CASE WHEN fp_number({base}) IS NOT NULL THEN fp_of({number}) ELSE fp_of({moment}) END"

    def _each(self, node: dict[str, Any], key: str, collection: str) -> tuple[list[str], str]:
        name, place = self._fresh(), self._fresh()
        columns, rows = self._inner(node, f"[{name}]", f"{place} - 1")
        each = f"flatten(list_transform({collection}, lambda {name}, {place}: {rows}))"
        if key == "forEachOrNull":
            _, alone = self._inner(node, "[]::JSON[]", "0")
            each = f"CASE WHEN len({collection}) = 0 THEN {alone} ELSE {each} END"
        return columns, each

    def _repeat(self, paths: Any, focus: str, index: str) -> str:
        """A tree grown level by level: lambdas inside lambdas, one for each level, would take seconds to bind."""
        if not isinstance(paths, list) or not paths:
            raise ViewRefused(problem="repeat takes a list of paths")
        trees = [parse(path) for path in paths]
        found, level, node, leaf = (self._fresh() for _ in range(4))
        above = f"list_filter({found}, lambda {leaf}: length({leaf}.place) = {_PLACE} * ({level} - 1))"
        below = f"fp_placed({self._children(trees, f'[{node}.node]', index)}, {node}.place)"
        grown = f"{found} || flatten(list_transform({above}, lambda {node}: {below}))"
        rounds = ", ".join(
            [f"fp_placed({self._children(trees, focus, index)}, '')", *["fp_placed([], '')"] * _DEEPEST_REPEAT]
        )
        tree = f"list_sort(list_reduce([{rounds}], lambda {found}, {self._fresh()}, {level}: {grown}))"
        is_deep = f"length({leaf}.place) > {_PLACE * _DEEPEST_REPEAT}"
        too_deep = self._failing("too deep", "JSON")
        return f"list_transform({tree}, lambda {leaf}: CASE WHEN {is_deep} THEN {too_deep} ELSE {leaf}.node END)"

    def _children(self, trees: list[Node], focus: str, index: str) -> str:
        parts = [self.path(tree, focus, index) for tree in trees]
        return parts[0] if len(parts) == 1 else f"flatten([{', '.join(parts)}])"

    def _inner(self, node: dict[str, Any], focus: str, index: str) -> tuple[list[str], str]:
        names: list[str] = []
        parts: list[str] = []
        if node.get("column"):
            pairs = [self._column(item, focus, index) for item in node["column"]]
            names += [name for name, _ in pairs]
            packed = ", ".join(f"{quote_name(name)} := {sql}" for name, sql in pairs)
            parts.append(f"[struct_pack({packed})]")
        for item in node.get("select", []):
            columns, rows = self.select(item, focus, index)
            names += columns
            parts += [rows] if columns else []
        if node.get("unionAll"):
            columns, rows = self._union(node["unionAll"], focus, index)
            names += columns
            parts.append(rows)
        rows = parts[0] if parts else "[]"
        for part in parts[1:]:
            rows = f"fp_cross({rows}, {part})"
        return names, rows

    def _union(self, items: list[Any], focus: str, index: str) -> tuple[list[str], str]:
        branches = [self.select(item, focus, index) for item in items]
        if any(columns != branches[0][0] for columns, _ in branches):
            raise ViewRefused(problem="the branches of unionAll have different columns")
        return branches[0][0], f"flatten([{', '.join(rows for _, rows in branches)}])"

    def _column(self, item: dict[str, Any], focus: str, index: str) -> tuple[str, str]:
        name = item.get("name")
        if not isinstance(name, str) or not _NAME.match(name):
            raise ViewRefused(problem="the name of a column is not valid")
        value, sql_type = self.path(parse(item.get("path")), focus, index), _TYPES.get(item.get("type", ""), "VARCHAR")
        if item.get("type") == "decimal":
            sql_type = "DOUBLE"
        if item.get("collection") is True:
            return name, f"list_transform({value}, lambda fp_c: (fp_c ->> '$')::{sql_type})"
        several = f"CASE WHEN len({value}) > 1 THEN {self._failing('several values', 'JSON[]')} ELSE {value} END"
        return name, f"try_cast(fp_text({several}) AS {sql_type})"

    def _fresh(self) -> str:
        return f"e{next(self._numbers)}"


def _boundary_of_time(text: str, kind: str, *, is_low: bool) -> str:
    """The first or last moment that a partial date, time or dateTime may stand for, as text."""
    if kind == "time":
        rest = ["00:00:00.000", ":00:00.000", ":00.000", ".000"] if is_low else ["", ":59:59.999", ":59.999", ".999"]
        cases = "".join(f" WHEN {size} THEN {text} || {quote_text(rest[at])}" for at, size in ((1, 2), (2, 5), (3, 8)))
        return f"CASE length({text}){cases} ELSE {text} END"
    first = f"CASE length({text}) WHEN 4 THEN {text} || '-01-01' WHEN 7 THEN {text} || '-01' ELSE left({text}, 10) END"
    month_end = f"last_day(try_cast({text} || '-01' AS DATE))::VARCHAR"
    last = f"CASE length({text}) WHEN 4 THEN {text} || '-12-31' WHEN 7 THEN {month_end} ELSE left({text}, 10) END"
    day = first if is_low else last
    if kind == "date":
        return day
    moment = f"T00:00:00.000{_OFFSET_LOW}" if is_low else f"T23:59:59.999{_OFFSET_HIGH}"
    return f"CASE WHEN length({text}) <= 10 THEN ({day}) || {quote_text(moment)} ELSE {text} END"


_CALLS: Final[Mapping[str, Callable[[_Compiler, Node, str, str], str]]] = {
    "where": _Compiler.where,
    "exists": _Compiler.exists,
    "empty": _Compiler.empty,
    "not": _Compiler.not_,
    "first": _Compiler.first,
    "join": _Compiler.join,
    "ofType": _Compiler.of_type,
    "extension": _Compiler.extension,
    "getResourceKey": _Compiler.resource_key,
    "getReferenceKey": _Compiler.reference_key,
    "lowBoundary": _Compiler.boundary,
    "highBoundary": _Compiler.boundary,
}

_KINDS: Final[Mapping[str, Callable[[_Compiler, Node, str, str], str]]] = {
    "number": _Compiler.bare,
    "boolean": _Compiler.bare,
    "text": _Compiler.text,
    "constant": _Compiler.constant,
    "operator": _Compiler.operator,
    "member": _Compiler.member,
    "index": _Compiler.index,
    "call": _Compiler.call,
}
