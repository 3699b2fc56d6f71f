"""Decides what a member is by its content; the name is only a claim to hold against it."""

from weighbridge.identify.container import CONTAINERS, open_container
from weighbridge.identify.expectations import contradicts
from weighbridge.identify.magic import Identity, identify

__all__ = ["CONTAINERS", "Identity", "contradicts", "identify", "open_container"]
