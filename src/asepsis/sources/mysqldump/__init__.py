"""Dumps of MySQL and MariaDB, parsed and never executed."""
