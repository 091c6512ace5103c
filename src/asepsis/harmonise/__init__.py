"""From bytes of legacy files to OMOP rows, without losing a record: readers, mappings, expressions. No I/O here."""
