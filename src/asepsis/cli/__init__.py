"""The command line: a stable contract of commands, ``--json`` output and exit codes (DESIGN §9)."""
