"""Dumps of PostgreSQL in their plain, custom and directory formats, parsed and never executed."""
