"""Read-only looks into backups: one adapter per kind of source, none of which can write."""
