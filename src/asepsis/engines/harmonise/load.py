"""Reading a mapping folder: YAML, CSV and layouts become parts; nothing outside the folder is read.

YAML is loaded with the safe loader; duplicate keys, aliases and files beyond a size are refused, since each has been a
way to say one thing and mean another.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from asepsis.engines.harmonise.guard import IN_MEMORY, connect
from asepsis.engines.harmonise.land import create_landed
from asepsis.engines.harmonise.split import create_code_tables, settle_nothing
from asepsis.errors.harmonise import HarmoniseFailed, MappingMalformed, MappingMissing
from asepsis.harmonise.mapping import Mapping, Parts, mapping_from_parts
from asepsis.harmonise.staging import EntryPlan

_LARGEST: Final = 32 << 20


def load_mapping(folder: Path) -> Mapping:
    """Read and check a mapping folder, every expression included.

    Raises:
        MappingMissing: the folder or a file it names is absent.
        MappingMalformed: a file is not valid; names the file and the place.
        ExpressionRefused: an expression is outside the subset.
    """
    parts = Parts(
        source=read_yaml(folder, "source.yaml"),
        tables={path.stem: read_yaml(folder, f"tables/{path.name}") for path in _files(folder / "tables", ".yaml")},
        codes={path.stem: _rows(folder, f"codes/{path.name}") for path in _files(folder / "codes", ".csv")},
        layouts={path.name: _text(folder, path.name) for path in _files(folder, ".cpy")},
        views={f"views/{path.name}": _json(folder, f"views/{path.name}") for path in _files(folder / "views", ".json")},
    )
    mapping = mapping_from_parts(parts)
    for entry in mapping.entries:
        plan = EntryPlan(mapping, entry)
        plan.begin()
        plan.settling(plan.everything())
    _check_types(mapping)
    return mapping


def read_yaml(folder: Path, name: str) -> Any:
    """One YAML document as plain values.

    Raises:
        MappingMissing: there is no such file.
        MappingMalformed: it is not one YAML document, or a key occurs twice.
    """
    text = _text(folder, name)
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader with more refusals
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        problem = error.problem if isinstance(error, _NotStrict) and error.problem else "it is not valid YAML"
        raise MappingMalformed(file=name, key=f"line {line}", problem=problem) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise MappingMalformed(file=name, key="the file", problem="it is not valid YAML") from None


def _check_types(mapping: Mapping) -> None:
    """Stage no records at all: the engine then judges the types of every expression."""
    connection = connect(IN_MEMORY, scratch=Path(), memory="256MB", threads=1)
    try:
        create_code_tables(connection, mapping)
        for entry in mapping.entries:
            create_landed(connection, entry)
        for entry in mapping.entries:
            problem = "two values of different types are compared or combined"
            try:
                settle_nothing(connection, EntryPlan(mapping, entry))
            except HarmoniseFailed:
                raise MappingMalformed(file="tables/", key=f"from: {entry.name}", problem=problem) from None
    finally:
        connection.close()


class _NotStrict(yaml.MarkedYAMLError):
    """A refusal of this loader; its problem text is fixed and may be shown."""


class _StrictLoader(yaml.SafeLoader):
    """The safe loader without duplicate keys and aliases. Keys are texts: YAML 1.1 takes the key ``on`` for true."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise _NotStrict(None, None, "aliases are not allowed", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value in seen:
                raise _NotStrict(None, None, "a key occurs twice or is not a text", key.start_mark)
            seen.add(key.value)
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}


def _files(folder: Path, suffix: str) -> Iterator[Path]:
    if not folder.is_dir():
        return
    yield from sorted(path for path in folder.iterdir() if path.suffix.lower() == suffix and path.is_file())


def _text(folder: Path, name: str) -> str:
    try:
        data = (folder / name).read_bytes()
    except OSError:
        raise MappingMissing(file=name) from None
    if len(data) > _LARGEST:
        raise MappingMalformed(file=name, key="the file", problem="it is too large for a mapping")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise MappingMalformed(file=name, key="the file", problem="it is not UTF-8") from None


def _json(folder: Path, name: str) -> Any:
    try:
        return json.loads(_text(folder, name))
    except (ValueError, RecursionError):
        raise MappingMalformed(file=name, key="the file", problem="it is not valid JSON") from None


def _rows(folder: Path, name: str) -> list[dict[str, str]]:
    try:
        reader = csv.DictReader(_text(folder, name).splitlines(), strict=True)
        rows = [{str(key): value for key, value in row.items()} for row in reader]
    except csv.Error:
        raise MappingMalformed(file=name, key="the file", problem="it is not valid CSV") from None
    return rows
