"""Weighbridge: inspects models, datasets and packages before they enter, and says why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from weighbridge.inspection import Options, scan
    from weighbridge.policy import Policy
    from weighbridge.schema import Report

__version__ = "0.1.0"
__all__ = ["Options", "Policy", "Report", "__version__", "scan"]

# The public names are loaded on first use, so that `import weighbridge` and `--version` cost nothing.
_HOMES: Final = {
    "Options": "weighbridge.inspection",
    "scan": "weighbridge.inspection",
    "Policy": "weighbridge.policy",
    "Report": "weighbridge.schema",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weighbridge' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415  # see above

    return getattr(import_module(home), name)
