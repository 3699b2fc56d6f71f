"""Weighbridge: inspects models, datasets and packages before they enter, and says why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from weighbridge.conversion import Conversion
    from weighbridge.conversion import convert_file as convert
    from weighbridge.inspection import Options, scan
    from weighbridge.inspection.loading import Loaded, load
    from weighbridge.policy import Policy
    from weighbridge.schema import Report

__version__ = "0.1.0"
__all__ = [
    "Conversion",
    "Loaded",
    "Options",
    "Policy",
    "Report",
    "__version__",
    "convert",
    "load",
    "scan",
    "test_model",
]

# The public names are loaded on first use, so that `import weighbridge` and `--version` cost nothing.
_HOMES: Final = {
    "Conversion": ("weighbridge.conversion", "Conversion"),
    "Loaded": ("weighbridge.inspection.loading", "Loaded"),
    "Options": ("weighbridge.inspection", "Options"),
    "Policy": ("weighbridge.policy", "Policy"),
    "Report": ("weighbridge.schema", "Report"),
    "convert": ("weighbridge.conversion", "convert_file"),
    "load": ("weighbridge.inspection.loading", "load"),
    "scan": ("weighbridge.inspection", "scan"),
    "test_model": ("weighbridge.backdoor.testing", "test_model"),
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weighbridge' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415  # see above

    return getattr(import_module(home[0]), home[1])
