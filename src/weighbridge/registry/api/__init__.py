"""What clients speak: the Hub API, package indexes, and an API of the registry's own."""
