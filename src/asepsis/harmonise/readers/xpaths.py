"""XPath 1.0 over HL7 v3 documents: names without a prefix are HL7's, no extension can be reached.

``act/value/@code`` means ``hl7:act/hl7:value/@code``; ``sdtc:`` and ``xsi:`` are known besides. Variables, other
prefixes and functions of other namespaces are refused when a mapping is read, and libxml2 is given none of them.
Source: XML Path Language (XPath) 1.0, section 3.7 (how a name is told from an operator).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from lxml import etree

HL7: Final = "urn:hl7-org:v3"
NAMESPACES: Final = {
    "hl7": HL7,
    "sdtc": "urn:hl7-org:sdtc",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
_LONGEST: Final = 2000
_NAME: Final = r"[A-Za-z_][\w.-]*"
_TOKEN: Final = re.compile(
    rf"\s*(?:(?P<text>\"[^\"]*\"|'[^']*')|(?P<number>\d+(?:\.\d*)?|\.\d+)|(?P<name>{_NAME}(?::(?:{_NAME}|\*))?)"
    r"|(?P<sign>\.\.|::|//|!=|<=|>=|[()\[\].@,/|+\-=<>*]))",
    re.ASCII,
)
_STEPS: Final = frozenset({"@", "::", "(", "[", ",", "/", "//"})
_SIGNS: Final = frozenset({"|", "+", "-", "=", "!=", "<", "<=", ">", ">="})
_OPERATORS: Final = frozenset({"and", "or", "div", "mod"})
_FUNCTIONS: Final = (
    "last position count id local-name namespace-uri name string concat starts-with contains substring-before "
    "substring-after substring string-length normalize-space translate boolean not true false lang number sum floor "
    "ceiling round comment text processing-instruction node"
)
_AXES: Final = (
    "ancestor ancestor-or-self attribute child descendant descendant-or-self following following-sibling parent "
    "preceding preceding-sibling self"
)
_STRING: Final = etree.XPath("string()", smart_strings=False)


@dataclass(frozen=True, slots=True)
class XPath:
    """A compiled expression; ``is_absolute`` where it gives the same for every element of a document."""

    text: str
    is_absolute: bool
    evaluate: Callable[[etree._Element], Any]


@lru_cache(maxsize=1024)
def compile_xpath(text: str) -> XPath | None:
    """Compile an XPath expression; ``None`` where it is none, or asks for something that is not known here."""
    reading = _Reading(text)
    if len(text) > _LONGEST or not reading.read():
        return None
    qualified = " ".join(reading.parts)
    try:
        xpath = etree.XPath(qualified, namespaces=NAMESPACES, regexp=False, smart_strings=False)
        xpath(etree.Element(f"{{{HL7}}}ClinicalDocument"))
    except etree.XPathError:
        return None
    return XPath(text, reading.parts[0] in {"/", "//"} and not reading.is_computed, xpath)


def text_of(found: Any) -> str | None:
    """What an expression found as text: the first node's, without the white space of its layout; nothing is nothing."""
    if isinstance(found, list):
        found = found[0] if found else None
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, float):
        return str(int(found)) if found.is_integer() else str(found)
    if found is not None and not isinstance(found, str):
        found = " ".join(str(_STRING(found)).split())
    return found or None


class _Reading:
    """One pass over the tokens of an expression, which puts the prefix of HL7 before names of elements without one."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._expects_name = True
        self._is_attribute = False
        self._depth = 0
        self.parts: list[str] = []
        self.is_computed = False

    def read(self) -> bool:
        """Whether everything in the expression is known."""
        place, end = 0, len(self._text.rstrip())
        while place < end:
            match = _TOKEN.match(self._text, place)
            if match is None:
                return False
            place = match.end()
            if match["sign"] is not None:
                self._sign(match["sign"])
            elif match["name"] is None:
                self._expects_name = False
                self.parts.append(match[0].strip())
            elif not self._name(match["name"], self._text[place:].lstrip()):
                return False
        return bool(self.parts)

    def _sign(self, sign: str) -> None:
        self._depth += (sign in {"(", "["}) - (sign in {")", "]"})
        is_operator = sign in _SIGNS or (sign == "*" and not self._expects_name)
        self.is_computed |= is_operator and self._depth == 0
        self._is_attribute = sign == "@" or (sign == "::" and self.parts[-1:] == ["attribute"])
        self._expects_name = sign in _STEPS or is_operator
        self.parts.append(sign)

    def _name(self, name: str, after: str) -> bool:
        """Tell a name by what stands around it: operator, axis, function, attribute or element."""
        is_known = True
        if not self._expects_name:
            is_known, self._expects_name = name in _OPERATORS, True
            self.is_computed |= self._depth == 0
        elif after.startswith("::"):
            is_known = name in _AXES.split()
        elif after.startswith("("):
            is_known = name in _FUNCTIONS.split()
        else:
            is_known, self._expects_name = ":" not in name or name.partition(":")[0] in NAMESPACES, False
            name = name if ":" in name or self._is_attribute else f"hl7:{name}"
        self.parts.append(name)
        return is_known
