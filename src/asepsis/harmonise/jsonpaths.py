"""Paths into a JSON resource: ``name[0].family``, ``identifier[system=urn:x].value``. The seam for ViewDefinitions.

A set of paths becomes one expression that the engine evaluates in one pass, and one SQL expression per path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from asepsis.errors.harmonise import MappingMalformed
from asepsis.harmonise.expressions import quote_name, quote_text

_STEP: Final = re.compile(
    r"([A-Za-z_][A-Za-z0-9_]{0,63})(?:\[(?:(\d{1,3})|([A-Za-z_][A-Za-z0-9_]{0,63})=([^\]]{1,200}))\])?(?:\.|$)"
)


@dataclass(frozen=True, slots=True)
class _Step:
    name: str
    index: int | None
    where: tuple[str, str] | None

    @property
    def is_list(self) -> bool:
        return self.index is not None or self.where is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonView:
    """What to extract: ``taken`` is SQL over the column ``text``, ``columns`` SQL per field over its value ``j``.

    ``taken`` fails where the text is no JSON.
    """

    taken: str
    columns: Mapping[str, str]


def compile_paths(paths: Mapping[str, str], *, file: str) -> JsonView:
    """Compile the paths of one file entry.

    Raises:
        MappingMalformed: a path is not of the known form, or two paths disagree about a list.
    """
    tree: dict[str, Any] = {}
    known = {name: _steps(path, file=file, key=name) for name, path in paths.items()}
    for name, steps in known.items():
        if not _graft(tree, steps):
            raise MappingMalformed(file=file, key=name, problem="two paths disagree about what is a list")
    if any(step.where for steps in known.values() for step in steps):
        taken = f"json_transform(text, {quote_text(json.dumps(_structure(tree)))})"
        return JsonView(taken=taken, columns={name: _select(steps) for name, steps in known.items()})
    places = ", ".join(quote_text(_place(steps)) for steps in known.values())
    columns = {name: f"j[{number}]" for number, name in enumerate(known, start=1)}
    return JsonView(taken=f"json_extract_string(text, [{places}]::VARCHAR[])", columns=columns)


def _steps(path: str, *, file: str, key: str) -> list[_Step]:
    steps: list[_Step] = []
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            break
        index = int(match[2]) if match[2] is not None else None
        steps.append(_Step(match[1], index, (match[3], match[4]) if match[3] else None))
        position = match.end()
    if position != len(path) or not steps or path.endswith("."):
        raise MappingMalformed(file=file, key=key, problem="the path is not of the form a.b[0].c[d=e].f")
    return steps


def _graft(tree: dict[str, Any], steps: list[_Step]) -> bool:
    """Add the steps to the tree of what is read; ``[]`` marks a list, an empty node a text."""
    for step in steps:
        last = step is steps[-1]
        node = tree.setdefault(step.name, {"list": step.is_list, "leaf": last, "items": {}})
        if node["list"] != step.is_list or node["leaf"] != last:
            return False
        if step.where is not None:
            node["items"].setdefault(step.where[0], {"list": False, "leaf": True, "items": {}})
        tree = node["items"]
    return True


def _structure(tree: dict[str, Any]) -> dict[str, Any]:
    shape: dict[str, Any] = {}
    for name, node in tree.items():
        inner: Any = "VARCHAR" if node["leaf"] else _structure(node["items"])
        shape[name] = [inner] if node["list"] else inner
    return shape


def _place(steps: list[_Step]) -> str:
    """A path without conditions as the engine writes it; its own extraction is the faster one."""
    return "$" + "".join(
        f".{quote_name(step.name)}" + (f"[{step.index}]" if step.index is not None else "") for step in steps
    )


def _select(steps: list[_Step]) -> str:
    sql = "j"
    for step in steps:
        sql = f"{sql}.{quote_name(step.name)}"
        if step.where is not None:
            field, value = step.where
            sql = f"list_filter({sql}, lambda e: e.{quote_name(field)} = {quote_text(value)})[1]"
        elif step.index is not None:
            sql = f"{sql}[{step.index + 1}]"
    return sql
