"""Taking the identifiers of a person out of free text."""
