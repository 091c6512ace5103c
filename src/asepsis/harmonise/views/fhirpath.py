"""FHIRPath, the subset that SQL on FHIR v2 asks for, as a syntax tree. What is not in the subset is refused.

Source: HL7 FHIRPath, http://hl7.org/fhirpath/, section 12.2 "Grammar"; SQL on FHIR v2, "Supported FHIRPath".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from asepsis.errors.harmonise import ViewRefused

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|'(?P<text>(?:[^'\\]|\\.)*)'|%(?P<constant>\w+)|(?P<this>\$this)"
    r"|(?P<name>[A-Za-z_]\w*)|`(?P<quoted>[^`]+)`|(?P<sign><=|>=|!=|[-+*/=<>().,\[\]]))"
)
_LONGEST: Final = 2000
_DEEPEST: Final = 40
_BINDING: Final = {"or": 1, "and": 2, "=": 3, "!=": 3, "<": 4, ">": 4, "<=": 4, ">=": 4, "+": 5, "-": 5, "*": 6, "/": 6}


@dataclass(frozen=True, slots=True)
class Node:
    """One node: ``kind`` says what it is, ``value`` its word or sign; ``children`` begin with the input."""

    kind: str
    value: str
    children: tuple[Node, ...] = ()


def parse(text: object) -> Node:
    """The syntax tree of an expression.

    Raises:
        ViewRefused: the text is not in the subset.
    """
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST:
        raise ViewRefused(problem="a FHIRPath expression is expected")
    parser = _Parser(_tokens(text))
    tree = parser.expression(0, 0)
    parser.expect("end")
    return tree


def _tokens(text: str) -> list[tuple[str, str]]:
    found, place = [], 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise ViewRefused(problem="a FHIRPath expression has an unknown sign")
        found.append((match.lastgroup, match[match.lastgroup]))
        place = match.end()
    return [*found, ("end", "")]


class _Parser:
    """Precedence climbing."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._place = 0

    def expression(self, least: int, depth: int) -> Node:
        if depth > _DEEPEST:
            raise ViewRefused(problem="a FHIRPath expression is nested too deep")
        left = self._term(depth + 1)
        while (binding := _BINDING.get(self._here()[1], 0)) > least and self._here()[0] in {"sign", "name"}:
            operator = self._next()[1]
            left = Node("operator", operator, (left, self.expression(binding, depth + 1)))
        return left

    def expect(self, kind: str, value: str = "") -> None:
        if self._next() != (kind, value):
            raise ViewRefused(problem="a FHIRPath expression ends too early or goes on too long")

    def _here(self) -> tuple[str, str]:
        return self._tokens[self._place]

    def _next(self) -> tuple[str, str]:
        token = self._tokens[self._place]
        self._place = min(self._place + 1, len(self._tokens) - 1)
        return token

    def _term(self, depth: int) -> Node:
        kind, value = self._next()
        if kind in {"number", "text", "constant"}:
            node = Node("constant" if kind == "constant" else kind, value)
        elif kind == "name" and value in {"true", "false"}:
            node = Node("boolean", value)
        elif kind == "this":
            node = Node("this", "")
        elif kind in {"name", "quoted"}:
            node = self._member(Node("this", ""), kind, value, depth)
        elif (kind, value) == ("sign", "("):
            node = self.expression(0, depth + 1)
            self.expect("sign", ")")
        else:
            raise ViewRefused(problem="a FHIRPath expression is malformed")
        return self._steps(node, depth)

    def _steps(self, node: Node, depth: int) -> Node:
        while self._here() in {("sign", "."), ("sign", "[")}:
            if self._next()[1] == ".":
                kind, value = self._next()
                node = self._member(node, kind, value, depth)
            else:
                node = Node("index", "", (node, self.expression(0, depth + 1)))
                self.expect("sign", "]")
        return node

    def _member(self, base: Node, kind: str, value: str, depth: int) -> Node:
        if kind not in {"name", "quoted"}:
            raise ViewRefused(problem="a name is expected after a dot")
        if kind == "quoted" or self._here() != ("sign", "("):
            return Node("member", value, (base,))
        self._next()
        arguments: list[Node] = []
        while self._here() != ("sign", ")"):
            arguments.append(self.expression(0, depth + 1))
            if self._here() == ("sign", ","):
                self._next()
        self._next()
        return Node("call", value, (base, *arguments))
