"""The door to the sandbox: load one file in a locked child, and take out numbers and facts."""

from weighbridge.sandbox.attempt import Attempt, Kind
from weighbridge.sandbox.elsewhere import Elsewhere
from weighbridge.sandbox.host import Sandbox
from weighbridge.sandbox.kinds import loader_for
from weighbridge.sandbox.outcome import Outcome
from weighbridge.sandbox.protocol import LAYERS, REQUIRED, Bounds

__all__ = ["LAYERS", "REQUIRED", "Attempt", "Bounds", "Elsewhere", "Kind", "Outcome", "Sandbox", "loader_for"]
