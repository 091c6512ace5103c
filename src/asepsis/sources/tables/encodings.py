"""Character sets by the names that PostgreSQL and MySQL give them, as Python codecs.

Source: PostgreSQL documentation, 24.3.1 "Supported Character Sets"; MySQL 8.0 Reference Manual, 10.2.
"""

from __future__ import annotations

import codecs
from typing import Final

from asepsis.errors.source import UnsupportedFormatError

_OWN_NAMES: Final = {
    "sql_ascii": "utf-8",  # the server checked nothing: UTF-8 includes ASCII, what is neither is refused
    "unicode": "utf-8",
    "utf8mb3": "utf-8",
    "utf8mb4": "utf-8",
    "binary": "utf-8",
    "latin1": "iso8859-1",
    "uhc": "cp949",
    "sjis": "cp932",
    "win": "cp1251",
    "alt": "cp866",
    "ujis": "euc_jp",
    "euckr": "euc_kr",
}


def codec_of(name: bytes) -> str:
    """The Python codec of a character set.

    Raises:
        UnsupportedFormatError: it has none.
    """
    word = name.decode("ascii", "replace").lower()
    word = _OWN_NAMES.get(word, "cp" + word[3:] if word.startswith("win") else word)
    try:
        return codecs.lookup(word).name
    except LookupError:
        raise UnsupportedFormatError(name="a dump in this character set") from None
