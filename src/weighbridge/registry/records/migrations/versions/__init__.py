"""The editions of the tables, one after the other."""
