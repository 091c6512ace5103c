"""What database sources share: tables as tab-separated files, and SQL text that is parsed and never executed."""
