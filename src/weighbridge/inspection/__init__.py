"""The pipeline: runs the stages over an artifact and gathers the report."""

from weighbridge.inspection.plan import Options, scan

__all__ = ["Options", "scan"]
