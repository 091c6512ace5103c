"""Predefined statistical methods; they return statistics, never rows."""
