"""The catalogue of attacks as data: one file a family, every rule with complete framework references."""

from weighbridge.rules.catalogue import FAMILIES, all_rules, find_rule, is_rule, ruleset_version

__all__ = ["FAMILIES", "all_rules", "find_rule", "is_rule", "ruleset_version"]
