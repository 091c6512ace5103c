"""The query engine of the runtime: DuckDB in memory, locked, behind sealed results.

Invariant: results leave as ``Sealed`` only and no message of the engine leaves at all.
"""
