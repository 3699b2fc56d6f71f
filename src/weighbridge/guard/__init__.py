"""The door to the guard: in the user's own process, model files load only where their digest is approved."""

from weighbridge.guard.approvals import Approvals
from weighbridge.guard.installed import Refused, Warned, active, install, uninstall

__all__ = ["Approvals", "Refused", "Warned", "active", "install", "uninstall"]
