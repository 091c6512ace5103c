"""Entry point: the HTTP interface, read-only. Only who read what is written down; no key, and released tables only."""
