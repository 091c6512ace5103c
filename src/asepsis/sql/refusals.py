"""The closed list of reasons for which SQL is refused. The texts are fixed: no literal and no data ever enters them."""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from asepsis.domain.finding import Finding, Severity

REASONS: Final[dict[str, tuple[str, str]]] = {
    "sql.empty": ("There is no statement to plan.", "Write one SELECT."),
    "sql.too_long": ("The statement is too long.", "Use fewer conditions or values, or split the question."),
    "sql.too_many_conditions": (
        "The question has too many conditions that have to be tested for their effect.",
        "Use fewer ranges, exclusions and alternatives; write alternatives of one column as IN (…).",
    ),
    "sql.too_deep": ("The statement is nested too deeply.", "Flatten parentheses and subqueries."),
    "sql.syntax": ("The statement is not valid SQL.", "Check the brackets, commas and keywords around this place."),
    "sql.one_statement": ("Only one statement can be asked at a time.", "Ask the statements one after the other."),
    "sql.not_a_select": ("Only SELECT statements can be asked.", "Write a SELECT that counts or aggregates."),
    "sql.bad_name": ("A name has characters that are not allowed.", "Use lower-case letters, digits and underscores."),
    "sql.unknown_table": ("This table is not part of the contract.", "Use a table of the contract's catalogue."),
    "sql.unknown_column": ("This column is not part of the contract.", "Use a column of the contract's catalogue."),
    "sql.ambiguous_column": ("Several tables have this column.", "Write the table's alias before the column."),
    "sql.shadowed_table": ("A name in WITH hides a table of the contract.", "Choose another name in WITH."),
    "sql.duplicate_alias": ("Two sources have the same alias.", "Give every source its own alias."),
    "sql.column_not_usable": (
        "The contract does not let this column be used in this way.",
        "Use a column that the contract registers for this purpose.",
    ),
    "sql.person_key_predicate": (
        "A condition on the person's key would single out a person.",
        "Leave the condition out, or describe the persons by registered columns.",
    ),
    "sql.person_key_shown": (
        "The person's key cannot be shown, grouped or computed with.",
        "Count persons with count(DISTINCT …) of the key.",
    ),
    "sql.row_level": ("Rows of single persons cannot be shown.", "Ask for counts or other aggregates of groups."),
    "sql.extreme_value": (
        "Minimum, maximum and similar functions show the value of one person.",
        "Ask for avg, or for a quantile between 0.05 and 0.95.",
    ),
    "sql.function_not_allowed": ("This function is not available in the room.", "Use a documented function."),
    "sql.construct_not_allowed": ("This part of SQL is not available in the room.", "Rephrase without it."),
    "sql.join_kind": ("Only inner joins and left joins are available.", "Use JOIN or LEFT JOIN."),
    "sql.join_not_on_person": (
        "Tables with patient data can be joined on the person only.",
        "Add the equality of the person's key to the join.",
    ),
    "sql.lookup_key": (
        "A look-up table can be joined on its unique key only.",
        "Join its key with one column of a table with patient data, or write … IN (SELECT column FROM look-up table).",
    ),
    "sql.uncorrelated_subquery": (
        "A subquery in a condition must be about the same person.",
        "Equate the person's key inside the subquery with the one outside.",
    ),
    "sql.list_subquery": (
        "Values can be looked up in one column of one public look-up table.",
        "Write … IN (SELECT column FROM look-up table WHERE …); nest another IN where you would join.",
    ),
    "sql.scalar_subquery": ("A subquery cannot be used as a value.", "Use a join, EXISTS or a named subquery."),
    "sql.no_person_in_subquery": (
        "A subquery must keep the person's key.",
        "Add the person's key to the columns (and to GROUP BY) of the subquery.",
    ),
    "sql.limit_in_subquery": ("A subquery cannot be ordered or limited.", "Order and limit the final result."),
    "sql.set_operation": ("Of the set operations only UNION ALL is available.", "Use EXISTS, NOT EXISTS or UNION ALL."),
    "sql.union_columns": ("The parts of a union have different columns.", "Give all parts the same columns."),
    "sql.margins": (
        "Cells and their margins in one result have to be asked for as one table.",
        "Write GROUP BY ROLLUP (…), CUBE (…) or GROUPING SETS (…); or ask for each grouping separately.",
    ),
    "sql.margin_measure": (
        "Only counts, sums and means can be asked for with margins.",
        "Leave variances and quantiles out, or ask for them without ROLLUP, CUBE or GROUPING SETS.",
    ),
    "sql.too_many_margins": (
        "The table has too many groupings, or they are nested too deeply.",
        "Name at most 16 groupings with GROUPING SETS.",
    ),
    "sql.multiplied_records": (
        "A join of several records of a person multiplies them, so they cannot be counted or added up.",
        "Count persons, or put the conditions on the other table's records into EXISTS (…).",
    ),
    "sql.window": ("Window functions work on single rows and are not available.", "Group by person in a subquery."),
    "sql.distinct_values": (
        "Counting the distinct values of this column is not available.",
        "Count persons, or group by the column.",
    ),
    "sql.type_mismatch": ("The two sides of this comparison have different types.", "Compare values of one type."),
    "sql.null_comparison": ("A comparison with NULL is never true.", "Use IS NULL or IS NOT NULL."),
    "sql.literal_off_bin": (
        "This column is compared at the edges of its registered bins only, with >= or <.",
        "Move the value to the next bin edge.",
    ),
    "sql.date_off_month": (
        "Dates are compared at the beginning of months only.",
        "Use >= or < with the first day of a month.",
    ),
    "sql.literal_out_of_range": ("A literal is out of range.", "Use a smaller value."),
    "sql.quantile_level": ("Quantiles are available between 0.05 and 0.95.", "Choose a level in that range."),
    "sql.unknown_parameter": ("A parameter has no value.", "Give every parameter of the statement a value."),
    "sql.dp_measure": (
        "With noise, only counts, sums, means, spreads and quantiles are available.",
        "Ask for count, sum, avg, variance, stddev or quantile_cont.",
    ),
    "sql.dp_quantile": (
        "With noise, a quantile needs registered bins between public bounds, and not too many of them.",
        "Ask for avg, or let the owners register wider bins, and bounds of the column in the clause 'dp'.",
    ),
    "sql.dp_groups": (
        "The contract lists no public values of these groups, and spends nothing on finding them.",
        "Group by columns with public values, or let the owners add 'pico_delta' to a question's cost.",
    ),
    "sql.dp_bound": (
        "The contract says nothing public about how large these values can be.",
        "Ask for counts, or let the owners add bounds of the column to the clause 'dp'.",
    ),
    "sql.dp_unsold": (
        "The contract sells no bounds: they are for answers with noise only, at a price that all parties signed.",
        "Ask without buying bounds, or let the owners add 'bought' to the clause 'dp'.",
    ),
    "sql.dp_nothing_sold": (
        "Nothing is left to buy: every person counts once at most in this question.",
        "Ask it without buying bounds.",
    ),
    "sql.unused_parameter": ("A value was given for a parameter that is not used.", "Leave the value out."),
    "sql.aggregate_place": ("An aggregate cannot stand here.", "Use aggregates in SELECT, HAVING and ORDER BY."),
    "sql.not_grouped": ("This column is neither grouped nor aggregated.", "Add it to GROUP BY, or aggregate it."),
    "sql.duplicate_output": ("Two output columns have the same name.", "Give each output its own alias."),
    "sql.no_patient_table": (
        "The question is about look-up tables only.",
        "Begin with a table that holds patient data.",
    ),
    "sql.not_a_cohort": (
        "A referral needs the persons of a cohort and nothing else.",
        "Write SELECT DISTINCT of the person's key FROM … WHERE …",
    ),
}


SNAPPED: Final = "sql.snapped"
_SNAPPED: Final = (
    "A range was moved to the registered bins of its column: the first of a month, or a bin edge.",
    "Write the range at the edges of bins to get exactly what you wrote.",
)


def snapped(node: exp.Expr) -> Finding:
    """The word to the author about a range that was moved; no refusal."""
    reason, advice = _SNAPPED
    return Finding(code=SNAPPED, severity=Severity.PASS, reason=reason, advice=advice, place=place_of(node))


class RefusedError(Exception):
    """One reason, on its way to :mod:`asepsis.sql.planner`, which makes a finding of it; never leaves this package."""

    def __init__(self, code: str, node: exp.Expr | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.place = place_of(node)

    def finding(self) -> Finding:
        """The refusal as a value."""
        reason, advice = REASONS[self.code]
        return Finding(code=self.code, severity=Severity.REFUSE, reason=reason, advice=advice, place=self.place)


def place_of(node: exp.Expr | None) -> tuple[int, int] | None:
    """Line and column, counted from 1, of the first word of a part of the statement."""
    if node is None:
        return None
    found: list[tuple[int, int]] = []
    for part in node.walk():
        line, column, start, end = (part.meta.get(key) for key in ("line", "col", "start", "end"))
        if isinstance(line, int) and isinstance(column, int):
            width = end - start if isinstance(start, int) and isinstance(end, int) else 0
            found.append((line, max(1, column - width)))
    return min(found, default=None)
