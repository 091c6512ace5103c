"""Zip archives, listed from their own directory and read member by member."""
