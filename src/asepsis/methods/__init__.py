"""Predefined methods: analyses whose parameters are typed and whose protection is part of the method.

Invariant: a method sees its data sealed, and its rows are derived from protected parts inside ``disclosure``.
"""
