"""The catalogue of attacks as data: one file a family, every rule with complete framework references."""

from weighbridge.rules.catalogue import CATALOGUE, by_id, find_rule, ruleset_version

__all__ = ["CATALOGUE", "by_id", "find_rule", "ruleset_version"]
