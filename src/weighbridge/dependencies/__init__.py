"""Knows what is wrong with the packages that a project depends on: advisories, habits, names, releases, environments."""
