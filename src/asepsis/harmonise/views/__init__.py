"""SQL on FHIR v2: ViewDefinitions compiled to DuckDB. Source: https://sql-on-fhir.org/ig/ (version 2)."""
