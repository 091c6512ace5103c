"""Which lines of delimited text are as simple as they look; found for whole blocks with numpy.

Invariant: a plain line, split at its delimiters, has the declared number of fields and no sign means more than itself.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from asepsis.harmonise.readers.batch import Batch

_RETURN: Final = b"\r"
_RETURN_AT_END: Final = b"\r\n"


def plain_lines(batch: Batch, *, delimiter: str, columns: int, unusual: str) -> NDArray[np.bool_]:
    """The data records whose text is their bytes, with so many columns and none of the ``unusual`` signs."""
    numbers = np.frombuffer(batch.data, np.uint8)
    marks = np.searchsorted(np.flatnonzero(numbers == ord(delimiter)), batch.ends)
    is_plain: NDArray[np.bool_] = np.diff(marks, prepend=0) == columns - 1
    is_plain[[*batch.kinds, *(batch.texts or ())]] = False
    for sign in unusual.encode():
        if sign in batch.data:
            is_plain[np.searchsorted(batch.ends, np.flatnonzero(numbers == sign), side="right")] = False
    if batch.data.count(_RETURN) != batch.data.count(_RETURN_AT_END):
        is_lone = (numbers == _RETURN[0]) & (np.append(numbers[1:], 0) != _RETURN_AT_END[1])
        is_plain[np.searchsorted(batch.ends, np.flatnonzero(is_lone), side="right")] = False
    return is_plain
