"""Readers of hostile input: they state facts and hold no opinion."""
