"""Rules that turn a report into a verdict: pure, written in TOML, with waivers that expire."""

from weighbridge.policy.decide import decide, waived
from weighbridge.policy.language import Policy, Settings, Statement, Waiver, find_settings

__all__ = ["Policy", "Settings", "Statement", "Waiver", "decide", "find_settings", "waived"]
