"""The door to the sandbox."""
