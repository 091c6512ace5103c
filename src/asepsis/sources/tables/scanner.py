r"""SQL text cut into statements, never executed; a command to the client program is refused by name.

Only what decides where a statement ends is understood: strings, quoted names, comments. What psql or mysql would
run on the reading machine (``\!`` and its kin) lies outside of all of these and no dump of data needs it.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from asepsis.errors.source import ArchiveTruncatedError, HostileStatementError, LimitExceededError
from asepsis.sources.limits import Limits

_BLOCK: Final = 1 << 20
_END_OF_COPY: Final = b"\\."


class Dialect(StrEnum):
    """Whose text it is."""

    POSTGRES = "postgres"
    MYSQL = "mysql"


class Readable(Protocol):
    """What gives bytes."""

    def read(self, size: int, /) -> bytes:
        """At most that many bytes; none at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grammar:
    skip: re.Pattern[bytes]
    statement: re.Pattern[bytes]
    harmless: re.Pattern[bytes]
    client: re.Pattern[bytes]


_BLOCK_COMMENT: Final = rb"/\*(?:[^*]++|\*(?!/))*+\*/"
_GRAMMARS: Final = {
    Dialect.POSTGRES: _Grammar(
        skip=re.compile(rb"(?:[\s;]++|--[^\n]*+\n|" + _BLOCK_COMMENT + rb")*+"),
        statement=re.compile(
            rb"(?:[^'\"$;\\/\-eE]++|(?<![\w$])[eE]'(?:[^'\\]++|\\.|'')*+'|[eE]|'(?:[^']++|'')*+'|\"(?:[^\"]++|\"\")*+\""
            rb"|--[^\n]*+\n|" + _BLOCK_COMMENT + rb"|-(?!-)|/(?!\*)"
            rb"|(?<![\w$])(?P<tag>\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*+)?\$).*?(?P=tag)|\$(?![\w$\x80-\xff])|\$(?=\d))*+",
            re.DOTALL,
        ),
        harmless=re.compile(rb"\\(?:connect|restrict|unrestrict|encoding)\b[^\n`]*+\n"),
        client=re.compile(rb"(?!)"),
    ),
    Dialect.MYSQL: _Grammar(
        skip=re.compile(rb"(?:[\s;]++|--(?=\s)[^\n]*+\n|#[^\n]*+\n|" + _BLOCK_COMMENT + rb")*+"),
        statement=re.compile(
            rb"(?:[^'\"`;\\/\-#]++|'(?:[^'\\]++|\\.|'')*+'|\"(?:[^\"\\]++|\\.|\"\")*+\"|`(?:[^`]++|``)*+`"
            rb"|--(?=\s)[^\n]*+\n|#[^\n]*+\n|" + _BLOCK_COMMENT + rb"|-(?!-(?:\s|\Z))|/(?!\*))*+",
            re.DOTALL,
        ),
        harmless=re.compile(
            rb"(?i:DELIMITER)[ \t]++(?!;)\S++[^\n]*+\n.*?\n(?i:DELIMITER)[ \t]++;[^\n]*+(?:\n|\Z)"
            rb"|(?i:DELIMITER)[ \t]++;[^\n]*+\n",
            re.DOTALL,
        ),
        client=re.compile(rb"(?i:system|source|tee|pager|edit|nopager|notee)\b(?!\s*[=(.,`])"),
    ),
}
_DELIMITER: Final = re.compile(rb"(?i:DELIMITER)\b")


class Scanner:
    """Reads statements one after the other; ``offset`` counts bytes from where it began."""

    def __init__(self, file: Readable, *, dialect: Dialect, name: str, limits: Limits) -> None:
        self._file = file
        self._grammar = _GRAMMARS[dialect]
        self._name = name
        self._limits = limits
        self._buffer = b""
        self._place = 0
        self._base = 0
        self._ended = False

    @property
    def offset(self) -> int:
        """How many bytes lie before what is read next."""
        return self._base + self._place

    def statement(self) -> tuple[int, bytes] | None:
        """The next statement without its semicolon, and its offset; nothing at the end.

        Raises:
            ArchiveTruncatedError: the text ends inside of a statement.
            HostileStatementError: it holds a command for the client program.
            LimitExceededError: a statement is longer than the limit.
        """
        while not self._skip():
            if self._ended and self._place == len(self._buffer):
                return None
            self._more()
        while True:
            match = self._grammar.statement.match(self._buffer, self._place)
            end = match.end() if match is not None else self._place
            following = self._buffer[end : end + 1]
            if following == b";":
                found = self.offset, self._buffer[self._place : end]
                self._place = end + 1
                return found
            if following == b"\\":
                raise HostileStatementError(name=self._name)
            self._more()

    def copied(self) -> Generator[bytes]:
        """The lines of the COPY block that begins after the statement just read, in blocks of whole lines.

        Raises:
            ArchiveTruncatedError: the text ends before the block does.
        """
        while (end := self._buffer.find(b"\n", self._place)) < 0:
            self._more()
        returns = self._buffer[end - 1 : end] == b"\r"
        self._place = end + 1
        while True:
            lines, is_end = self._lines()
            if lines:
                yield lines.replace(b"\r\n", b"\n") if returns else lines
            if is_end:
                return
            self._more()

    def _lines(self) -> tuple[bytes, bool]:
        """The whole lines at hand, and whether the end of the block came after them."""
        buffer, place = self._buffer, self._place
        found = place if buffer.startswith(_END_OF_COPY, place) else buffer.find(b"\n" + _END_OF_COPY, place) + 1
        if found > 0 or buffer.startswith(_END_OF_COPY, place):
            end = buffer.find(b"\n", found)
            if end < 0 and not self._ended:
                self._place = max(place, found)
                return buffer[place:found], False
            self._place = end + 1 if end >= 0 else len(buffer)
            return buffer[place:found], True
        last = buffer.rfind(b"\n", place) + 1
        if last <= place:
            return b"", False
        self._place = last
        return buffer[place:last], False

    def _skip(self) -> bool:
        """Go to the next statement; whether its beginning is at hand."""
        while True:
            match = self._grammar.skip.match(self._buffer, self._place)
            self._place = match.end() if match is not None else self._place
            if len(self._buffer) - self._place < len(b"unrestrict") and not self._ended:
                return False
            harmless = self._grammar.harmless.match(self._buffer, self._place)
            if harmless is None:
                return self._begins()
            self._place = harmless.end()

    def _begins(self) -> bool:
        rest = self._buffer[self._place : self._place + 2]
        if not rest or rest in {b"--", b"/*"} or rest[:1] == b"#":
            if self._ended and rest != b"/*":
                self._place = len(self._buffer)  # a comment without line end is the last one
            return False
        if self._buffer[self._place : self._place + 1] == b"\\":
            end = self._buffer.find(b"\n", self._place)
            if end < 0 and not self._ended:
                return False
            raise HostileStatementError(name=self._name)
        if self._grammar.client.match(self._buffer, self._place):
            raise HostileStatementError(name=self._name)
        return not (self._is_mysql() and _DELIMITER.match(self._buffer, self._place))

    def _is_mysql(self) -> bool:
        return self._grammar is _GRAMMARS[Dialect.MYSQL]

    def _more(self) -> None:
        """Read as much again as is at hand, so that a long statement is not looked at too often."""
        if self._ended:
            raise ArchiveTruncatedError(name=self._name)
        self._more_or_end()

    def _more_or_end(self) -> None:
        left = len(self._buffer) - self._place
        if left > self._limits.metadata_bytes:
            raise LimitExceededError(name="a statement", limit=self._limits.metadata_bytes, unit="bytes")
        wanted, parts = max(_BLOCK, left), []
        while wanted > 0 and not self._ended:
            piece = self._file.read(wanted)
            self._ended = not piece
            wanted -= len(piece)
            parts.append(piece)
        self._base += self._place
        self._buffer = self._buffer[self._place :] + b"".join(parts)
        self._place = 0
