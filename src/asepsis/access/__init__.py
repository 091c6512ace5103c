"""Pure core: who may do what, decided by one set of Cedar policies under one schema."""
