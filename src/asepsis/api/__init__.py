"""Entry point: the HTTP interface. Read-only: it changes nothing, holds no key, and knows released tables only."""
