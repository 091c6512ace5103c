"""SAS, SPSS and Stata files by pyreadstat, a stretch of rows at a time. Runs inside a confined process only.

Values are exact: see ``values`` for numbers and moments. A value that the file calls missing by definition is never
mixed with others: it is marked in place (``.A``, ``.(99)``), or with ``missing`` null beside a column that holds it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import pyreadstat

from asepsis.engines.transcripts.names import column_names
from asepsis.engines.transcripts.order import Order
from asepsis.engines.transcripts.values import Form, number, sas_form, spss_form, stata_form
from asepsis.harmonise.transcript import end, line, lines

_CELLS: Final = 1 << 20
_FEWEST: Final = 1_000
_PUNCHED_CARD: Final = 80
_READERS: Final[dict[str, Any]] = {
    "sas7bdat": pyreadstat.read_sas7bdat,
    "xport": pyreadstat.read_xport,
    "sav": pyreadstat.read_sav,
    "por": pyreadstat.read_por,
    "dta": pyreadstat.read_dta,
}
_TELLS_MISSING: Final = frozenset({"sas7bdat", "sav", "dta"})
_SPSS: Final = frozenset({"sav", "por"})

Value = float | str | None
Text = str | None


class RowsMissingError(Exception):
    """The file ends before the rows that it declares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """One column of the file, and the texts that it becomes."""

    name: str
    form: Form
    labels: dict[Any, str] | None = None
    ranges: tuple[tuple[Any, Any], ...] = ()
    has_missing: bool = False
    is_text: bool = False

    def names(self) -> tuple[str, ...]:
        """The columns of the transcript."""
        label = () if self.labels is None else (f"{self.name}_label",)
        return (self.name, *label, *((f"{self.name}_missing",) if self.has_missing else ()))

    def texts(self, values: Sequence[Value]) -> list[Sequence[Text]]:
        """The columns of the transcript for some rows."""
        missing = self._all_missing(values)
        if not any(missing):
            written = self._written(values)
        else:
            written = [
                self._text(value) if why is None else self._marked(why)
                for value, why in zip(values, missing, strict=True)
            ]
        columns = [written]
        if self.labels is not None:
            columns.append([None if value is None else self.labels.get(value) for value in values])
        if self.has_missing:
            columns.append(missing)
        return columns

    def _all_missing(self, values: Sequence[Value]) -> Sequence[Text]:
        has_some = bool(self.ranges) or (not self.is_text and any(isinstance(value, str) for value in values))
        return [self._missing(value) for value in values] if has_some else [None] * len(values)

    def _written(self, values: Sequence[Value]) -> Sequence[Text]:
        if self.is_text:
            return values  # type: ignore[return-value]
        form = self.form
        return [None if value is None or value != value else form(value) for value in values]  # type: ignore[arg-type] # noqa: PLR0124

    def _text(self, value: Value) -> Text:
        if value is None or isinstance(value, str):
            return value
        return None if value != value else self.form(value)  # noqa: PLR0124 - a number that is none

    def _missing(self, value: Value) -> Text:
        """What stands in the file where it calls the value missing; ``None`` where it does not, or names no reason."""
        if value is None:
            return None
        if isinstance(value, str) and not self.is_text:
            return value
        for low, high in self.ranges:
            if isinstance(value, str) == isinstance(low, str) and low <= value <= high:
                return value if isinstance(value, str) else number(value)
        return None

    def _marked(self, why: str) -> Text:
        if self.has_missing:
            return None
        return f".({why})" if self.ranges else f".{why}"


def transcript(file: BinaryIO, order: Order) -> Iterator[bytes]:
    """Every row of a SAS, SPSS or Stata file.

    Raises:
        RowsMissingError: fewer rows are there than the file declares.
        Exception: whatever the library says of a damaged file.
    """
    size = file.seek(0, os.SEEK_END)
    if order.form == "xport" and size % _PUNCHED_CARD:
        raise RowsMissingError
    read = _reader(file, order)
    _, about = read(metadataonly=True)
    columns = _columns(about, order)
    yield line(_unique([name for column in columns for name in column.names()]))
    stretch = max(_FEWEST, _CELLS // max(1, len(columns)))
    declared: int | None = about.number_rows
    done = 0
    while declared is None or done < declared:
        found, _ = read(row_offset=done, row_limit=stretch)
        values: list[Sequence[Value]] = list(found.values())
        count = len(values[0]) if values else 0
        yield _lines(columns, values)
        done += count
        if count < stretch:
            break
    if declared is not None and done != declared:
        raise RowsMissingError
    yield end(declared)


def _reader(file: BinaryIO, order: Order) -> Callable[..., tuple[dict[str, Any], Any]]:
    options: dict[str, Any] = {"output_format": "dict", "disable_datetime_conversion": True}
    if order.form in _TELLS_MISSING:
        options["user_missing"] = True
    if order.charset and order.form != "por":
        options["encoding"] = order.charset.upper()

    def read(**more: Any) -> tuple[dict[str, Any], Any]:
        file.seek(0)
        found: tuple[dict[str, Any], Any] = _READERS[order.form](file, **options, **more)
        return found

    return read


def _columns(about: Any, order: Order) -> tuple[_Column, ...]:
    names = column_names(about.column_names)
    return tuple(_column(about, found, name, order) for found, name in zip(about.column_names, names, strict=True))


def _column(about: Any, found: str, name: str, order: Order) -> _Column:
    kind = str(about.readstat_variable_types[found])
    display = str(about.original_variable_types[found] or "")
    ranges = tuple((item["lo"], item["hi"]) for item in about.missing_ranges.get(found, ()))
    is_text = kind.startswith("string")
    tagged = order.form in _TELLS_MISSING and not is_text and order.form not in _SPSS
    return _Column(
        name=name,
        form=_form(order.form, display, kind),
        labels=about.variable_value_labels.get(found) if order.labels else None,
        ranges=ranges,
        has_missing=order.missing and (bool(ranges) or tagged),
        is_text=is_text,
    )


def _form(form: str, display: str, kind: str) -> Form:
    if form in _SPSS:
        return spss_form(display)
    return stata_form(display, kind) if form == "dta" else sas_form(display)


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """A label's column may be named as another column of the file is: the later one is called by its place."""
    return tuple(name if name not in names[:place] else f"column_{place + 1}" for place, name in enumerate(names))


def _lines(columns: Sequence[_Column], values: Sequence[Sequence[Value]]) -> bytes:
    texts = [text for column, held in zip(columns, values, strict=True) for text in column.texts(held)]
    return lines(texts)
