"""Query text becomes a typed plan and the plan becomes SQL; user text never reaches an engine."""
