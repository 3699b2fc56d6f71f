"""Weighbridge: inspects models, datasets and packages before they enter, and says why."""

from weighbridge.inspection import Options, scan
from weighbridge.policy import Policy
from weighbridge.schema import Report

__version__ = "0.1.0"
__all__ = ["Options", "Policy", "Report", "__version__", "scan"]
