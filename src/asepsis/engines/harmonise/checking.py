"""Checking a mapping folder before it is used: what is wrong, or what deserves a look, as values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asepsis.engines.harmonise.load import load_mapping
from asepsis.errors import AsepsisError
from asepsis.harmonise.account import mapping_docs as docs_of
from asepsis.harmonise.mapping import Mapping

_SHOWN: Final = 12
_WORD: Final = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingRemark:
    """Something about a mapping: an error with its code, or a hint (``is_error`` false) that it may lack something."""

    code: str
    text: str
    is_error: bool


def check_mapping(folder: Path) -> tuple[MappingRemark, ...]:
    """What is wrong with a mapping folder, or what it may lack; empty if there is nothing to say."""
    try:
        mapping = load_mapping(folder)
    except AsepsisError as error:
        return (MappingRemark(code=error.code, text=str(error), is_error=True),)
    return tuple(_hints(mapping, folder))


def mapping_docs(folder: Path) -> str:
    """The mapping of a folder as Markdown.

    Raises:
        MappingMissing: the folder or a file it names is absent.
        MappingMalformed: a file is not valid.
        ExpressionRefused: an expression is outside the subset.
    """
    return docs_of(load_mapping(folder))


def _hints(mapping: Mapping, folder: Path) -> list[MappingRemark]:
    used = {column.code_map for spec in mapping.tables for column in (*spec.let, *spec.fields)}
    named = " ".join(rule.expr + (spec.where or "") for spec in mapping.tables for rule in spec.require)
    found = [
        ("unused_entry", f"no table is filled from the file entry {name}, and none looks values up in it")
        for name in mapping.files
        if not mapping.specs_of(name) and name not in mapping.joined and not mapping.files[name].is_companion
    ]
    found += [
        ("unused_codes", f"codes/{name}.csv is used by no column")
        for name in mapping.codes
        if name not in used and f"'{name}'" not in named
    ]
    found += [
        ("no_required_date", f"tables/{spec.name}.yaml has no requirement that looks at extract_date")
        for spec in mapping.tables
        if spec.target.at is not None
        and spec.target.required
        and not any("extract_date" in r.expr for r in spec.require)
    ]
    found += [
        ("events_outside_periods", f"observation_period counts no date of {table}, whose events may lie outside of it")
        for table in sorted({spec.table for spec in mapping.tables if spec.target.at in spec.target.required})
        if mapping.spans and table not in {span.table for span in mapping.spans}
    ]
    found += [
        (
            "free_text",
            f"{column.name} of tables/{spec.name}.yaml counts as free text; say free_text: false if it has codes",
        )
        for spec in mapping.tables
        for column in spec.fields
        if spec.is_free(column) and column.free_text is None and column.name not in spec.target.free
    ]
    for name, entry in mapping.files.items():
        unused = [field for field in entry.field_names if field not in _words(mapping, name) | {*entry.duplicates}]
        if unused and mapping.specs_of(name):
            listed = ", ".join(unused[:_SHOWN]) + (", …" if len(unused) > _SHOWN else "")
            found.append(("unused_fields", f"no expression uses these fields of {name}: {listed}"))
    if not list((folder / "tests").glob("*.yaml")):
        found.append(("no_tests", "the folder has no tests"))
    return [MappingRemark(code=f"mapping.{code}", text=text, is_error=False) for code, text in found]


def _words(mapping: Mapping, entry: str) -> set[str]:
    """Every word of the expressions over one entry; a field that is not among them is surely used by none."""
    texts = []
    for join in (join for spec in mapping.tables for join in spec.joins if join.entry == entry):
        texts += [*join.on, *join.fields]
    for spec in mapping.specs_of(entry):
        texts += [text for join in spec.joins for text in join.on.values()]
        texts += [spec.person, spec.where or "", *(f"{rule.expr} {rule.to or ''}" for rule in spec.require)]
        for column in (*spec.let, *spec.fields):
            repair = column.repair
            texts += [column.expr, *(() if repair is None else (repair.when, repair.to))]
    return {word for text in texts for word in _WORD.findall(text.lower())}
