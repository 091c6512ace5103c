"""Adapter: key desks that run elsewhere, as the room asks them."""
