"""Adapter: links the patients of all owners in DuckDB, in memory, and writes the link map."""
