"""Knows, one file for each kind of format, how facts of a reader become subjects and coverage."""
