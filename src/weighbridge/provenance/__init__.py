"""Knows who made an artifact and whether it is unchanged: digests, keys, signatures, statements."""
