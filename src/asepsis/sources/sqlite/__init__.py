"""SQLite databases, opened so that nothing in them can act and nothing about them can change."""
