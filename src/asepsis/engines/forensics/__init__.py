"""DuckDB compares two snapshots of keyed tables, inside a memory limit, and reads them only."""
