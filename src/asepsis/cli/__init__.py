"""Entry point: the command line."""
