"""Entry point: the HTTP interface."""
