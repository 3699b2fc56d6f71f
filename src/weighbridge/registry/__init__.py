"""The registry: what was admitted, by whose decision, and nothing else, to the clients that people already use."""
