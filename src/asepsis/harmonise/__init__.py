"""Source records become OMOP tables or quarantine; the books of a run always balance."""
