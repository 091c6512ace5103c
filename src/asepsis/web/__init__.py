"""Entry point: the pages of the room. Read-only, without any script, and with released tables only."""
