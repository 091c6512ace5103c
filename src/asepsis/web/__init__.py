"""Entry point: the pages of the room."""
