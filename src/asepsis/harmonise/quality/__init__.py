"""Data quality of OMOP tables: what is checked, the SQL of each check, thresholds, verdicts and the report. Pure."""
