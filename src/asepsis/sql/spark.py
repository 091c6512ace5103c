"""The plan as Spark SQL: the statements of :mod:`asepsis.sql.duckdb`, written in the other dialect.

There is one printer for both engines, so an operator cannot be written for one of them alone; what differs stands in
:mod:`asepsis.sql.dialects`. Spark runs them in ANSI mode (its default), where overflow and division by zero are errors
like in our plans, which hold no division but by the width of a bin. Values are bound to named parameters
(``spark.sql(text, args=parameters)``). Tables are those of the room: one person key, ``owner_`` with a bit per owner.

Floating-point sums depend on the order in which an engine adds up: the two agree to rounding, not to the last bit.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from asepsis.sql import duckdb
from asepsis.sql.dialects import SPARK

cells_sql: Final = partial(duckdb.cells_sql, dialect=SPARK)
effects_sql: Final = partial(duckdb.effects_sql, dialect=SPARK)
quantile_sql: Final = partial(duckdb.quantile_sql, dialect=SPARK)
people_sql: Final = partial(duckdb.people_sql, dialect=SPARK)
