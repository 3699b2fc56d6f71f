"""How well poisoned data is found: each script plants what it looks for, and counts."""
