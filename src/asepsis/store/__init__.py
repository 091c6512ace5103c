"""Adapter: the control plane on SQLAlchemy Core."""
