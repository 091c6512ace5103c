"""Values and rules of the clean room: standard library only, no clock, no randomness, no I/O."""
