"""What other tools do with the files of ``bench_contribution``: rates, and rows that are lost without a word.

Run in an environment of its own; imports nothing of Asepsis. Arguments: ``name=path``.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HL7_MESSAGES = 2_000
LAB_ROWS = 12_408
"""Rows that were written into the laboratory file of Northgate (MANIFEST of the shared data)."""


def main() -> None:
    """Measure what is installed."""
    files = {name: Path(path) for name, path in (word.split("=", 1) for word in sys.argv[1:])}
    labs, messages = files["labs"], files["messages"]
    measure("pandas", "read_csv", lambda: pandas_rows(labs))
    measure("polars", "read_csv", lambda: polars_rows(labs))
    measure("hl7", "parse", lambda: hl7_messages(messages))
    if "legacy" in files:
        legacy_files(files["legacy"])
    if "carrot" in files:
        measure("carrottransform", "mapstream", lambda: carrot_rows(files["carrot_inputs"], files["carrot"]))


def measure(module: str, what: str, call: Callable[[], int]) -> None:
    """Print records per CPU second, children included."""
    if importlib.util.find_spec(module) is None:
        print(f"{module:16} not installed")
        return
    start = _spent()
    try:
        count = call()
    except (ValueError, OSError) as error:
        print(f"{module:16} {what}: stopped with {type(error).__name__}")
        return
    print(f"{module:16} {what}: {count / (_spent() - start):11,.0f} records/s of {count:,}")


def _spent() -> float:
    """CPU seconds of this process and of those it waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def pandas_rows(path: Path, **options: str) -> int:
    """Every column as text, as people usually read it."""
    import pandas as pd  # noqa: PLC0415 - a peer that may be absent

    return len(pd.read_csv(path, sep=";", dtype=str, encoding="latin-1", **options))


def polars_rows(path: Path, **options: bool) -> int:
    """Every column as text."""
    import polars as pl  # noqa: PLC0415 - a peer that may be absent

    return pl.read_csv(path, separator=";", infer_schema=False, encoding="latin-1", **options).height


def hl7_messages(path: Path) -> int:
    """The first messages, parsed into trees."""
    import hl7  # noqa: PLC0415 - a peer that may be absent

    found = path.read_bytes().decode("latin-1").split("\rMSH")[:HL7_MESSAGES]
    for number, text in enumerate(found):
        hl7.parse(text if number == 0 else f"MSH{text}")
    return len(found)


def legacy_files(folder: Path) -> None:
    """What is left of files of Northgate where people read them as they usually do."""
    labs = folder / "LAB_RESULTS.CSV"
    told("pandas", "LAB_RESULTS.CSV", LAB_ROWS, lambda: pandas_rows(labs))
    told("pandas", "LAB_RESULTS.CSV on_bad_lines=skip", LAB_ROWS, lambda: pandas_rows(labs, on_bad_lines="skip"))
    told("polars", "LAB_RESULTS.CSV", LAB_ROWS, lambda: polars_rows(labs))
    told("polars", "LAB_RESULTS.CSV ignore_errors", LAB_ROWS, lambda: polars_rows(labs, ignore_errors=True))
    told("duckdb", "LAB_RESULTS.CSV", LAB_ROWS, lambda: duckdb_rows(labs, ""))
    told("duckdb", "LAB_RESULTS.CSV ignore_errors", LAB_ROWS, lambda: duckdb_rows(labs, ", ignore_errors=true"))
    messages = (folder / "adt_oru.hl7").read_bytes().decode("latin-1").replace("\r\n", "\r").replace("\n", "\r")
    declared = int(messages.split("\rBTS|")[1].split("\r")[0].split("|")[0])
    told("hl7", "adt_oru.hl7", declared, lambda: hl7_split(messages))
    dump = (folder / "pharmacy.sql").read_text(encoding="latin-1")
    measure("sqlglot", "pharmacy.sql", lambda: sqlglot_rows(dump))


def told(module: str, what: str, truth: int, call: Callable[[], int]) -> None:
    """Print how many records a tool finds of those that there are, or the class of its error."""
    if importlib.util.find_spec(module) is None:
        print(f"{module:16} not installed")
        return
    try:
        count = call()
    except Exception as error:  # noqa: BLE001 - whatever a tool says of a file
        print(f"{module:16} {what}: stopped with {type(error).__name__}")
        return
    print(f"{module:16} {what}: {count:,} of {truth:,} records, {count - truth:+,} without a word")


def duckdb_rows(path: Path, options: str) -> int:
    """As DuckDB finds it out."""
    import duckdb  # noqa: PLC0415 - a peer that may be absent

    (count,) = duckdb.sql(f"SELECT count(*) FROM read_csv('{path}'{options})").fetchall()[0]
    return int(count)


def hl7_split(messages: str) -> int:
    """The messages of a batch."""
    import hl7  # noqa: PLC0415 - a peer that may be absent

    return len(hl7.split_file(messages))


def sqlglot_rows(dump: str) -> int:
    """The rows of all INSERT statements."""
    import sqlglot  # noqa: PLC0415 - a peer that may be absent
    from sqlglot import exp  # noqa: PLC0415

    logging.disable()  # it warns of every statement that it does not know
    found = sqlglot.parse(dump, dialect="mysql")
    inserts = (each.expression for each in found if isinstance(each, exp.Insert))
    return sum(len(values.expressions) for values in inserts if values is not None)


def carrot_rows(inputs: Path, example: Path) -> int:
    """Carrot's own example, repeated, with dates that are impossible, written otherwise, or blank."""
    import carrottransform  # noqa: PLC0415 - a peer that may be absent

    config, output = Path(carrottransform.__file__).parent / "config", inputs.parent / "carrot-out"
    output.mkdir()
    words = [
        str(Path(sys.executable).with_name("carrot-transform")),
        *("run", "mapstream", "--rules-file", str(example / "rules" / "rules_14June2021.json")),
        *("--person", "Demographics", "--inputs", str(inputs), "--output", str(output)),
        *("--omop-ddl-file", str(config / "OMOPCDM_postgresql_5.4_ddl.sql")),
        *("--omop-config-file", str(config / "config.json")),
    ]
    done = subprocess.run(words, check=False, capture_output=True)
    made = {path.stem: sum(1 for _ in path.open("rb")) - 1 for path in sorted(output.glob("*.tsv"))}
    print(f"carrot-transform ended with {done.returncode} and wrote {made}")
    return sum(sum(1 for _ in path.open("rb")) - 1 for path in inputs.glob("*.csv"))


if __name__ == "__main__":
    main()
