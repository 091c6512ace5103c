# ruff: noqa: E501, RUF001, S608 - quoted names, numbers and literals of our own
"""SQL over the ledger of a table (see ``ledger_sql``) that measures what changed; answers are counts, never values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from asepsis.integrity.records.facts_sql import as_date, as_number
from asepsis.integrity.records.layout import Family, Role, TableLayout
from asepsis.integrity.records.ledger_sql import Column, Comparison, quoted
from asepsis.integrity.records.roles import PLANNED

SEALED_DAYS: Final = 60
"""Rows older than this are taken as closed: hospitals correct for weeks, not for months."""

FUTURE_DAYS: Final = 60
"""Appointments lie in the future; measurements a year ahead do not."""

_SMALLEST_GROUP: Final = 10
_SMALLEST_PROSE: Final = 24
_CYRILLIC: Final = r"[A-Za-z]\p{Cyrillic}|\p{Cyrillic}[A-Za-z]"
_GREEK: Final = "[A-Za-z][ΑΒΕΖΗΙΚΜΝΟΡΤΥΧορν]|[ΑΒΕΖΗΙΚΜΝΟΡΤΥΧορν][A-Za-z]"
_INVISIBLE: Final = "[\u200b\u200c\u200d\u2060\ufeff\u00ad]"


class LedgerSql:
    """The questions about one table's ledger."""

    def __init__(self, comparison: Comparison, layout: TableLayout, *, as_of: str | None) -> None:
        """``as_of`` is the day of the older snapshot, ISO 8601; without it no row is old."""
        self.comparison = comparison
        self.layout = layout
        self.as_of = as_of
        self.ledger = f"ledger_{comparison.name}"
        self.open = f"(SELECT * FROM {self.ledger} WHERE explained IS NULL)"
        self.index = {column.name: number for number, column in enumerate(comparison.columns)}

    def counts(self, orders: Sequence[tuple[str, str]]) -> str:
        """inserted, deleted, updated, late, deleted and updated sealed, future, then reversed dates by pair."""
        late, old = self.is_sealed(after=True), self.is_sealed(after=False)
        reversed_dates = [
            f"count(*) FILTER (change <> 'delete' AND {self._is_reversed(pair, 'a')} "
            f"AND (change = 'insert' OR NOT coalesce({self._is_reversed(pair, 'b')}, FALSE)))"
            for pair in orders
        ]
        parts = [
            *(f"count(*) FILTER (change = '{change}')" for change in ("insert", "delete", "update")),
            f"count(*) FILTER (change = 'insert' AND {late})",
            f"count(*) FILTER (change = 'delete' AND {old})",
            f"count(*) FILTER (change = 'update' AND {old})",
            f"count(*) FILTER ({self.is_future()})",
            *reversed_dates,
        ]
        return f"SELECT {', '.join(parts)} FROM {self.open}"

    def is_sealed(self, *, after: bool) -> str:
        """A condition: the row's event is older than the sealing age."""
        if self.layout.date is None or self.as_of is None or self.layout.date not in self.index:
            return "FALSE"
        value = self.date("a" if after else "b", self.layout.date)
        return f"coalesce({value} < TIMESTAMP '{self.as_of}' - INTERVAL {SEALED_DAYS} DAY, FALSE)"

    def is_future(self) -> str:
        """A condition: a date of the new row lies far beyond the older snapshot's day, and the old one's did not."""
        if self.as_of is None:
            return "FALSE"
        limit = f"TIMESTAMP '{self.as_of}' + INTERVAL {FUTURE_DAYS} DAY"
        tests = [
            f"coalesce({self.date('a', name)} > {limit} AND NOT coalesce({self.date('b', name)} > {limit}, FALSE), FALSE)"
            for name in self._dates()
            if not PLANNED.search(name)
        ]
        return f"(change <> 'delete' AND ({' OR '.join(tests)}))" if tests else "FALSE"

    def updates(self, name: str) -> str:
        """Counts about the updates of a column, in the order of ``ColumnEvidence``, from ``rows`` to ``shift_rows``."""
        family, role = self.layout.column(name).family, self.layout.column(name).role
        new = f"a{self.index[name]}"
        base = f"count(*), count(*) FILTER ({self.is_sealed(after=False)}), count(*) FILTER ({new} IS NULL)"
        rows = f"(SELECT * FROM {self.open} WHERE {self.changed(name)})"
        if family is Family.DATE:
            return (
                f"SELECT {base}, count(*) FILTER (y > x), count(*) FILTER (y < x), 1, 0, mode(y - x) / 86400.0, "
                f"(SELECT max(n) FROM (SELECT count(*) AS n FROM {self._moves(name)} WHERE y <> x GROUP BY y - x)) "
                f"FROM (SELECT *, epoch({self.date('b', name)}) AS x, epoch({self.date('a', name)}) AS y FROM {rows})"
            )
        if role is not Role.NUMBER:
            return f"SELECT {base}, 0, 0, 1, 0, 0, 0 FROM {rows}"
        x, y = self.number("b", name), self.number("a", name)
        pairs = f"(SELECT *, {x} AS x, {y} AS y FROM {rows})"
        fit = "abs(y - x * r) <= CASE WHEN cents THEN 0.0051 ELSE 1e-6 * abs(x * r) + 1e-9 END"
        moved = "abs(y - x - s) <= CASE WHEN cents THEN 0.0051 ELSE 1e-6 * abs(s) + 1e-9 END"
        return (
            f"SELECT {base}, count(*) FILTER (y > x), count(*) FILTER (y < x), any_value(r), "
            f"count(*) FILTER (x <> 0 AND {fit}), any_value(s), count(*) FILTER ({moved}) FROM {pairs}, "
            f"(SELECT median(y / x) FILTER (x <> 0) AS r, median(y - x) AS s, "
            f"coalesce(bool_and(round(y, 2) = y), FALSE) AS cents FROM {pairs})"
        )

    def pairs(self, name: str) -> str:
        """Distinct pairs of old and new value, rows of the most common one, rows that exchange two values."""
        number = self.index[name]
        grouped = f"(SELECT b{number} AS x, a{number} AS y, count(*) AS n FROM {self.open} WHERE {self.changed(name)} GROUP BY 1, 2)"
        return (
            f"SELECT count(*), max(p.n), coalesce(sum(p.n) FILTER (q.n IS NOT NULL), 0) FROM {grouped} AS p "
            f"LEFT JOIN {grouped} AS q ON p.x = q.y AND p.y = q.x"
        )

    def changed(self, name: str) -> str:
        """A condition: the column was updated, and no merge explains it."""
        flag = f"c{self.index[name]}"
        return f"{flag} AND NOT moved" if name == self.layout.person else flag

    def texts(self, names: Sequence[str]) -> str:
        """For each text column: strange and mixed among updates, then strange and mixed among insertions."""
        parts = []
        for name in names:
            number = self.index[name]
            prose = self.layout.column(name).role is Role.TEXT
            for when in (f"c{number}", "change = 'insert'"):
                for test in (is_strange, is_mixed):
                    if test is is_strange and not prose:
                        parts.append("0")
                        continue
                    new, old = (test(f"CAST({side}{number} AS VARCHAR)") for side in ("a", "b"))
                    parts.append(f"count(*) FILTER ({when} AND {new} AND NOT coalesce({old}, FALSE))")
        return f"SELECT {', '.join(parts)} FROM {self.open}"

    def copied(self) -> str:
        """Inserted rows that repeat an older row, or each other, in everything but the key."""
        others = [name for name in self._common() if name not in self.layout.key]
        plain = ", ".join(f"a{self.index[name]} AS v{self.index[name]}" for name in others)
        names = ", ".join(f"v{self.index[name]}" for name in others)
        old = ", ".join(f"{quoted(name)} AS v{self.index[name]}" for name in others)
        on = " AND ".join(f"n.v{self.index[name]} IS NOT DISTINCT FROM o.v{self.index[name]}" for name in others)
        new = f"(SELECT {plain} FROM {self.open} WHERE change = 'insert')"
        within = f"(SELECT count(*) - count(DISTINCT ({names})) FROM {new})"
        across = (
            f"(SELECT count(*) FROM {new} AS n SEMI JOIN (SELECT {old} FROM {self.comparison.before}) AS o ON {on})"
        )
        return f"SELECT greatest({within}, {across})"

    def copies(self) -> str:
        """The insertions (by ``rowid``) that repeat an older row."""
        others = [name for name in self._common() if name not in self.layout.key]
        on = " AND ".join(f"n.a{self.index[name]} IS NOT DISTINCT FROM o.{quoted(name)}" for name in others)
        return (
            f"SELECT n.rowid FROM {self.ledger} AS n SEMI JOIN {self.comparison.before} AS o ON {on} "
            "WHERE n.change = 'insert' AND n.explained IS NULL"
        )

    def unknown(self, name: str) -> str:
        """New values of a code that no row had before: rows inserted or updated with one."""
        number = self.index[name]
        return (
            f"SELECT count(*) FROM (SELECT a{number} AS v FROM {self.open} WHERE a{number} IS NOT NULL AND "
            f"(change = 'insert' OR c{number})) AS n "
            f"ANTI JOIN (SELECT DISTINCT {quoted(name)} AS v FROM {self.comparison.before}) AS o ON n.v = o.v"
        )

    def gone(self, name: str) -> str:
        """Rows and values of a column of which, though they had ten rows or more, no row is left."""
        number = self.index[name]
        return (
            f"SELECT coalesce(sum(d.n), 0), count(*) FROM (SELECT b{number} AS v, count(*) AS n FROM {self.open} "
            f"WHERE change = 'delete' GROUP BY 1 HAVING count(*) >= {_SMALLEST_GROUP}) AS d "
            f"JOIN (SELECT {quoted(name)} AS v, count(*) AS n FROM {self.comparison.before} GROUP BY 1) AS t "
            "ON d.v = t.v AND d.n >= 0.9 * t.n "
            f"ANTI JOIN (SELECT DISTINCT {quoted(name)} AS v FROM {self.comparison.after}) AS left_ ON d.v = left_.v"
        )

    def share(self, name: str, condition: str) -> str:
        """Of the rows of a condition: how many, those of the most common value of a column, and distinct values."""
        number = self.index[name]
        value = f"CASE WHEN change = 'insert' THEN a{number} ELSE b{number} END"
        return (
            f"SELECT coalesce(sum(n), 0), coalesce(max(n), 0), count(*) FROM (SELECT {value} AS v, count(*) AS n "
            f"FROM {self.open} WHERE {condition} GROUP BY 1)"
        )

    def usual_share(self, name: str, condition: str) -> str:
        """The share of all older rows that have the value most common among the rows of a condition."""
        number = self.index[name]
        value = f"CASE WHEN change = 'insert' THEN a{number} ELSE b{number} END"
        return (
            f"SELECT avg(CASE WHEN {quoted(name)} = (SELECT mode({value}) FROM {self.open} WHERE {condition}) "
            f"THEN 1.0 ELSE 0.0 END) FROM {self.comparison.before}"
        )

    def key_range(self, name: str, condition: str) -> str:
        """Over what part of the range of a whole-number key the middle four fifths of a condition's rows stretch."""
        number = self.index[name]
        return (
            f"SELECT (quantile_disc(k, 0.9) - quantile_disc(k, 0.1)) / (SELECT max({quoted(name)}) - min({quoted(name)}) "
            f"FROM {self.comparison.before}) FROM (SELECT coalesce(b{number}, a{number}) AS k FROM {self.open} WHERE {condition})"
        )

    def date(self, side: str, name: str) -> str:
        """The value of a column of a side as a time."""
        column = self._column(name)
        return as_date(f"{side}{self.index[name]}", (column.after if side == "a" else column.before) or "VARCHAR")

    def number(self, side: str, name: str) -> str:
        """The value of a column of a side as a number."""
        column = self._column(name)
        return as_number(f"{side}{self.index[name]}", (column.after if side == "a" else column.before) or "VARCHAR")

    def _moves(self, name: str) -> str:
        return (
            f"(SELECT epoch({self.date('b', name)}) AS x, epoch({self.date('a', name)}) AS y "
            f"FROM {self.open} WHERE c{self.index[name]})"
        )

    def _is_reversed(self, pair: tuple[str, str], side: str) -> str:
        return f"{self.date(side, pair[1])} < {self.date(side, pair[0])}"

    def _dates(self) -> list[str]:
        return [column.name for column in self.layout.of_role(Role.DATE) if column.name in self._common()]

    def _common(self) -> list[str]:
        return [column.name for _, column in self.comparison.common]

    def _column(self, name: str) -> Column:
        return self.comparison.columns[self.index[name]]


def is_strange(value: str) -> str:
    """A condition: a text that is long enough to be prose is none - no spaces, or letters and figures in turns."""
    turns = f"length(regexp_replace({value}, '[a-z][A-Z]|[A-Za-z][0-9]|[0-9][A-Za-z]', '', 'g'))"
    spaces = f"length({value}) - length(replace({value}, ' ', ''))"
    return (
        f"(length({value}) >= {_SMALLEST_PROSE} AND ({spaces} < length({value}) / 40.0 "
        f"OR length({value}) - {turns} > 0.25 * length({value})))"
    )


def is_mixed(value: str) -> str:
    """A condition: Latin letters stand beside look-alikes of other alphabets within a word, or invisible signs do."""
    return f"regexp_matches({value}, '{_CYRILLIC}|{_GREEK}|{_INVISIBLE}')"


def orders_sql(relation: str, pairs: Iterable[tuple[str, str]], types: dict[str, str]) -> str:
    """For each pair of date columns: rows that have both, and rows in which the second is before the first."""
    parts = []
    for first, second in pairs:
        x, y = as_date(quoted(first), types[first]), as_date(quoted(second), types[second])
        parts.append(f"count(*) FILTER ({x} IS NOT NULL AND {y} IS NOT NULL), count(*) FILTER ({y} < {x})")
    return f"SELECT {', '.join(parts)} FROM {relation}"


def orphans_sql(relation: str, column: str, target: str, key: str) -> str:
    """Rows with a value, and rows whose value is no key of the other table."""
    return (
        f"SELECT count(*), count(*) FILTER (target IS NULL) FROM (SELECT CAST({quoted(column)} AS VARCHAR) AS v "
        f"FROM {relation} WHERE {quoted(column)} IS NOT NULL) AS own LEFT JOIN "
        f"(SELECT DISTINCT CAST({quoted(key)} AS VARCHAR) AS target FROM {target}) AS other ON v = target"
    )
