"""Record-level forensics: what differs between two snapshots of keyed tables, and what it means. Pure; SQL as text."""
