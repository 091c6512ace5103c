"""Transcripts of binary tables (SAS, SPSS, Stata, Excel, Access): ``transcribing`` starts the process that writes them.

Nothing is imported here, because that process imports as little as it can.
"""
