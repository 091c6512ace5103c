"""Reading YAML that people write: one document of plain values; repeated keys, aliases and tags are refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from asepsis.errors.contract import YamlMalformed
from asepsis.errors.room import FileUnreadable

_LARGEST: Final = 4 << 20


def read_yaml(path: Path) -> Any:
    """The document of a file. Raises FileUnreadable or YamlMalformed."""
    try:
        text = path.read_bytes()[: _LARGEST + 1]
    except OSError:
        raise FileUnreadable(path=str(path)) from None
    if len(text) > _LARGEST:
        raise YamlMalformed(path=str(path), line=1)
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader with more refusals
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise YamlMalformed(path=str(path), line=line) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise YamlMalformed(path=str(path), line=1) from None


def to_yaml(document: Mapping[str, object]) -> str:
    """A document as YAML in the order of its keys; equal parts are written out, never as aliases."""
    return yaml.dump(document, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True)


class _PlainDumper(yaml.SafeDumper):
    """The safe dumper without aliases, which :func:`read_yaml` refuses."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature of the base class
        return True


class _StrictLoader(yaml.SafeLoader):
    """The safe loader; times stay texts, so that every reader sees what was written."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem_mark=self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value in seen:
                raise yaml.MarkedYAMLError(problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_StrictLoader.add_constructor(
    "tag:yaml.org,2002:timestamp",
    lambda loader, node: loader.construct_scalar(node),  # type: ignore[arg-type]
)
