"""Entry point: the attested program; its import closure is kept small by contract."""
