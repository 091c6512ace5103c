"""How commands speak: text for people, one JSON document with ``--json``, errors always the same way.

An error is one line with its code and one with a hint on standard error; a traceback is never shown, because
its values could be data.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import typer

from asepsis.errors import AsepsisError


def emit(document: object, *, as_json: bool, text: str) -> None:
    """Print the document as JSON, or the text."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False, default=str) if as_json else text)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table of fixed width; numbers are set to the right, suppressed cells are a dot."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[index]) for row in cells)]) for index, name in enumerate(columns)]
    right = [all(_is_number(row[index]) for row in rows) and bool(rows) for index in range(len(columns))]
    lines = [list(columns), ["-" * width for width in widths], *cells]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


@contextmanager
def reported(*, as_json: bool = False) -> Iterator[None]:
    """Turn every error into its code, hint and exit code."""
    try:
        yield
    except AsepsisError as error:
        _fail(error, as_json=as_json)
    except KeyboardInterrupt:
        typer.echo("asepsis: interrupted; run the same command again to go on", err=True)
        raise SystemExit(130) from None
    except (typer.Exit, SystemExit):
        raise
    except Exception:  # noqa: BLE001 - its text may quote data, so only the fact is shown
        _fail(AsepsisError(), as_json=as_json)


def _fail(error: AsepsisError, *, as_json: bool) -> NoReturn:
    if as_json:
        typer.echo(json.dumps({"error": error.as_dict()}, indent=2, ensure_ascii=False))
    sys.stderr.write(f"asepsis: {error.code}: {error.detail}\n  hint: {error.advice}\n")
    raise SystemExit(error.kind.exit_code) from None


def _cell(value: object) -> str:
    if value is None:
        return "·"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
