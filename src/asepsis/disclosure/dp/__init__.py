"""Differential privacy: exact integer noise, its accounting, and the gate for noisy answers.

Every number here that protects is an integer; randomness is handed in as a source of bytes, so that the edge decides
where it comes from.
"""
