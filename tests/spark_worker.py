"""Runs statements on Apache Spark, in an environment that has pyspark: one JSON request per line in, one answer out.

A request is ``{"tables": {name: path of a Parquet file}, "statements": [{"text": …, "parameters": {…}}]}``, where dates
are ``{"date": "YYYY-MM-DD"}``; the answer is a list of lists of rows, or of the name of an error's class.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import date
from decimal import Decimal
from typing import Any

from pyspark.sql import SparkSession


def given(value: Any) -> Any:
    return date.fromisoformat(value["date"]) if isinstance(value, dict) else value


def shown(value: Any) -> Any:
    if isinstance(value, list):
        return [shown(item) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.sql.session.timeZone", "UTC")
        # Tables are tiny: compiling a program for every statement would take all the time.
        .config("spark.sql.codegen.wholeStage", "false")
        .config("spark.sql.codegen.factoryMode", "NO_CODEGEN")
        .config("spark.sql.adaptive.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("OFF")
    for line in sys.stdin:
        request = json.loads(line)
        for name, path in request["tables"].items():
            spark.read.parquet(path).createOrReplaceTempView(name)
        found: list[Any] = []
        for statement in request["statements"]:
            arguments = {name: given(value) for name, value in statement["parameters"].items()}
            try:
                rows = spark.sql(statement["text"], args=arguments).collect()
                found.append([[shown(value) for value in row] for row in rows])
            except Exception as error:  # noqa: BLE001 - told to the test, which fails
                found.append(f"{type(error).__name__}: {str(error)[:300]}")
        answers.write(json.dumps(found) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
