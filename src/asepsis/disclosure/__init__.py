"""The one gate every output passes: findings, suppression, rounding; only here is a release made."""
